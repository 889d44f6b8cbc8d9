"""The planner: order, attempts, and how near to the ideal the end is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripts_loaded import script

from greenroom.archives.planner import Kind, Planner, Retries, Unit, Verdict

if TYPE_CHECKING:
    import random
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
    assert planner.fail(first, may_pass=True) is Verdict.IGNORED
    planner.finish(other)
    assert planner.next() is None
    assert planner.is_finished


def test_machines_that_are_lost_are_no_attempts(clock: FakeClock) -> None:
    """Nobody's recording is listed as failed for them, unless it is there each time."""
    planner = Planner(whole(1), clock, Retries(attempts=2, machines=5))
    unit = planner.next()
    assert unit is not None
    for _ in range(5):
        assert planner.lose(unit) is Verdict.AGAIN
        clock.now_s += planner.wait_s() or 0.0
        assert planner.next() == unit
    assert planner.fail(unit, may_pass=True) is Verdict.AGAIN
    clock.now_s += planner.wait_s() or 0.0
    assert planner.next() == unit
    assert planner.lose(unit) is Verdict.GIVEN_UP
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
    assert planner.wait_s() == pytest.approx(5.0)


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


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("machines that are lost", {"machines": 4, "life_s": 7200.0}),
        ("machines of two speeds", {"machines": 4, "slow": 0.25}),
        ("recordings in one piece", {"machines": 1, "segment_s": 0.0}),
    ],
)
def test_the_end_is_near_the_ideal(name: str, changes: dict[str, float]) -> None:
    """Within 10 %, what is lost with machines included; no recording is given up for these."""
    simulation = script("benchmarks/archive_simulation.py")
    result = simulation.simulate(simulation.Case(name, segments=10_000, **changes))
    assert result.segments >= 10_000
    assert result.lost > 10
    assert result.given_up == 0
    assert result.ideal_s <= result.end_s < 1.1 * result.ideal_s
    # Few results wait to be joined, however many segments there are.
    assert result.most_parts < 500


def test_memory_is_the_same_for_many_segments() -> None:
    """The planner reads files as workers need them."""
    simulation = script("benchmarks/archive_simulation.py")
    few, many = (
        simulation.planner_bytes(simulation.Case("", segments=count, machines=1))
        for count in (500, 5_000)
    )
    assert many < few + 5_000
