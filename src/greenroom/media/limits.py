"""Largest pictures that are read, so that no file takes all memory."""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_OVERLAY_SIDE_PX", "MAX_PHOTO_SIDE_PX", "MAX_SIDE_PX"]

MAX_SIDE_PX: Final = 16384
"""Of video, backgrounds, and pictures of the room."""
MAX_PHOTO_SIDE_PX: Final = 32768
"""Of a picture whose background is to be replaced, which may be a panorama."""
MAX_OVERLAY_SIDE_PX: Final = 8192
"""Of an overlay: a larger picture is more likely a mistake than a logo."""
