"""The constant rate at which some sinks get frames."""

from __future__ import annotations

import itertools
import threading
from fractions import Fraction

import numpy as np
import pytest

from greenroom.engine.render import Rendered
from greenroom.live.frame_pacer import FramePacer
from greenroom.live.gate import Gate
from greenroom.live.outlets import Outlet
from greenroom.media.clock import MonotonicClock
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.testing import MemoryLiveSink


def played(
    source_rate: float, rate: int = 30, seconds: float = 60, jitter_s: float = 0.0
) -> tuple[list[float], list[float], int]:
    """Let frames come; return when beats were, how long new frames waited, and what was lost."""
    rng = np.random.default_rng(7)
    came = [
        number / source_rate + rng.uniform(0, jitter_s)
        for number in range(int(seconds * source_rate))
    ]
    pacer = FramePacer(Fraction(rate))
    now_s, newest, taken, lost = came[0], 0, 0, 0
    pacer.begin(came[0], now_s)
    beats_s, waits_s = [now_s], []
    while now_s + pacer.left_s(now_s) < seconds - 1:
        now_s += pacer.left_s(now_s)
        while newest + 1 < len(came) and came[newest + 1] <= now_s:
            newest += 1
        is_new = newest > taken
        lost += max(0, newest - taken - 1)
        taken = newest
        pacer.next(now_s, came[newest] if is_new else None)
        beats_s.append(now_s)
        if is_new:
            waits_s.append(now_s - came[newest])
    return beats_s, waits_s, lost


@pytest.mark.parametrize("source_rate", [7.5, 15, 20, 23.976, 25, 27.3, 28.7, 29.97, 30, 50, 60])
def test_the_rate_is_constant(source_rate: float) -> None:
    """However often frames come, every tick is a period after the last, but for a hundredth."""
    beats_s, _, _ = played(source_rate)
    intervals_s = [after - before for before, after in itertools.pairwise(beats_s)][1:]
    assert min(intervals_s) > 0.989 / 30
    assert max(intervals_s) < 1.011 / 30
    assert len(beats_s) == pytest.approx(59 * 30, rel=0.002)


@pytest.mark.parametrize("source_rate", [29.97, 30, 30.03])
@pytest.mark.parametrize("jitter_s", [0.0, 0.008])
def test_frames_of_the_same_rate_wait_for_next_to_nothing(
    source_rate: float, jitter_s: float
) -> None:
    """The pacer keeps just behind them, so that each is sent once; cameras are not exact."""
    beats_s, waits_s, lost = played(source_rate, jitter_s=jitter_s)
    assert len(beats_s) - len(waits_s) < 0.02 * len(beats_s)
    assert lost < 0.02 * len(beats_s)
    assert sum(waits_s) / len(waits_s) < 0.004 + 0.6 * jitter_s
    assert min(waits_s[100:]) >= 0


def test_what_was_held_up_does_not_catch_up() -> None:
    """After a write that took a second there are not thirty at once."""
    pacer = FramePacer(Fraction(30))
    pacer.begin(10.0, 10.0)
    pacer.next(11.0)
    assert pacer.left_s(11.0) == pytest.approx(1 / 30)


def test_another_rate_counts_from_the_next_beat_on() -> None:
    """The rate may change at any time."""
    pacer = FramePacer(Fraction(30))
    pacer.begin(10.0, 10.0)
    pacer.rate = Fraction(15)
    now_s = 10.0 + pacer.left_s(10.0)
    pacer.next(now_s)
    assert pacer.left_s(now_s) == pytest.approx(1 / 15)


@pytest.mark.usefixtures("no_thread_left")
@pytest.mark.parametrize(("paced", "expected"), [(True, 60), (False, 40)])
def test_a_sink_gets_the_rate_that_it_wants(paced: bool, expected: int) -> None:
    """Of twenty frames a second one sink gets thirty, every second one twice, another twenty."""
    layout, clock = Layout(32, 18, "yuv420p"), MonotonicClock()
    gate = Gate(lambda layout, _: Frame.filled(layout, (0, 128, 128)), clock)
    sink = MemoryLiveSink(paced=paced)
    outlet = Outlet(sink, gate, clock, Fraction(30))
    never = threading.Event()
    for number in range(44):
        ticket = gate.ticket()
        assert ticket is not None
        frame = Frame.filled(layout, (230, 180, 140)).shown_at(number, Fraction(1, 20))
        gate.offer(Rendered(frame, {}, valid=True, is_camera=False, error=""), ticket)
        if number == 4:
            outlet.start()
        never.wait(0.05)
    outlet.stop()
    gate.close()
    status = outlet.status
    assert status.frames == pytest.approx(expected, abs=12)
    assert status.repeated == pytest.approx(expected - 40, abs=12)
    assert status.dropped <= 8
