"""Timings of the stages of the engine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["StageTime", "Timings"]

# Capacity of each ring, so that memory stays constant over hours.
_CAPACITY: Final = 4096


@dataclass(frozen=True, slots=True)
class StageTime:
    """Median and 95th percentile of a stage's time, in milliseconds."""

    median_ms: float
    p95_ms: float


class Timings:
    """The latest times of each stage. Written on one thread, read on any.

    State: a ring buffer for each stage.
    """

    def __init__(self) -> None:
        self._rings: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
        self._counts: dict[str, int] = {}

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Return a context that measures its body; failures are not counted."""
        return _StageTimer(self, name)

    def add(self, name: str, seconds: float) -> None:
        """Add one run of a stage."""
        ring = self._rings.get(name)
        if ring is None:
            ring = self._rings[name] = np.zeros(_CAPACITY)
        count = self._counts.get(name, 0)
        ring[count % _CAPACITY] = seconds
        self._counts[name] = count + 1

    def clear(self) -> None:
        """Clear all timings."""
        self._counts.clear()  # the rings stay: they are written anew

    @property
    def latest(self) -> dict[str, float]:
        """Time of every stage's last run, in milliseconds."""
        return {
            name: 1000 * float(self._rings[name][(count - 1) % _CAPACITY])
            for name, count in list(self._counts.items())
        }

    def since(self, seen: dict[str, int]) -> dict[str, float]:
        """Return the latest time of every stage that ran since, in milliseconds.

        Parameters
        ----------
        seen : dict
            How often each stage had run by then; it is brought up to date.
        """
        ran = {}
        for name, count in list(self._counts.items()):
            if count != seen.get(name):
                seen[name] = count
                ran[name] = 1000 * float(self._rings[name][(count - 1) % _CAPACITY])
        return ran

    def summary(self, last: int = _CAPACITY) -> dict[str, StageTime]:
        """Return the times of every stage, in order of their first run.

        Parameters
        ----------
        last : int
            Number of latest runs that count.
        """
        result = {}
        for name, count in list(self._counts.items()):
            kept = np.arange(max(0, count - min(last, _CAPACITY)), count) % _CAPACITY
            times_ms = np.sort(1000 * self._rings[name][kept])
            # As np.percentile, whose first call imports masked arrays (0.1 s).
            places = np.array([0.5, 0.95]) * (times_ms.size - 1)
            median_ms, p95_ms = np.interp(places, np.arange(times_ms.size), times_ms)
            result[name] = StageTime(float(median_ms), float(p95_ms))
        return result


class _StageTimer:
    """Context of one run; a generator-based one would take twice as long."""

    __slots__ = ("_name", "_start_s", "_timings")

    def __init__(self, timings: Timings, name: str) -> None:
        self._timings = timings
        self._name = name

    def __enter__(self) -> None:
        self._start_s = time.perf_counter()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._timings.add(self._name, time.perf_counter() - self._start_s)
