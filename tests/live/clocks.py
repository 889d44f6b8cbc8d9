"""A clock that goes only when a test says so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

__all__ = ["FakeClock"]

# How long a wait really takes before it looks at the clock again, in seconds.
_LOOK_S = 0.001


class FakeClock:
    """Stands still until it is advanced; see `greenroom.media.clock.Clock`.

    Parameters
    ----------
    now_s : float
        What it shows first.
    """

    def __init__(self, now_s: float = 1000.0) -> None:
        self._now_s = now_s
        self._waiting: list[float] = []

    def now(self) -> float:
        """Return its time in seconds."""
        return self._now_s

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until an event is set or the clock was advanced by so much; tell whether it is."""
        end_s = self._now_s + seconds
        self._waiting.append(end_s)
        try:
            while not event.is_set() and self._now_s < end_s:
                event.wait(_LOOK_S)
            return event.is_set()
        finally:
            self._waiting.remove(end_s)

    def advance(self, seconds: float) -> None:
        """Go on by so much."""
        self._now_s += seconds

    def advance_to_next(self, within_s: float = 10.0) -> float:
        """Go on to when the first who waits wants to go on; return by how much that was.

        Parameters
        ----------
        within_s : float
            For how many real seconds it is waited until somebody waits; nothing happens if
            nobody does.
        """
        end_s = time.monotonic() + within_s
        while not (later := [until for until in list(self._waiting) if until > self._now_s]):
            if time.monotonic() >= end_s:
                return 0.0
            time.sleep(_LOOK_S)
        step_s = min(later) - self._now_s
        self._now_s += step_s
        return step_s
