"""The order of the work: what a free worker does next, what is tried again, and when.

It does no input or output and knows no processes, so that one machine and a cluster are planned
alike. Files come from an iterator, which is read only as far as workers need it: memory is the
same for ten files and for a million.

::

    a short file         whole
    a long one           split ──▶ segment, segment, … ──▶ join
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Kind", "Planner", "Retries", "Unit", "Verdict"]

# Files that wait for another attempt while others are begun. With more, something is wrong that
# concerns them all, and it is waited for.
_MOST_WAITING: Final = 256


class Kind(StrEnum):
    """Kind of a unit of work."""

    WHOLE = "whole"
    """A file from its beginning to its end."""
    SPLIT = "split"
    """Find out where a long file is divided."""
    SEGMENT = "segment"
    """One part of it."""
    JOIN = "join"
    """All parts to one output."""


class Unit(NamedTuple):
    """What a worker does at a time.

    Attributes
    ----------
    file : int
        Number of the file in the manifest.
    kind : Kind
    part : int
        Number of the segment, from 0 on; 0 for the other kinds.
    """

    file: int
    kind: Kind
    part: int = 0


@dataclass(frozen=True, slots=True)
class Retries:
    """Attempts at a unit, and the pauses between them.

    Attributes
    ----------
    attempts : int
        In all, the first one included.
    first_s, longest_s : float
        Pause before the second attempt, and the longest one, in seconds.
    factor : float
        Every pause is that many times the one before.
    machines : int
        Machines that may be lost with a unit, before its file is taken for the reason. They are
        no attempts: where machines are lost every few hours, one of a hundred thousand segments
        meets three of them.
    """

    attempts: int = 3
    first_s: float = 5.0
    longest_s: float = 60.0
    factor: float = 6.0
    machines: int = 20

    def pause_s(self, failures: int) -> float:
        """Return the pause after so many failures, in seconds.

        >>> [Retries().pause_s(failures) for failures in (1, 2, 3)]
        [5.0, 30.0, 60.0]
        """
        return min(self.longest_s, self.first_s * self.factor ** min(failures - 1, 32))


class Verdict(StrEnum):
    """What follows from a failure."""

    AGAIN = "again"
    GIVEN_UP = "given up"
    IGNORED = "ignored"
    """Its file was given up before."""


class _Waiting(NamedTuple):
    due_s: float
    number: int  # keeps the order of those that are due at once
    unit: Unit


class Planner:
    """Hands out units of work, and takes back how they ended. For one thread.

    Parameters
    ----------
    files : iterable of sequences of Unit
        For each file what can begin at once: one unit of any kind, or the segments that are left.
        The longest file first keeps all workers busy to the end.
    clock : callable
        Returns seconds that do not run backwards, such as `time.monotonic`. If they do, nothing
        waits longer than the longest pause.
    retries : Retries

    Notes
    -----
    State: units that are ready, that run and that wait; for each file that is begun, how many
    of its segments are left.
    """

    def __init__(
        self,
        files: Iterable[Sequence[Unit]],
        clock: Callable[[], float],
        retries: Retries | None = None,
    ) -> None:
        self._files = iter(files)
        self._clock = clock
        self._retries = retries or Retries()
        self._ready: deque[Unit] = deque()
        self._waiting: list[_Waiting] = []
        self._running: set[Unit] = set()
        self._failures: dict[Unit, int] = {}
        self._machines_lost: dict[Unit, int] = {}
        self._left: dict[int, int] = {}
        self._abandoned: dict[int, int] = {}  # units of a given-up file that still run
        self._has_more = True
        self._number = 0

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing to do, to wait for or to begin."""
        return not (self._ready or self._running or self._waiting or self._has_more)

    @property
    def running(self) -> int:
        """Number of units that were handed out and have not ended."""
        return len(self._running)

    def next(self) -> Unit | None:
        """Return the next unit for a worker that is free; None if none can begin now."""
        unit = self._due() or self._begun() or self._from_next_file()
        if unit is not None:
            self._running.add(unit)
        return unit

    def wait_s(self) -> float | None:
        """Return how long it is until a unit is due again, in seconds; None if none waits."""
        if not self._waiting:
            return None
        return max(0.0, min(self._waiting[0].due_s - self._clock(), self._retries.longest_s))

    def finish(self, unit: Unit, segments: int = 0) -> None:
        """Note that a unit is done, and plan what follows from it.

        Parameters
        ----------
        unit : Unit
            One that was handed out.
        segments : int
            Of a split: how many segments the file has; with 0 it is done as a whole.
        """
        self._running.discard(unit)
        self._forget_failures(unit)
        if self._was_abandoned(unit):
            return
        if unit.kind is Kind.SPLIT and segments:
            self._left[unit.file] = segments
            parts = (Unit(unit.file, Kind.SEGMENT, part) for part in reversed(range(segments)))
            self._ready.extendleft(parts)
        elif unit.kind is Kind.SPLIT:
            self._ready.appendleft(Unit(unit.file, Kind.WHOLE))
        elif unit.kind is Kind.SEGMENT:
            self._left[unit.file] -= 1
            if not self._left[unit.file]:
                del self._left[unit.file]
                self._ready.appendleft(Unit(unit.file, Kind.JOIN))

    def fail(self, unit: Unit, *, may_pass: bool) -> Verdict:
        """Note that a unit failed, or that its worker ended.

        Parameters
        ----------
        unit : Unit
            One that was handed out.
        may_pass : bool
            Whether another attempt may succeed.

        Returns
        -------
        Verdict
            With `Verdict.GIVEN_UP` nothing more of its file is handed out.
        """
        failures = self._failures.get(unit, 0) + 1
        may_pass = may_pass and failures < self._retries.attempts
        return self._take_back(unit, self._failures, failures, may_pass=may_pass)

    def lose(self, unit: Unit) -> Verdict:
        """Note that a unit was lost with its machine, for which its file is hardly the reason.

        Parameters
        ----------
        unit : Unit
            One that was handed out.

        Returns
        -------
        Verdict
            See `fail`.
        """
        lost = self._machines_lost.get(unit, 0) + 1
        may_pass = lost <= self._retries.machines
        return self._take_back(unit, self._machines_lost, lost, may_pass=may_pass)

    def do_whole(self, unit: Unit) -> None:
        """Take back the join of a file whose segments do not fit, and plan it as a whole."""
        self._running.discard(unit)
        self._forget_failures(unit)
        self._ready.appendleft(Unit(unit.file, Kind.WHOLE))

    def stop(self) -> None:
        """Hand out nothing more; what runs may end."""
        self._ready.clear()
        self._waiting.clear()
        self._has_more = False

    def _take_back(
        self, unit: Unit, counts: dict[Unit, int], count: int, *, may_pass: bool
    ) -> Verdict:
        """Have a unit wait for its next attempt, or give its file up."""
        self._running.discard(unit)
        if self._was_abandoned(unit):
            return Verdict.IGNORED
        if not may_pass:
            self._abandon(unit.file)
            return Verdict.GIVEN_UP
        counts[unit] = count
        self._number += 1
        due_s = self._clock() + self._retries.pause_s(count)
        heapq.heappush(self._waiting, _Waiting(due_s, self._number, unit))
        return Verdict.AGAIN

    def _forget_failures(self, unit: Unit) -> None:
        self._failures.pop(unit, None)
        self._machines_lost.pop(unit, None)

    def _due(self) -> Unit | None:
        """Return a unit whose pause is over."""
        wait_s = self.wait_s()
        if wait_s is None:
            return None
        jumped_back = self._waiting[0].due_s - self._clock() > self._retries.longest_s
        return heapq.heappop(self._waiting).unit if wait_s == 0 or jumped_back else None

    def _begun(self) -> Unit | None:
        return self._ready.popleft() if self._ready else None

    def _from_next_file(self) -> Unit | None:
        if not self._has_more or len(self._waiting) >= _MOST_WAITING:
            return None
        units = next(self._files, None)
        if units is None:
            self._has_more = False
            return None
        segments = sum(unit.kind is Kind.SEGMENT for unit in units)
        if segments:
            self._left[units[0].file] = segments
        self._ready.extend(units)
        return self._begun()

    def _abandon(self, file: int) -> None:
        """Forget what is left of a file; units of it that run are ignored when they end."""
        self._left.pop(file, None)
        if any(unit.file == file for unit in self._ready):
            self._ready = deque(unit for unit in self._ready if unit.file != file)
        if any(waiting.unit.file == file for waiting in self._waiting):
            self._waiting = [one for one in self._waiting if one.unit.file != file]
            heapq.heapify(self._waiting)
        for counts in (self._failures, self._machines_lost):
            for unit in [unit for unit in counts if unit.file == file]:
                del counts[unit]
        still = sum(unit.file == file for unit in self._running)
        if still:
            self._abandoned[file] = still

    def _was_abandoned(self, unit: Unit) -> bool:
        """Whether a unit that ended belongs to a file that was given up."""
        if unit.file not in self._abandoned:
            return False
        self._abandoned[unit.file] -= 1
        if not self._abandoned[unit.file]:
            del self._abandoned[unit.file]
        return True
