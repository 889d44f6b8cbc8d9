"""Maximum picture sizes, so that no file exhausts the memory."""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_OVERLAY_SIDE_PX", "MAX_PHOTO_SIDE_PX", "MAX_SIDE_PX"]

MAX_SIDE_PX: Final = 16384
"""Maximum side of videos, backgrounds and pictures of the room."""
MAX_PHOTO_SIDE_PX: Final = 32768
"""Maximum side of a picture whose background is replaced; it may be a panorama."""
MAX_OVERLAY_SIDE_PX: Final = 8192
"""Maximum side of an overlay; a larger picture is more likely a mistake than a logo."""
