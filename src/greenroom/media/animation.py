"""Animated WebP, PNG and AVIF, decoded frame by frame. GIFs are read as videos."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from greenroom.media.image_files import damage_as_value_error, flat_frame, is_picture, open_picture
from greenroom.media.timeline import browser_duration_s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from greenroom.media.frame import Frame

__all__ = ["TIME_BASE", "count_frames", "moves", "moving_frames"]

TIME_BASE: Final = Fraction(1, 1000)
"""Time base of the frames: milliseconds, as in WebP."""

# HEIC, TIFF and JPEG may hold several pictures, but these are not an animation.
_MOVING_FORMATS: Final = ("WEBP", "PNG", "AVIF")


def count_frames(path: Path, max_side_px: int) -> int:
    """Return the number of frames of an animation, 1 for a still picture.

    Raises
    ------
    ValueError
        If it cannot be read as a picture. The message is a reason for the caller's own error.
    """
    with open_picture(path, max_side_px) as image:
        return len(_frame_indices(image)) if image.format in _MOVING_FORMATS else 1


def moves(path: Path, max_side_px: int) -> bool:
    """Whether a path is an animation; False if it cannot be read."""
    try:
        return is_picture(path) and count_frames(path, max_side_px) > 1
    except ValueError:
        return False


def moving_frames(path: Path, max_side_px: int) -> Iterator[Frame]:
    """Decode the frames of an animation to ``gbrp``, over black, with times from 0 on.

    Raises
    ------
    ValueError
        If it is damaged. The message is a reason for the caller's own error.
    """
    pts = 0
    with open_picture(path, max_side_px) as image:
        for index in _frame_indices(image):
            with damage_as_value_error():
                image.seek(index)
                image.load()
                asked_s = Fraction(image.info.get("duration") or 0) * TIME_BASE
            duration = round(browser_duration_s(asked_s) / TIME_BASE)
            frame = flat_frame(image, path)
            yield replace(frame, pts=pts, time_base=TIME_BASE, duration=duration)
            pts += duration


def _frame_indices(image: Any) -> range:
    """Return the frames' indices; a PNG may begin with a still picture for old readers."""
    count = getattr(image, "n_frames", 1)
    first = 1 if count > 1 and getattr(image, "default_image", False) else 0
    return range(first, count)
