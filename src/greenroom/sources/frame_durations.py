"""Durations of a video's frames: until the next one, or to the end of the file."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from greenroom.errors import TruncatedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.media.frame import Frame

__all__ = ["seconds_of", "with_durations"]


def with_durations(
    frames: Iterator[Frame], end_of_last: Callable[[Frame], Fraction | None]
) -> Iterator[Frame]:
    """Set the duration of each frame, which is held back until the next one comes.

    Parameters
    ----------
    frames : iterator of Frame
    end_of_last : callable
        Returns when the last frame ends, in seconds; None to keep its duration.
    """
    held: Frame | None = None
    try:
        for frame in frames:
            if held is not None:
                yield _until(held, seconds_of(frame))
            held = frame
    except TruncatedError:
        if held is not None:
            yield held
        raise
    if held is not None:
        end_s = end_of_last(held)
        yield held if end_s is None else _until(held, end_s)


def seconds_of(frame: Frame) -> Fraction:
    """Return the time of a frame, in seconds."""
    return (frame.pts or 0) * (frame.time_base or Fraction(0))


def _until(frame: Frame, end_s: Fraction) -> Frame:
    """Return the frame with a duration up to a later time."""
    length_s = end_s - seconds_of(frame)
    if length_s <= 0 or not frame.time_base:
        return frame
    return frame.shown_at(frame.pts, frame.time_base, round(length_s / frame.time_base))
