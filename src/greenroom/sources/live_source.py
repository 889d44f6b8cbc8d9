"""Base of live sources: closing on any thread, silence, and capture times."""

from __future__ import annotations

import threading
from abc import abstractmethod
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from greenroom.media.colour import BT601
from greenroom.sources.camera_errors import lost_error
from greenroom.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from greenroom.errors import CameraError
    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame

__all__ = ["CAMERA_MATRIX", "DEFAULT_RATE", "LiveSource", "captured_s", "video_text"]

DEFAULT_RATE: Final = Fraction(30)
"""Frame rate of a source that does not declare one."""
CAMERA_MATRIX: Final = BT601[0]
"""Colour matrix of webcams that declare none, at any size (USB video class 1.5, 3.9.2.6)."""

# A device's own time stamp is used if it is at most this old.
_MAX_TIMESTAMP_AGE_S: Final = 0.5
# Codec names for display.
_CODEC_NAMES: Final = {"mjpeg": "MJPEG", "h264": "H.264", "hevc": "HEVC", "yuyv422": "YUYV"}


class LiveSource(Source):
    """A device or stream that one thread reads, and any thread closes.

    A subclass has `_frames`, which ends once ``_closing`` is set, and `_release`, which is never
    called while `_frames` is at work.

    Parameters
    ----------
    name : str
        Name for messages.
    device : str
        Device file, for messages; empty if there is none.
    clock : Clock
        Source of the time.
    silence_s : float
        Time without a frame after which the source counts as lost.

    State: when the last frame was taken, and whether it is closing.
    """

    def __init__(self, name: str, device: str, clock: Clock, silence_s: float) -> None:
        self._name = name
        self._device = device
        self._clock = clock
        self._silence_s = silence_s
        self._closing = threading.Event()
        self._reading = threading.Lock()
        self._seen_s = clock.now()

    @abstractmethod
    def _frames(self) -> Generator[Frame]:
        """Yield the frames; see `__iter__`."""

    @abstractmethod
    def _release(self) -> None:
        """Release the device; may be called again."""

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`.

        Raises
        ------
        CameraLostError
            If it ends, breaks, or gives no frame for a while.
        """
        with self._reading:
            try:
                self._seen_s = self._clock.now()
                with closing(self._frames()) as frames:
                    for frame in frames:
                        yield frame
                        self._seen_s = self._clock.now()
            finally:
                self._closing.set()
                self._release()

    def close(self) -> None:
        """See `Source.close`; a reading thread closes it as soon as it can."""
        self._closing.set()
        if self._reading.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._reading.release()

    def _check_silence(self) -> None:
        """Raise if no frame came for too long."""
        if self._clock.now() - self._seen_s > self._silence_s:
            reason = f"no whole frame came for {self._silence_s:g} s"
            raise self._lost(reason)

    def _lost(self, reason: str) -> CameraError:
        return lost_error(self._name, reason, self._device)


def captured_s(stamp_s: float | None, now_s: float) -> float:
    """Return the capture time: the driver's time stamp if it is of the same clock as ``now_s``."""
    if stamp_s is None or not 0 <= now_s - stamp_s < _MAX_TIMESTAMP_AGE_S:
        return now_s
    return stamp_s


def video_text(size: tuple[int, int], kind: str, rate: Fraction | None) -> str:
    """Describe a source's video, such as ``1280x720 MJPEG, 30 frames/s``."""
    said = f"{size[0]}x{size[1]} {_CODEC_NAMES.get(kind, kind.upper())}"
    return f"{said}, {float(rate):.4g} frames/s" if rate else said
