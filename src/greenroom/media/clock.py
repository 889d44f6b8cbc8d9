"""Clocks for live use, replaceable in tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading

__all__ = ["Clock", "MonotonicClock"]


class Clock(Protocol):
    """Source of time and waits."""

    def now(self) -> float:
        """Return monotonic seconds since an arbitrary start."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait for an event up to ``seconds``; return whether it is set."""


class MonotonicClock:
    """The system's monotonic clock."""

    def now(self) -> float:
        """See `Clock.now`."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        return event.wait(max(0.0, seconds))
