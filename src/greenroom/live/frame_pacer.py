"""When a sink that wants a constant rate gets its next frame."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["Beat"]

# A new frame is to be there so long before it is due: cameras are not exact.
_MARGIN_S: Final = 0.003
# By at most this share of the period a beat comes earlier or later than the rate says.
_PULL: Final = 0.01
# Of so many new frames the one that waited least counts, if there are so many, and if they follow
# each other at the beat's rate: not further from that than by this share.
_WINDOW: Final = 30
_ENOUGH: Final = 5
_SAME: Final = 0.015


class Beat:
    """A constant rate whose phase follows that of the frames, so that they do not wait for long.

    Where frames come at the very rate, each is due just after it has come. Where they come at
    another, the beat goes on and takes what is newest.

    Parameters
    ----------
    rate : Fraction
        Beats a second.

    State: when the next one is due, and how long the latest frames waited for theirs.
    """

    def __init__(self, rate: Fraction) -> None:
        self.rate = rate
        self._due_s: float | None = None
        self._waits_s: deque[float] = deque(maxlen=_WINDOW)
        self._came_s: deque[float] = deque(maxlen=_WINDOW)

    def left_s(self, now_s: float) -> float:
        """How long to wait for the next beat, in seconds; not positive if it is due."""
        return 0.0 if self._due_s is None else self._due_s - now_s

    def begin(self, came_s: float, now_s: float) -> None:
        """Take a frame that is sent now, and begin anew with the phase in which it came."""
        period_s = 1 / float(self.rate)
        self._waits_s.clear()
        self._came_s.clear()
        self._due_s = came_s + _MARGIN_S + period_s
        while self._due_s <= now_s:
            self._due_s += period_s

    def next(self, now_s: float, came_s: float | None = None) -> None:
        """Go on to the next beat.

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
            if self._is_theirs(period_s):
                most_s = _PULL * period_s
                pull_s = min(max(_MARGIN_S - min(self._waits_s), -most_s), most_s)
                # So long they would have waited if the beat had been there.
                self._waits_s = deque((wait_s + pull_s for wait_s in self._waits_s), _WINDOW)
        due_s = now_s if self._due_s is None else self._due_s
        due_s += period_s + pull_s
        # What was held up for longer goes on from there, without catching up.
        self._due_s = due_s if due_s > now_s else now_s + period_s

    def _is_theirs(self, period_s: float) -> bool:
        """Whether frames come at the rate of the beat."""
        count = len(self._came_s) - 1
        if count < _ENOUGH:
            return False
        interval_s = (self._came_s[-1] - self._came_s[0]) / count
        # Over few frames a camera's inexactness counts.
        allowed_s = _SAME * period_s + _MARGIN_S / count
        return abs(interval_s - period_s) < allowed_s
