"""Playback of files in real time, as if they came from a camera."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from greenroom.media.colour import LIMITED, UNSPECIFIED, Colour
from greenroom.media.source_info import SourceInfo
from greenroom.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout

__all__ = ["MICROSECOND", "FrameNormalizer", "Pacer", "RealTimeSource", "stamped"]

logger = logging.getLogger(__name__)

MICROSECOND: Final = Fraction(1, 1_000_000)
"""The time base of live frames: microseconds of the monotonic clock at capture."""

# A delay longer than this is not caught up.
_MAX_DELAY_S: Final = 0.5
# Decoding of the next frame is delayed by this share of a frame's duration.
_DECODE_DELAY: Final = 0.5
# Frame rate of a still picture, in frames/s.
_STILL_RATE: Final = Fraction(25)


def stamped(frame: Frame, time_s: float) -> Frame:
    """Return the frame with a capture time of the monotonic clock."""
    return frame.shown_at(round(time_s / MICROSECOND), MICROSECOND)


class Pacer:
    """Waits until frames are due, relative to the first one.

    Parameters
    ----------
    clock : Clock
        Source of the time.
    closing : threading.Event
        Ends every wait when it is set.
    """

    def __init__(self, clock: Clock, closing: threading.Event) -> None:
        self._clock = clock
        self._closing = closing
        self._zero_s: float | None = None

    def wait(self, time_s: float) -> bool:
        """Wait until a frame is due; False once the source is closing.

        A late frame is due at once. After a delay of more than half a second all later frames are
        delayed by as much, instead of being shown faster.
        """
        now_s = self._clock.now()
        if self._zero_s is None or now_s - self._zero_s - time_s > _MAX_DELAY_S:
            self._zero_s = now_s - time_s
        wait_s = self._zero_s + time_s - now_s
        if wait_s > 0:
            self._clock.wait(self._closing, wait_s)
        return not self._closing.is_set()


class FrameNormalizer:
    """Converts frames to ``yuv420p`` and to the size of the first one.

    Parameters
    ----------
    name : str
        Name of the source, for the log.
    size : (int, int), optional
        Width and height to use instead of the first frame's.
    """

    def __init__(self, name: str, size: tuple[int, int] | None = None) -> None:
        self._name = name
        self._size = size
        self._layout: Layout | None = None
        self._warned_size: tuple[int, int] | None = None

    def __call__(self, frame: Frame) -> Frame:
        """Return the frame, or a converted one where it differs."""
        frame = frame.opaque()
        if self._layout is None:
            self._layout = _video_layout(frame, self._size)
        if frame.layout == self._layout:
            return frame
        if frame.size not in (self._layout.size, self._warned_size) and self._size is None:
            self._warned_size = frame.size
            logger.warning(
                "%s: the size changes from %dx%d to %dx%d and is scaled back",
                self._name,
                *self._layout.size,
                *frame.size,
            )
        return frame.converted(self._layout).at(frame)


def _video_layout(frame: Frame, size: tuple[int, int] | None) -> Layout:
    """Return the layout for all frames of a source, from its first one."""
    width, height = size or frame.size
    colour = frame.layout.colour
    if frame.format in ("gbrp", "gray"):
        colour = Colour(UNSPECIFIED, LIMITED)
    return replace(
        frame.layout,
        width=width,
        height=height,
        format="yuv420p",
        colour=colour.named((width, height)) if size or frame.format == "gbrp" else colour,
    )


class RealTimeSource(Source):
    """Plays a source at the pace of its time stamps.

    Frames get the time at which they are given out. A single picture is repeated without end.

    Parameters
    ----------
    open_source : callable
        Opens the source, again for each round if it cannot be rewound.
    clock : Clock
        Source of the time.
    loop : bool
        Whether to start again at the end.

    Raises
    ------
    SourceError
        If it cannot be opened.
    """

    def __init__(self, open_source: Callable[[], Source], clock: Clock, *, loop: bool) -> None:
        self._open = open_source
        self._loop = loop
        self._clock = clock
        self._closing = threading.Event()
        self._source = open_source()
        info = self._source.info
        self._rate = _STILL_RATE if len(info.pictures) == 1 else info.rate
        self.info = SourceInfo(
            name=info.name,
            rate=self._rate,
            time_base=MICROSECOND,
            sample_aspect_ratio=info.sample_aspect_ratio,
            files=info.files,
            negotiated=info.negotiated,
        )

    @property
    def damaged(self) -> int:
        """See `Source.damaged`."""
        return self._source.damaged

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        pacer = Pacer(self._clock, self._closing)
        normalize = FrameNormalizer(self.info.name)
        for time_s, frame in self._timed():
            ready = normalize(frame)
            if not pacer.wait(time_s):
                return
            yield stamped(ready, self._clock.now())
            # Leave the processor to this frame for a while, as with a camera, before decoding more.
            if not pacer.wait(time_s + _DECODE_DELAY / float(self._rate)):
                return

    def close(self) -> None:
        """See `Source.close`: a wait for the next frame ends at once."""
        self._closing.set()
        self._source.close()

    def _timed(self) -> Iterator[tuple[float, Frame]]:
        """Yield frames with their times since the start, in rounds if looped."""
        begin_s = 0.0
        is_still = len(self._source.info.pictures) == 1
        while not self._closing.is_set():
            end_s = begin_s
            for time_s, duration_s, frame in self._once():
                end_s = begin_s + time_s + duration_s
                yield begin_s + time_s, frame
                while is_still and not self._closing.is_set():
                    yield end_s, frame.copy()
                    end_s += duration_s
            if not self._loop or self._closing.is_set() or end_s == begin_s:
                break
            begin_s = end_s
            if not self._source.rewind():
                self._source.close()
                if self._closing.is_set():
                    break
                self._source = self._open()
        self._source.close()

    def _once(self) -> Iterator[tuple[float, float, Frame]]:
        """Yield the time since the first frame, the duration in seconds, and the frame."""
        first_s = None
        frame_s = float(1 / self._rate)
        for number, frame in enumerate(self._source):
            time_s = number * frame_s if frame.time_s is None else frame.time_s
            if self._source.info.pictures:  # unrelated pictures have no time stamps
                time_s = number * frame_s
            first_s = time_s if first_s is None else first_s
            known = frame.duration is not None and frame.time_base is not None
            duration_s = float(frame.duration * frame.time_base) if known else frame_s  # type: ignore[operator]
            yield max(0.0, time_s - first_s), duration_s or frame_s, frame
