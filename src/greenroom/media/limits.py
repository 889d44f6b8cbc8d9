"""Largest pictures that are read, so that no file takes all memory."""

from __future__ import annotations

from typing import Final

__all__ = ["MOST_OVERLAY_PIXELS_A_SIDE", "MOST_PHOTO_PIXELS_A_SIDE", "MOST_PIXELS_A_SIDE"]

MOST_PIXELS_A_SIDE: Final = 16384
"""Of video, backgrounds, and pictures of the room."""
MOST_PHOTO_PIXELS_A_SIDE: Final = 32768
"""Of a picture whose background is to be replaced, which may be a panorama."""
MOST_OVERLAY_PIXELS_A_SIDE: Final = 8192
"""Of an overlay: a larger picture is more likely a mistake than a logo."""
