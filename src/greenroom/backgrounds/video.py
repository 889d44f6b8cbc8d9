"""A video or an animation as a background, looped at its own speed."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from greenroom.backgrounds.background import Scene
from greenroom.backgrounds.fitting import fitted
from greenroom.backgrounds.images import unreadable
from greenroom.media.animation import moving_frames
from greenroom.media.decoded_frames import flattened, orientation_of, oriented
from greenroom.media.decoding import (
    MEDIA_ERRORS,
    check_size,
    decoded,
    open_media,
    reason_of,
    video_stream,
)
from greenroom.media.deinterlacing import Deinterlacer
from greenroom.media.frame import fraction
from greenroom.media.image_files import is_picture
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.media.shapes import scaled_to_square_pixels, square_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.settings import Fit

__all__ = ["Video"]

logger = logging.getLogger(__name__)

# A loop whose fitted frames fit into this is decoded once and kept.
KEPT_BYTES: Final = 64 * 2**20
# Minimum duration of a frame: shorter ones would be skipped, and a loop without length never ends.
SHORTEST_S: Final = 0.01
# After a longer jump, such as a suspended computer, the loop starts again.
LONGEST_JUMP_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _TimedFrame:
    """A fitted frame and when it is shown."""

    frame: Frame
    start_s: float
    end_s: float


class Video(Scene):
    """A video, played by its own time stamps, independently of the camera's frame rate.

    Every frame is decoded and fitted once a loop; a loop that is small is kept whole. The
    loop starts again when the layout changes, when time goes backwards, and when it jumps.

    State: the place in the loop, and the frames kept.
    """

    def __init__(self, path: Path, fit: Fit) -> None:
        self._path = path
        self._fit = fit
        self._layout: Layout | None = None
        self._starts_s = 0.0
        self._deinterlacer = Deinterlacer(
            lambda: logger.warning("background '%s' is interlaced: it is deinterlaced", path)
        )
        self._since_s: float | None = None
        self._length_s: float | None = None
        self._loop: Iterator[_TimedFrame] = iter(())
        self._current: _TimedFrame | None = None
        # Report an unreadable video now; warnings about it wait until it is shown.
        for _ in self._pictures(Deinterlacer(lambda: None)):
            return
        raise unreadable(path, "there are no frames in it")

    def at(self, layout: Layout, time_s: float) -> Frame:
        """See `Scene.at`."""
        current = self._current
        if self._since_s is not None:
            self._starts_s, self._since_s = self._since_s, None
            self._layout, self._loop = layout, self._play(layout, time_s - self._starts_s)
            current = next(self._loop)
        elif current is None or layout != self._layout or not self._is_near(time_s, current):
            self._layout, self._starts_s, self._loop = layout, time_s, self._play(layout)
            current = next(self._loop)
        while time_s - self._starts_s >= current.end_s:
            current = next(self._loop)
        self._current = current
        return current.frame

    def reset(self) -> None:
        """See `Background.reset`: start from the beginning."""
        self._current = self._since_s = None

    def resume(self, since_s: float) -> None:
        """See `Background.resume`."""
        self._current, self._since_s = None, since_s

    def close(self) -> None:
        """See `Background.close`."""
        self._current, self._loop = None, iter(())

    def _is_near(self, time_s: float, current: _TimedFrame) -> bool:
        return current.start_s <= time_s - self._starts_s < current.end_s + LONGEST_JUMP_S

    def _play(self, layout: Layout, from_s: float = 0.0) -> Iterator[_TimedFrame]:
        """Yield the frames in a loop, with increasing times, from the turn at a time on."""
        kept: list[_TimedFrame] | None = []
        begin_s, size = self._turn_at(from_s), 0
        starts_s = begin_s
        for shown in self._once(layout):
            starts_s = begin_s + shown.end_s
            yield _TimedFrame(shown.frame, begin_s + shown.start_s, starts_s)
            size += _bytes_of(shown.frame)
            if kept is not None:
                kept = [*kept, shown] if size <= KEPT_BYTES else None
        while True:
            last_s = starts_s
            for shown in kept or self._once(layout):
                last_s = starts_s + shown.end_s
                yield _TimedFrame(shown.frame, starts_s + shown.start_s, last_s)
            if last_s == starts_s:
                raise unreadable(self._path, "there are no frames in it any more")
            starts_s = last_s

    def _once(self, layout: Layout) -> Iterator[_TimedFrame]:
        """Decode and fit the frames once."""
        for picture, start_s, end_s in self._timed():
            yield _TimedFrame(fitted(picture, layout, self._fit).at(picture), start_s, end_s)

    def _turn_at(self, time_s: float) -> float:
        """Return when the turn of the loop begins that is shown at a time."""
        if self._length_s is None and time_s > 0:
            end_s = 0.0
            for _, _, end_s in self._timed():
                if end_s > time_s:
                    return 0.0
            self._length_s = end_s
        begin_s, length_s = 0.0, self._length_s or math.inf
        while begin_s + length_s <= time_s:  # added up as they are shown
            begin_s += length_s
        return begin_s

    def _timed(self) -> Iterator[tuple[Frame, float, float]]:
        """Decode the frames once, with start and end; each lasts until the next."""
        first_s = previous_s = None
        waiting: Frame | None = None
        length_s = SHORTEST_S
        for picture in self._pictures(self._deinterlacer):
            time_s = _time_s(picture, 0.0 if previous_s is None else previous_s + SHORTEST_S)
            if waiting is not None and first_s is not None and previous_s is not None:
                length_s = max(SHORTEST_S, time_s - previous_s)
                yield waiting, previous_s - first_s, previous_s - first_s + length_s
                time_s = max(time_s, previous_s + SHORTEST_S)
            first_s = time_s if first_s is None else first_s
            waiting, previous_s = picture, time_s
        if waiting is not None and first_s is not None and previous_s is not None:
            if waiting.duration and waiting.time_base:
                length_s = max(SHORTEST_S, float(waiting.duration * waiting.time_base))
            yield waiting, previous_s - first_s, previous_s - first_s + length_s

    def _pictures(self, deinterlacer: Deinterlacer) -> Iterator[Frame]:
        """Decode the video once."""
        try:
            if is_picture(self._path):
                yield from moving_frames(self._path, MAX_SIDE_PX)
                return
            with open_media(self._path) as container:
                stream = video_stream(container)
                deinterlacer.restart()
                check_size(stream.width, stream.height, MAX_SIDE_PX)
                orientation = None
                aspect = fraction(stream.sample_aspect_ratio or 1)
                for frame in decoded(container, stream, deinterlacer):
                    orientation = orientation or orientation_of(frame)
                    shown = flattened(frame)
                    if aspect != 1:
                        shown = scaled_to_square_pixels(shown, square_size(shown.size, aspect))
                    yield oriented(shown, orientation)
        except MEDIA_ERRORS as error:
            raise unreadable(self._path, reason_of(error)) from error


def _time_s(frame: Frame, otherwise: float) -> float:
    return otherwise if frame.time_s is None else frame.time_s


def _bytes_of(frame: Frame) -> int:
    return sum(plane.size for plane in frame.planes)
