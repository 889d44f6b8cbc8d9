"""Limits of how often something may happen."""

from __future__ import annotations

__all__ = ["Allowance"]


class Allowance:
    """A token bucket: up to ``rate`` a second, and as many at once.

    Parameters
    ----------
    rate : float
        In 1/s.

    Attributes
    ----------
    refused : int
    """

    __slots__ = ("_left", "_rate", "_then_s", "refused")

    def __init__(self, rate: float) -> None:
        self.refused = 0
        self._rate = rate
        self._left = rate
        self._then_s = 0.0

    def take(self, now_s: float) -> bool:
        """Return whether one more is allowed at a time of a monotonic clock."""
        self._left = min(self._rate, self._left + (now_s - self._then_s) * self._rate)
        self._then_s = now_s
        if self._left < 1:
            self.refused += 1
            return False
        self._left -= 1
        return True
