"""Frame pacing for constant-rate sinks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["FramePacer"]

# Safety margin for the camera's jitter: frames should arrive this long before the tick.
_MARGIN_S: Final = 0.003
# Largest phase correction of one tick, as a share of the period.
_MAX_CORRECTION: Final = 0.01
# Window of the phase estimate, in frames: the shortest wait in it counts, if the frame rate is
# within this share of the pacer's.
_WINDOW_FRAMES: Final = 30
_MIN_INTERVALS: Final = 5
_RATE_TOLERANCE: Final = 0.015


class FramePacer:
    """A constant frame rate whose phase is locked to the incoming frames, for low latency.

    If frames arrive at this rate, each is due just after its arrival. Otherwise the ticks are
    evenly spaced, and each takes the newest frame.

    Parameters
    ----------
    rate : Fraction
        Ticks a second.

    State: when the next tick is due, and how long the latest frames waited for theirs.
    """

    def __init__(self, rate: Fraction) -> None:
        self.rate = rate
        self._due_s: float | None = None
        self._waits_s: deque[float] = deque(maxlen=_WINDOW_FRAMES)
        self._came_s: deque[float] = deque(maxlen=_WINDOW_FRAMES)

    def left_s(self, now_s: float) -> float:
        """Time until the next tick, in seconds; zero or negative if it is due."""
        return 0.0 if self._due_s is None else self._due_s - now_s

    def begin(self, came_s: float, now_s: float) -> None:
        """Restart the phase with a frame that is sent now."""
        period_s = 1 / float(self.rate)
        self._waits_s.clear()
        self._came_s.clear()
        self._due_s = came_s + _MARGIN_S + period_s
        while self._due_s <= now_s:
            self._due_s += period_s

    def next(self, now_s: float, came_s: float | None = None) -> None:
        """Advance to the next tick.

        Parameters
        ----------
        now_s : float
            The time.
        came_s : float, optional
            When the frame that is sent now came, if it is a new one.
        """
        period_s = 1 / float(self.rate)
        pull_s = 0.0
        if came_s is not None:
            self._waits_s.append(now_s - came_s)
            self._came_s.append(came_s)
            if self._is_at_rate(period_s):
                most_s = _MAX_CORRECTION * period_s
                pull_s = min(max(_MARGIN_S - min(self._waits_s), -most_s), most_s)
                # Wait of each frame if the tick had been at the corrected phase.
                self._waits_s = deque((wait_s + pull_s for wait_s in self._waits_s), _WINDOW_FRAMES)
        due_s = now_s if self._due_s is None else self._due_s
        due_s += period_s + pull_s
        # After a longer stall the phase starts anew: missed ticks are not caught up.
        self._due_s = due_s if due_s > now_s else now_s + period_s

    def _is_at_rate(self, period_s: float) -> bool:
        """Whether frames arrive at the pacer's rate."""
        count = len(self._came_s) - 1
        if count < _MIN_INTERVALS:
            return False
        interval_s = (self._came_s[-1] - self._came_s[0]) / count
        # With few frames jitter dominates.
        allowed_s = _RATE_TOLERANCE * period_s + _MARGIN_S / count
        return abs(interval_s - period_s) < allowed_s
