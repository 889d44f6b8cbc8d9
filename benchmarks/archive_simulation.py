"""The planner of archives, simulated: when 100,000 segments end on machines that are lost.

    .venv/bin/python benchmarks/archive_simulation.py
    .venv/bin/python benchmarks/archive_simulation.py --driver

It is the planner itself, with a clock that jumps from event to event; nothing is read or written.
What it plans is drawn: recordings from minutes to hours, of sizes that tell their work only
roughly, and segments whose work varies. Machines are lost at random moments, with all that they are
at, which is noticed a while later, and come back after another while.

The ideal is the moment at which all machines, at full work but for when they are away, would have
done as much, what was lost with machines included.

With ``--driver`` it is a whole batch with its manifest, whose workers do nothing, on a disk in
memory: what the process in front takes.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import random
import tempfile
import time
import tracemalloc
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.archives.batch import Batch
from greenroom.archives.inputs import Recording
from greenroom.archives.jobs import Crew
from greenroom.archives.manifest import Made
from greenroom.archives.output_folder import OutputFolder
from greenroom.archives.planner import Kind, Planner, Retries, Unit, Verdict
from greenroom.archives.storage import Entry, storage_of
from greenroom.archives.tasks import Finished
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from greenroom.archives.tasks import News, Task

# Work of a second of video in CPU seconds (docs/scale.md), and how often it comes.
_WORK_S: Final = (0.3, 0.6, 1.1, 5.1)  # 360p, 720p, 1080p, 4K at 30 frames a second
_SHARES: Final = (2, 4, 4, 1)
_SPLIT_S: Final = 2.0
_JOIN_S: Final = 0.005  # for each second of work in the segments: they are copied
_NOTICED_S: Final = 30.0
_AWAY_S: Final = 300.0
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there


@dataclass(frozen=True, slots=True)
class Case:
    """What is simulated.

    Attributes
    ----------
    name : str
    segments : int
        About so many of all recordings together.
    recordings : int
        So many in place of that; 0 for as many as have the segments.
    machines, workers : int
        Machines, and workers on each of them.
    segment_s : float
        Length of segments in seconds of video; 0 if recordings are not divided.
    life_s : float
        Mean time until a machine is lost; 0 for never.
    slow : float
        Share of the machines that have half the speed.
    seed : int
    """

    name: str
    segments: int = 100_000
    recordings: int = 0
    machines: int = 16
    workers: int = 16
    segment_s: float = 600.0
    life_s: float = 24 * 3600.0
    slow: float = 0.0
    seed: int = 17


CASES: Final = (
    Case("one machine", machines=1),
    Case("16 machines"),
    Case("64 machines", machines=64),
    Case("256 machines", machines=256),
    Case("16 machines, lost every 2 h", life_s=2 * 3600.0),
    Case("64 machines, lost every 2 h", machines=64, life_s=2 * 3600.0),
    Case("16 machines, a quarter at half speed", slow=0.25),
    Case("16 machines, recordings in one piece", segment_s=0.0),
    Case("4000 recordings in one piece", recordings=4000, segment_s=0.0),
    Case("4000 recordings, segments of 600 s", recordings=4000),
    Case("4000 recordings, segments of 120 s", recordings=4000, segment_s=120.0),
    Case("4000, 600 s, 64 machines", recordings=4000, machines=64),
    Case("4000, 120 s, 64 machines", recordings=4000, machines=64, segment_s=120.0),
)


@dataclass(slots=True)
class Result:
    """What came of it.

    Attributes
    ----------
    units, segments : int
        Units that were done, and how many of them were segments or recordings in one piece.
    given_up : int
        Recordings that were given up.
    lost : int
        Units that were lost with a machine.
    work_s, lost_s : float
        Work in the units, and in what was lost, at full speed.
    ideal_s, end_s, last_s : float
        Ideal moment of the end, that of the end, and the longest unit, on a slow machine if there
        are any.
    most_begun : int
        Most recordings that were divided and not joined at a time.
    most_parts : int
        Most segments that were done and not joined at a time.
    planner_s : float
        CPU time that the planner took.
    """

    units: int = 0
    segments: int = 0
    given_up: int = 0
    lost: int = 0
    work_s: float = 0.0
    lost_s: float = 0.0
    ideal_s: float = 0.0
    end_s: float = 0.0
    last_s: float = 0.0
    most_begun: int = 0
    most_parts: int = 0
    planner_s: float = 0.0


class Clock:
    """Seconds that the simulation sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@dataclass(slots=True)
class Machine:
    """One machine: its speed, what it is at, and whether it is there."""

    number: int
    speed: float
    is_there: bool = True
    running: dict[int, tuple[Unit, float, float]] = field(default_factory=dict)


class Archive:
    """Recordings that are drawn: as many as have so many segments, the largest file first."""

    def __init__(self, case: Case) -> None:
        chance = random.Random(case.seed)  # noqa: S311 - not a secret
        drawn: list[tuple[float, float, int]] = []
        planned = 0
        while len(drawn) < case.recordings or (not case.recordings and planned < case.segments):
            length_s = min(chance.lognormvariate(7.9, 0.8), 10 * 3600.0)  # median 45 min
            (work,) = chance.choices(_WORK_S, _SHARES)
            count = max(1, round(length_s / case.segment_s)) if case.segment_s else 1
            size = length_s * work * chance.lognormvariate(0.0, 0.5)
            drawn.append((size, length_s * work, count))
            planned += count
        drawn.sort(reverse=True)
        self.work_s = [work_s for _, work_s, _ in drawn]
        self.counts = [count for _, _, count in drawn]
        self._is_divided = case.segment_s > 0
        self._seed = case.seed

    def units(self) -> Iterator[Sequence[Unit]]:
        """Yield what can begin of each recording."""
        kind = Kind.SPLIT if self._is_divided else Kind.WHOLE
        return ((Unit(number, kind),) for number in range(len(self.counts)))

    def seconds(self, unit: Unit) -> float:
        """Return the work in a unit; the same each time."""
        if unit.kind is Kind.SPLIT:
            return _SPLIT_S
        if unit.kind is Kind.JOIN:
            return _JOIN_S * self.work_s[unit.file]
        draw = random.Random(unit.file * 4099 + unit.part + self._seed)  # noqa: S311 - not a secret
        return self.work_s[unit.file] / self.counts[unit.file] * draw.uniform(0.6, 1.4)

    def finish(self, planner: Planner, unit: Unit) -> None:
        """Tell the planner that a unit is done."""
        count = self.counts[unit.file]
        planner.finish(unit, count if unit.kind is Kind.SPLIT and count > 1 else 0)


class Simulation:
    """The machines, and what happens to them."""

    def __init__(self, case: Case, planner: Planner, archive: Archive, clock: Clock) -> None:
        self._case, self._planner, self._archive, self._clock = case, planner, archive, clock
        self._chance = random.Random(case.seed + 1)  # noqa: S311 - not a secret
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, Machine, int]] = []
        slow = round(case.slow * case.machines)
        self._machines = [
            Machine(number, 0.5 if number < slow else 1.0) for number in range(case.machines)
        ]
        self._free = list(range(case.machines)) * case.workers
        self._capacity: list[tuple[float, float]] = [(0.0, self._speed())]
        self._parts: dict[int, int] = {}
        self._parts_there = 0
        self.result = Result()

    def run(self, look: Callable[[], None] = lambda: None, every: int = 1 << 62) -> Result:
        """Return what comes of it; ``look`` is called every so many units."""
        if self._case.life_s:
            for machine in self._machines:
                self._lose_later(machine)
        while not self._planner.is_finished:
            self._give()
            self._step()
            if self.result.units % every == every - 1:
                look()
        self.result.end_s = self._clock.now_s
        self.result.ideal_s = self._ideal_s()
        return self.result

    def _at(self, moment_s: float, what: str, machine: Machine, key: int = 0) -> None:
        heapq.heappush(self._events, (moment_s, next(self._order), what, machine, key))

    def _lose_later(self, machine: Machine) -> None:
        life_s = self._chance.expovariate(1 / self._case.life_s)
        self._at(self._clock.now_s + life_s, "lost", machine)

    def _give(self) -> None:
        """Give units to workers that are free."""
        while self._free:
            began_s = time.thread_time()
            unit = self._planner.next()
            self.result.planner_s += time.thread_time() - began_s
            if unit is None:
                return
            machine = self._machines[self._free.pop()]
            work_s = self._archive.seconds(unit)
            key, took_s = next(self._order), work_s / machine.speed
            self.result.last_s = max(self.result.last_s, took_s)
            machine.running[key] = unit, work_s, self._clock.now_s
            # A machine that is lost and not noticed is given work, too.
            if machine.is_there:
                self._at(self._clock.now_s + took_s, "done", machine, key)

    def _step(self) -> None:
        """Let the next thing happen."""
        pause_s = self._planner.wait_s() if self._free else None
        next_s = self._events[0][0] if self._events else float("inf")
        if pause_s is not None and self._clock.now_s + pause_s < next_s:
            self._clock.now_s += pause_s
            return
        if not self._events:
            return
        self._clock.now_s, _, what, machine, key = heapq.heappop(self._events)
        if what == "done" and key in machine.running and machine.is_there:
            self._end(machine, key)
        elif what == "lost":
            machine.is_there = False
            self._capacity.append((self._clock.now_s, self._speed()))
            self._at(self._clock.now_s + _NOTICED_S, "noticed", machine)
            for _, work_s, began_s in machine.running.values():
                done_s = (self._clock.now_s - began_s) * machine.speed
                self.result.lost_s += min(work_s, done_s)
        elif what == "noticed":
            self._free = [number for number in self._free if number != machine.number]
            units = [unit for unit, _, _ in machine.running.values()]
            machine.running.clear()
            for unit in units:
                self._fail(unit)
            self._at(self._clock.now_s + _AWAY_S, "back", machine)
        elif what == "back":
            machine.is_there = True
            self._free += [machine.number] * self._case.workers
            self._capacity.append((self._clock.now_s, self._speed()))
            self._lose_later(machine)

    def _end(self, machine: Machine, key: int) -> None:
        """Take back a unit that is done."""
        unit, work_s, _ = machine.running.pop(key)
        self._free.append(machine.number)
        result = self.result
        result.units += 1
        result.segments += unit.kind in (Kind.SEGMENT, Kind.WHOLE)
        result.work_s += work_s
        if unit.kind is Kind.SEGMENT:
            self._parts[unit.file] = self._parts.get(unit.file, 0) + 1
            self._parts_there += 1
        elif unit.kind is Kind.JOIN:
            self._parts_there -= self._parts.pop(unit.file)
        result.most_begun = max(result.most_begun, len(self._parts))
        result.most_parts = max(result.most_parts, self._parts_there)
        began_s = time.thread_time()
        self._archive.finish(self._planner, unit)
        result.planner_s += time.thread_time() - began_s

    def _fail(self, unit: Unit) -> None:
        """Take back a unit that was lost with its machine."""
        self.result.lost += 1
        began_s = time.thread_time()
        verdict = self._planner.lose(unit)
        self.result.planner_s += time.thread_time() - began_s
        if verdict is Verdict.GIVEN_UP:
            self.result.given_up += 1
            self._parts_there -= self._parts.pop(unit.file, 0)

    def _speed(self) -> float:
        """Return the work that all machines do in a second."""
        there = sum(machine.speed for machine in self._machines if machine.is_there)
        return there * self._case.workers

    def _ideal_s(self) -> float:
        """Return when all that was done could have been done."""
        left_s = self.result.work_s + self.result.lost_s
        for (moment_s, speed), (until_s, _) in itertools.pairwise(
            [*self._capacity, (float("inf"), 0.0)]
        ):
            if speed and left_s <= (until_s - moment_s) * speed:
                return moment_s + left_s / speed
            left_s -= (until_s - moment_s) * speed
        raise AssertionError


def simulate(case: Case, retries: Retries | None = None) -> Result:
    """Return what comes of a case."""
    clock, archive = Clock(), Archive(case)
    planner = Planner(archive.units(), clock, retries)
    return Simulation(case, planner, archive, clock).run()


def planner_bytes(case: Case) -> int:
    """Return the most memory that the planner has of a case, in bytes."""
    clock, archive = Clock(), Archive(case)
    planner = Planner(archive.units(), clock)
    here = tracemalloc.Filter(inclusive=True, filename_pattern="*planner.py")
    sizes = [0]

    def look() -> None:
        found = tracemalloc.take_snapshot().filter_traces([here]).traces
        sizes.append(sum(trace.size for trace in found))

    tracemalloc.start()
    try:
        Simulation(case, planner, archive, clock).run(look, every=max(1, case.segments // 20))
    finally:
        tracemalloc.stop()
    return max(sizes)


class IdleCrew(Crew):
    """Workers that claim to have done what they are given: what is left is the driver's work."""

    def __init__(self, workers: int, parts: int) -> None:
        self._workers, self._parts = workers, parts
        self._given: deque[Task] = deque()
        self.done = 0

    @property
    def free(self) -> int:
        """See `Crew.free`."""
        return self._workers - len(self._given)

    def give(self, task: Task) -> None:
        """See `Crew.give`."""
        self._given.append(task)

    def news(self, timeout_s: float) -> Sequence[News]:
        """See `Crew.news`."""
        del timeout_s
        if not self._given:
            return ()
        task = self._given.popleft()
        self.done += task.unit.kind is Kind.SEGMENT
        entry = Entry(task.input, task.size, task.fingerprint)
        if task.unit.kind is Kind.SPLIT:
            segments = tuple(f'{{"part": {part}}}' for part in range(self._parts))
            return (Finished(task.unit, None, entry, {}, None, segments),)
        name, fingerprint = task.target, ""
        if task.unit.kind is Kind.JOIN:
            Path(task.target).touch()
            found = storage_of(task.target).entry(task.target)
            assert found is not None
            fingerprint = found.fingerprint
        return (Finished(task.unit, Made(name, fingerprint, 18_000, 0, 60.0), entry, {}),)

    def close(self) -> None:
        """See `Crew.close`."""


def drive(segments: int, parts: int = 25) -> None:
    """Plan segments with the manifest, and print what the driver takes for them."""
    settings = Settings()
    found = [
        Recording(
            Entry(f"/lectures/{number:06}.mp4", 9**9 - number, "1:1"), f"{number:06}.mp4", settings
        )
        for number in range(segments // parts)
    ]
    there = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="greenroom-", dir=there) as temporary:
        crew, steps = IdleCrew(256, parts), 10
        seen: list[int] = []

        def tell(_: object) -> None:
            if crew.done >= segments * (len(seen) + 1) // steps:
                seen.append(_resident())

        folder = OutputFolder(str(Path(temporary, "done")))
        with folder, Batch(found, folder, "simulated", segment_s=600.0) as batch:
            began_s = time.thread_time()
            batch.run(crew, tell)
            took_s = time.thread_time() - began_s
    memory = ", ".join(f"{size / 2**20:.1f}" for size in seen)
    print(f"driver: {1e6 * took_s / segments:.0f} us a segment; MiB resident by tenths: {memory}")


def _resident() -> int:
    """Return the resident memory of this process in bytes; Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def row(case: Case, result: Result) -> str:
    """Return a row of the table."""
    over = 100 * (result.end_s / result.ideal_s - 1)
    return (
        f"{case.name:<38} {case.machines * case.workers:>7} {result.segments:>7} "
        f"{result.ideal_s / 3600:>6.1f} h {result.end_s / 3600:>6.1f} h {over:>+5.2f} % "
        f"{result.last_s / 3600:>5.2f} h {result.lost:>6} {result.given_up:>8} "
        f"{result.most_begun:>6} {result.most_parts:>6} "
        f"{1e6 * result.planner_s / result.units:>5.1f}"
    )


def main() -> None:
    """Simulate, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--driver", action="store_true", help="the manifest's part alone")
    options = parser.parse_args()
    if options.driver:
        drive(options.segments)
        return
    print(f"{'':<38} {'workers':>7} {'units':>7} {'ideal':>8} {'end':>8} {'over':>7}", end=" ")
    print("longest   lost given up  begun  parts    us")
    for case in (replace(one, segments=options.segments) for one in CASES):
        print(row(case, simulate(case)), flush=True)
    for segments in (options.segments // 10, options.segments):
        size = planner_bytes(replace(CASES[1], segments=segments))
        print(f"{segments:>7} segments: {size / 1024:.0f} KiB, {size / segments:.1f} bytes each")


if __name__ == "__main__":
    main()
