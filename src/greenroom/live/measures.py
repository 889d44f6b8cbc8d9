"""Measurements of a live session: frame rates, latency, CPU time."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame

__all__ = ["Measured", "Measures"]

# Window of the rates, in seconds.
_WINDOW_S: Final = 2.0
_WINDOW_FRAMES: Final = 1024
# After this long without a frame, CPU time is counted anew.
_PAUSE_S: Final = 0.5


@dataclass(slots=True)
class Measured:
    """Timing of one frame in the engine."""

    measures: Measures
    begun_s: float
    cpu_begun_s: float
    frame_ms: float = 0.0
    cpu_ms: float = 0.0
    now_s: float = 0.0

    def done(self, frame: Frame) -> None:
        """Mark the frame as finished."""
        self.measures.left(self, frame)


class Measures:
    """Written on the threads of frames, read on any.

    Parameters
    ----------
    clock : Clock
        Tells time.
    cpu_s : callable
        Returns the CPU time so far, in seconds.

    State: the times of the latest frames.
    """

    def __init__(self, clock: Clock, cpu_s: Callable[[], float] = time.process_time) -> None:
        self._clock = clock
        self._read_cpu_s = cpu_s
        self._came_s: deque[float] = deque(maxlen=_WINDOW_FRAMES)
        self._left_s: deque[float] = deque(maxlen=_WINDOW_FRAMES)
        self._latency_s: deque[float] = deque(maxlen=_WINDOW_FRAMES)
        self._cpu_s = cpu_s()
        self._cpu: deque[tuple[float, float]] = deque(
            [(clock.now(), self._cpu_s)], maxlen=_WINDOW_FRAMES
        )

    def came(self) -> None:
        """Count a frame from the camera."""
        self._came_s.append(self._clock.now())

    def frame(self) -> Measured:
        """Start the timing of a frame.

        After a while without any, as under the cover, what the process did then does not count.
        """
        if self._left_s and self._clock.now() - self._left_s[-1] > _PAUSE_S:
            self._cpu_s = self._read_cpu_s()
        return Measured(self, self._clock.now(), self._cpu_s)

    def left(self, measured: Measured, frame: Frame) -> None:
        """Count a finished frame.

        CPU time is that since the last one, if that is not long ago: capture and sinks count too.
        """
        measured.now_s = now_s = self._clock.now()
        measured.frame_ms = 1000 * (now_s - measured.begun_s)
        cpu_s = self._read_cpu_s()
        measured.cpu_ms = 1000 * (cpu_s - self._cpu_s)
        self._cpu_s = cpu_s
        self._cpu.append((now_s, cpu_s))
        self._left_s.append(now_s)
        if frame.time_s is not None:
            self._latency_s.append(now_s - frame.time_s)

    @property
    def rate_in(self) -> float:
        """Frames a second from the camera."""
        return _rate(self._came_s, self._clock.now())

    def summary(self) -> dict[str, Any]:
        """Return rates, latency and CPU time under the names of `Status`."""
        now_s = self._clock.now()
        latencies_ms = 1000 * np.array(self._latency_s)
        latency = {}
        if len(latencies_ms):
            p50, p99 = np.percentile(latencies_ms, (50, 99))
            latency = {"p50": round(float(p50), 2), "p99": round(float(p99), 2)}
        return {
            "rate_in": self.rate_in,
            "rate_out": _rate(self._left_s, now_s),
            "latency_ms": latency,
            "cpu_percent": self._cpu_percent(now_s),
        }

    def _cpu_percent(self, now_s: float) -> float:
        """CPU time over the last seconds, in % of one core."""
        cpu_s = self._read_cpu_s()
        then_s, then_cpu_s = next(
            (one for one in list(self._cpu) if now_s - one[0] <= _WINDOW_S), self._cpu[-1]
        )
        passed_s = now_s - then_s
        return round(100 * (cpu_s - then_cpu_s) / passed_s, 1) if passed_s > 0 else 0.0


def _rate(times_s: deque[float], now_s: float) -> float:
    """Frames a second over the last seconds."""
    recent = [one for one in list(times_s) if now_s - one <= _WINDOW_S]
    if len(recent) < 2 or recent[-1] <= recent[0]:
        return 0.0
    return round((len(recent) - 1) / (recent[-1] - recent[0]), 1)
