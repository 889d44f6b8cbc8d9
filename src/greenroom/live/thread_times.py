"""CPU time of threads, so that sessions in one process do not count each other's."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

__all__ = ["ThreadTimes"]


class ThreadTimes:
    """Sums the CPU time of threads, including ended ones.

    Where the system does not tell the time of another thread, which is everywhere but on Linux,
    it is the time of the whole process.

    Parameters
    ----------
    threads : callable
        Returns the threads of now.

    State: the time of each thread when it was last looked at. Not safe for threads.
    """

    def __init__(self, threads: Callable[[], Iterable[threading.Thread]]) -> None:
        self._threads = threads
        self._running_s: dict[threading.Thread, float] = {}
        self._ended_s = 0.0

    def total_s(self) -> float:
        """Return the CPU time so far, in seconds; it does not decrease."""
        if sys.platform != "linux":
            return time.process_time()
        running_s = {}
        for thread in self._threads():
            if thread.native_id is None or not thread.is_alive():  # the number may be another's now
                continue
            try:
                running_s[thread] = time.clock_gettime(_clock_of(thread.native_id))
            except OSError:  # ended
                continue
        for thread, last_s in self._running_s.items():
            if thread not in running_s:
                self._ended_s += last_s
        self._running_s = running_s
        return self._ended_s + sum(running_s.values())


def _clock_of(native_id: int) -> int:
    """Return the ID of Linux's CPU-time clock of a thread.

    As in the kernel's posix-timers.h: the number's complement, and the kinds "of one thread" (4)
    and "as the scheduler counts" (2). Unlike pthread_getcpuclockid it is safe for threads that
    have ended: reading it fails then.
    """
    return (~native_id << 3) | 4 | 2
