"""The planner: order, attempts, and what a hundred thousand segments cost."""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.archives.planner import Kind, Planner, Retries, Unit, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeClock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands at 0."""
    return FakeClock()


def whole(count: int) -> Iterator[tuple[Unit]]:
    """Yield files that are done as a whole."""
    return ((Unit(number, Kind.WHOLE),) for number in range(count))


def kept(planner: Planner) -> int:
    """Count what a planner has in memory."""
    return sum(len(value) for value in vars(planner).values() if hasattr(value, "__len__"))


def test_a_long_file_is_split_done_in_parts_and_joined(clock: FakeClock) -> None:
    """The parts come in order, before the next file, and the join after all of them."""
    planner = Planner([(Unit(0, Kind.SPLIT),), (Unit(1, Kind.WHOLE),)], clock)
    split = planner.next()
    assert split == Unit(0, Kind.SPLIT)
    planner.finish(split, segments=2)
    first, second, other = planner.next(), planner.next(), planner.next()
    assert (first, second) == (Unit(0, Kind.SEGMENT, 0), Unit(0, Kind.SEGMENT, 1))
    assert other == Unit(1, Kind.WHOLE)
    assert first is not None
    assert second is not None
    assert planner.next() is None
    planner.finish(second)
    assert planner.next() is None
    planner.finish(first)
    join = planner.next()
    assert join == Unit(0, Kind.JOIN)
    planner.finish(join)
    assert not planner.is_finished
    planner.finish(other)
    assert planner.is_finished


def test_segments_that_are_left_are_done_and_then_joined(clock: FakeClock) -> None:
    """A file that was interrupted goes on with what it lacks."""
    planner = Planner([(Unit(0, Kind.SEGMENT, 3), Unit(0, Kind.SEGMENT, 7))], clock)
    for part in (3, 7):
        assert planner.next() == Unit(0, Kind.SEGMENT, part)
        planner.finish(Unit(0, Kind.SEGMENT, part))
    assert planner.next() == Unit(0, Kind.JOIN)


def test_a_short_file_that_was_to_be_split_is_done_as_a_whole(clock: FakeClock) -> None:
    """A split without segments leads to the whole file."""
    planner = Planner([(Unit(0, Kind.SPLIT),)], clock)
    unit = planner.next()
    assert unit is not None
    planner.finish(unit)
    assert planner.next() == Unit(0, Kind.WHOLE)


def test_a_failure_that_may_pass_is_tried_again_after_longer_and_longer_pauses(
    clock: FakeClock,
) -> None:
    """Others are done meanwhile; after the last attempt the file is given up."""
    planner = Planner(whole(2), clock, Retries(attempts=3, first_s=1, factor=4))
    unit = planner.next()
    assert unit is not None
    for pause_s in (1.0, 4.0):
        assert planner.fail(unit, may_pass=True) is Verdict.AGAIN
        other = planner.next()
        assert other != unit
        if other is not None:
            planner.finish(other)
        assert planner.next() is None
        assert planner.wait_s() == pytest.approx(pause_s)
        clock.now_s += pause_s
        assert planner.next() == unit
    assert planner.fail(unit, may_pass=True) is Verdict.GIVEN_UP
    assert planner.is_finished


def test_a_failure_for_good_is_not_tried_again(clock: FakeClock) -> None:
    """A damaged file stays damaged."""
    planner = Planner(whole(1), clock)
    unit = planner.next()
    assert unit is not None
    assert planner.fail(unit, may_pass=False) is Verdict.GIVEN_UP
    assert planner.next() is None
    assert planner.is_finished


def test_one_segment_given_up_ends_its_file_alone(clock: FakeClock) -> None:
    """Its other segments are not begun, those that run are ignored, other files go on."""
    segments = tuple(Unit(0, Kind.SEGMENT, part) for part in range(4))
    planner = Planner([segments, (Unit(1, Kind.WHOLE),)], clock)
    first, second = planner.next(), planner.next()
    assert first is not None
    assert second is not None
    assert planner.fail(second, may_pass=False) is Verdict.GIVEN_UP
    other = planner.next()
    assert other == Unit(1, Kind.WHOLE)
    assert planner.fail(first, may_pass=True) is Verdict.GIVEN_UP
    planner.finish(other)
    assert planner.next() is None
    assert planner.is_finished


def test_a_clock_that_runs_backwards_delays_nothing_for_long(clock: FakeClock) -> None:
    """Whatever it says, a pause is not longer than the longest one."""
    clock.now_s = 1e9
    planner = Planner(whole(1), clock, Retries(longest_s=60))
    unit = planner.next()
    assert unit is not None
    planner.fail(unit, may_pass=True)
    clock.now_s = 0.0
    assert planner.wait_s() == 60
    assert planner.next() == unit


def test_many_that_wait_hold_up_the_rest(clock: FakeClock) -> None:
    """When everything fails, files are not all begun to wait in memory."""
    planner = Planner(whole(100_000), clock)
    while (unit := planner.next()) is not None:
        planner.fail(unit, may_pass=True)
    assert kept(planner) < 1000
    assert planner.wait_s() == pytest.approx(1.0)


@given(st.lists(st.integers(0, 5), max_size=12), st.randoms(use_true_random=False))
def test_every_unit_is_done_once(files: list[int], chance: random.Random) -> None:
    """Whatever fails and is lost in whatever order: nothing is left, nothing comes twice."""
    clock = FakeClock()
    planner = Planner(
        [(Unit(number, Kind.SPLIT),) for number in range(len(files))],
        clock,
        Retries(attempts=1000),
    )
    running: list[Unit] = []
    done: list[Unit] = []
    while not planner.is_finished:
        while len(running) < 3 and (unit := planner.next()) is not None:
            running.append(unit)
        if not running:
            clock.now_s += planner.wait_s() or 0.0
            continue
        unit = running.pop(chance.randrange(len(running)))
        if chance.random() < 0.3:
            planner.fail(unit, may_pass=True)
            continue
        done.append(unit)
        planner.finish(unit, segments=files[unit.file] if unit.kind is Kind.SPLIT else 0)
    expected = []
    for number, count in enumerate(files):
        expected.append(Unit(number, Kind.SPLIT))
        expected += [Unit(number, Kind.SEGMENT, part) for part in range(count)]
        expected.append(Unit(number, Kind.JOIN if count else Kind.WHOLE))
    assert sorted(done) == sorted(expected)


def test_a_hundred_thousand_segments_on_machines_that_are_lost() -> None:
    """The end is within 10 % of the ideal, and the planner's memory does not grow."""
    clock, chance = FakeClock(), random.Random(7)  # noqa: S311 - not a secret
    files, per_file, workers = 4000, 25, 64
    planner = Planner(((Unit(number, Kind.SPLIT),) for number in range(files)), clock)
    running: list[tuple[float, int, Unit, float]] = []
    number, work_s, free, most = 0, 0.0, workers, 0
    while not planner.is_finished:
        while free and (unit := planner.next()) is not None:
            number, free = number + 1, free - 1
            length_s = {Kind.SEGMENT: chance.uniform(20, 60)}.get(unit.kind, 1.0)
            heapq.heappush(running, (clock.now_s + length_s, number, unit, length_s))
        if not running:
            clock.now_s += planner.wait_s() or 0.0
            continue
        clock.now_s, _, unit, length_s = heapq.heappop(running)
        free += 1
        work_s += length_s
        if chance.random() < 1e-3:  # with the machine that it was done on
            assert planner.fail(unit, may_pass=True) is Verdict.AGAIN
        else:
            planner.finish(unit, segments=per_file if unit.kind is Kind.SPLIT else 0)
        most = max(most, kept(planner))
    assert number > files * (per_file + 2)
    assert clock.now_s < 1.1 * work_s / workers
    assert most < workers * (per_file + 5)
