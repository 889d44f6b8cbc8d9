"""Time, as everything live sees it, so that tests can have their own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading

__all__ = ["Clock", "MonotonicClock"]


class Clock(Protocol):
    """Tells time and waits."""

    def now(self) -> float:
        """Return seconds since some moment; never goes back."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event, at most so long; tell whether it is set."""


class MonotonicClock:
    """The machine's own monotonic clock."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        return event.wait(max(0.0, seconds))
