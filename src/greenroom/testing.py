"""Fakes for tests: a synthetic person, a segmenter that fails on demand, a sink in memory.

They are public so that programs built on greenroom can test themselves without a camera,
a model or a real person.
"""

from __future__ import annotations

import threading
import time
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.errors import CameraLostError, CameraMissingError, SinkError
from greenroom.media.source_info import SourceInfo
from greenroom.segmenters.segmenter import Segmenter, SegmenterInfo
from greenroom.sinks.sink import LiveSink, Sink
from greenroom.sources.realtime import MICROSECOND
from greenroom.sources.source import Source
from greenroom.sources.synthetic_person import PERSON_RGB, ROOM_RGB, PersonSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

__all__ = [
    "PERSON_RGB",
    "ROOM_RGB",
    "FakeCamera",
    "Fault",
    "FaultySegmenter",
    "MemoryLiveSink",
    "MemorySink",
    "PersonSegmenter",
    "PersonSource",
    "count_room_pixels",
]


_COARSE: Final = (36, 64)


class PersonSegmenter(Segmenter):
    """Finds the synthetic person by colour, as a coarse matte of 64x36."""

    def __init__(self) -> None:
        self.info = SegmenterInfo("synthetic", "", "NumPy", "cpu", 1)
        self.closed = False

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        plane = frame.planes[0].astype(np.int16)
        room, person = (frame.layout.samples(*rgb)[0] for rgb in (ROOM_RGB, PERSON_RGB))
        rows, columns = (
            np.linspace(0, length - 1, count).astype(int)
            for length, count in zip(plane.shape, _COARSE, strict=True)
        )
        coarse = plane[np.ix_(rows, columns)]
        return np.asarray(abs(coarse - person) < abs(coarse - room), np.float32)

    def close(self) -> None:
        """See `Segmenter.close`."""
        self.closed = True


class Fault(StrEnum):
    """Kinds of failures of a segmenter."""

    RAISE = "raise"
    HANG = "hang"
    NAN = "nan"
    WRONG_SHAPE = "wrong shape"
    WRONG_TYPE = "wrong type"
    OUT_OF_RANGE = "out of range"
    EMPTY = "empty"
    NONE = "none"


class FaultySegmenter(PersonSegmenter):
    """A `PersonSegmenter` that fails on chosen frames.

    Parameters
    ----------
    faults : mapping
        Fault for each failing call, counted from 0.

    Attributes
    ----------
    fault : Fault or None
        Fault of every call that `faults` does not name, while it is set. It fails a frame for sure
        where calls cannot be counted: work that has not begun in time is never begun.
    hanging : threading.Event
        Set once a call hangs.
    released : threading.Event
        Set it to release a hanging segmenter.
    """

    def __init__(self, faults: Mapping[int, Fault] = MappingProxyType({})) -> None:
        super().__init__()
        self._faults = faults
        self._calls = 0
        self.fault: Fault | None = None
        self.hanging = threading.Event()
        self.released = threading.Event()

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        fault = self._faults.get(self._calls, self.fault)
        self._calls += 1
        coarse = super().segment(frame)
        if fault is None:
            return coarse
        if fault is Fault.RAISE:
            message = "a fault was asked for"
            raise RuntimeError(message)
        if fault is Fault.HANG:
            self.hanging.set()
            self.released.wait()
            return np.ones_like(coarse)
        if fault is Fault.NAN:
            coarse[0, 0] = np.nan
        wrong: dict[Fault, object] = {
            Fault.NAN: coarse,
            Fault.WRONG_SHAPE: coarse[..., None],
            Fault.WRONG_TYPE: coarse.astype(np.float64),
            Fault.OUT_OF_RANGE: coarse + 1,
            Fault.EMPTY: coarse[:0],
            Fault.NONE: None,
        }
        return wrong[fault]  # type: ignore[return-value]


class FakeCamera:
    """A camera in which the synthetic person sways, which can be unplugged, hang and change.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels.
    rate : Fraction
        Frames a second, in real time.

    Attributes
    ----------
    opened : int
        Number of times it was opened.
    is_open : bool
        Whether its light is on.
    hanging : threading.Event
        While it is set, no frame comes.
    """

    def __init__(self, size: tuple[int, int] = (128, 72), rate: Fraction = Fraction(50)) -> None:
        self.size = size
        self.rate = rate
        self.opened = 0
        self.is_open = False
        self.hanging = threading.Event()
        self._plugged = True

    def plug(self) -> None:
        """Plug it in again."""
        self._plugged = True

    def unplug(self) -> None:
        """Unplug it: reading and opening raise an error."""
        self._plugged = False

    def open(self, _settings: object = None) -> Source:
        """Open it.

        Raises
        ------
        CameraMissingError
            If it is unplugged.
        """
        if not self._plugged:
            message = "the synthetic camera is unplugged. Plug it in."
            raise CameraMissingError(message, "synthetic")
        self.opened += 1
        return _CameraFrames(self)

    @property
    def is_plugged(self) -> bool:
        """Whether it is plugged in."""
        return self._plugged


class _CameraFrames(Source):
    """The frames of a `FakeCamera` since it was opened."""

    def __init__(self, camera: FakeCamera) -> None:
        self._camera = camera
        self._closed = threading.Event()
        camera.is_open = True
        width, height = camera.size
        self.info = SourceInfo(
            "synthetic camera",
            rate=camera.rate,
            time_base=MICROSECOND,
            negotiated=f"{width}x{height} synthetic, {camera.rate} frames/s",
        )

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        number = 0
        while not self._closed.wait(1 / float(self._camera.rate)):
            if not self._camera.is_plugged:
                self._camera.is_open = False
                message = "the synthetic camera was unplugged"
                raise CameraLostError(message, "synthetic")
            if not self._camera.hanging.is_set():
                drawn = PersonSource(self._camera.size).frame(number)
                yield drawn.shown_at(time.monotonic_ns() // 1000, MICROSECOND)
                number += 1

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()
        self._camera.is_open = False


class MemorySink(Sink):
    """Keeps the frames it is given."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.closed = False
        self.aborted = False

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        self.frames.append(frame)

    def close(self) -> None:
        """See `Sink.close`."""
        self.closed = True

    def abort(self) -> None:
        """See `Sink.abort`."""
        self.aborted = True


class MemoryLiveSink(MemorySink, LiveSink):
    """Keeps the frames that a live session sends, and fails, stalls or loses its readers on demand.

    Parameters
    ----------
    paced : bool
        Whether it wants frames at a constant rate.
    always : bool
        Whether it wants frames even without readers.

    Attributes
    ----------
    looking : int or None
        Result of `readers`.
    failing : bool
        While it is set, `write` raises.
    going : threading.Event
        While it is cleared, `write` waits.
    """

    def __init__(self, name: str = "memory", *, paced: bool = True, always: bool = False) -> None:
        super().__init__()
        self.name = name
        self.device = "memory"
        self.paced = paced
        self.always = always
        self.looking: int | None = 1
        self.failing = False
        self.going = threading.Event()
        self.going.set()

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        self.going.wait()
        if self.failing:
            message = "a failure was asked for"
            raise SinkError(message, self.name)
        super().write(frame)

    def readers(self) -> int | None:
        """See `LiveSink.readers`."""
        return self.looking


def count_room_pixels(frame: Frame, tolerance: int = 12) -> int:
    """Count the pixels that have the colour of the synthetic room, whatever their alpha."""
    rgb = frame.to_rgb().astype(np.int16)
    # A channel at a time: NumPy is slow along an axis of three.
    near = [abs(rgb[..., i] - value) <= tolerance for i, value in enumerate(ROOM_RGB)]
    return int(np.count_nonzero(near[0] & near[1] & near[2]))
