"""Pictures that move: animated WebP, PNG and AVIF, frame by frame. GIFs are read as videos."""

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
"""Unit of the frames' times: a millisecond, as in WebP."""

# HEIC, TIFF and JPEG may hold several pictures, of which none follows another in time.
_MOVING_FORMATS: Final = ("WEBP", "PNG", "AVIF")


def count_frames(path: Path, max_side_px: int) -> int:
    """Return how many pictures follow one another in a file: 1 if it does not move.

    Raises
    ------
    ValueError
        If it is no picture, or none that can be read: with a reason to be put into the caller's
        own error.
    """
    with open_picture(path, max_side_px) as image:
        return len(_places(image)) if image.format in _MOVING_FORMATS else 1


def moves(path: Path, max_side_px: int) -> bool:
    """Whether a path is a picture that moves; one that cannot be read does not."""
    try:
        return is_picture(path) and count_frames(path, max_side_px) > 1
    except ValueError:
        return False


def moving_frames(path: Path, max_side_px: int) -> Iterator[Frame]:
    """Decode the frames of an animation to ``gbrp``, in front of black, with times from 0 on.

    Raises
    ------
    ValueError
        At damage, with a reason to be put into the caller's own error.
    """
    pts = 0
    with open_picture(path, max_side_px) as image:
        for place in _places(image):
            with damage_as_value_error():
                image.seek(place)
                image.load()
                asked_s = Fraction(image.info.get("duration") or 0) * TIME_BASE
            duration = round(browser_duration_s(asked_s) / TIME_BASE)
            frame = flat_frame(image, path)
            yield replace(frame, pts=pts, time_base=TIME_BASE, duration=duration)
            pts += duration


def _places(image: Any) -> range:
    """Return where the frames are; a PNG may have a still picture in front, for old readers."""
    count = getattr(image, "n_frames", 1)
    first = 1 if count > 1 and getattr(image, "default_image", False) else 0
    return range(first, count)
