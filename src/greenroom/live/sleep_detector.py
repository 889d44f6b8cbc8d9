"""Detection of system sleep, which cameras rarely survive."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SleepDetector", "seconds_asleep"]

# Tolerance for clock corrections by the network, in seconds.
_JUMP_S: Final = 2.0


def seconds_asleep() -> float:
    """Return a clock difference that grows by the seconds the machine sleeps.

    Linux has a clock that goes on in sleep beside one that does not. Elsewhere it is the wall
    clock that goes on; to set that forward looks the same, and costs a look at the camera.
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is not None:
        return time.clock_gettime(boottime) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.time() - time.monotonic()


class SleepDetector:
    """Detects whether the machine slept since the last call.

    Parameters
    ----------
    asleep_s : callable
        `seconds_asleep` unless a test has its own.
    """

    def __init__(self, asleep_s: Callable[[], float] = seconds_asleep) -> None:
        self._asleep_s = asleep_s
        self._before_s = asleep_s()

    def happened(self) -> bool:
        """Return whether the machine slept since the last call."""
        now_s = self._asleep_s()
        jump_s, self._before_s = now_s - self._before_s, now_s
        return jump_s > _JUMP_S
