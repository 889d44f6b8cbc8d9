"""Several sessions in one process: each has its own settings, budget and threads."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from greenroom import VirtualBackground
from greenroom.desktop.launch import create_steering
from greenroom.live.parts import SessionParts
from greenroom.live.session import Session
from greenroom.live.status import Showing
from greenroom.live.thread_times import ThreadTimes
from greenroom.settings import Settings
from greenroom.testing import FakeCamera, MemoryLiveSink, PersonSegmenter
from live.rig import DEADLINE_S, Rig

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSIONS = 8


@pytest.fixture
def busy() -> Iterator[list[threading.Thread]]:
    """Run a thread that computes all the time."""
    ended = threading.Event()

    def compute() -> None:
        while not ended.is_set():
            sum(range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    yield [thread]
    ended.set()
    thread.join()


def test_each_has_its_own_settings_and_threads() -> None:
    """Eight run side by side; a change of one changes no other, and no thread is shared."""
    with ExitStack() as stack:
        rigs = [stack.enter_context(Rig(watches=False, governed=True)) for _ in range(SESSIONS)]
        for rig in rigs:
            rig.until_shown()
        rigs[0].session.update(mirror=True)
        assert [rig.session.settings.mirror for rig in rigs] == [True, *(SESSIONS - 1) * [False]]
        threads = [thread for rig in rigs for thread in rig.session.threads]
        assert len(threads) == len(set(threads))
        rigs[0].session.cover(on=True)
        assert [rig.session.gate.covered for rig in rigs] == [True, *(SESSIONS - 1) * [False]]
        assert sum(rig.room_pixels for rig in rigs) == 0


@pytest.mark.usefixtures("no_thread_left")
def test_each_has_five_threads_at_most() -> None:
    """Camera, frames, engine, housekeeper and the one outlet: no others, and none after the end."""
    before = set(threading.enumerate())
    sessions = []
    for _ in range(SESSIONS):
        settings = Settings(background="color:teal", on_demand=False, budget_cpu=100)
        engine = VirtualBackground(settings, segmenter=PersonSegmenter())
        camera = FakeCamera(rate=Fraction(15))
        steering = create_steering(settings)
        parts = SessionParts(engine, [MemoryLiveSink()], camera.open, steering=steering)
        sessions.append(Session(settings, parts))

    def is_steady() -> bool:
        if any(session.status().showing is not Showing.PERSON for session in sessions):
            return False
        threads = [session.threads for session in sessions]
        running = set(threading.enumerate()) - before
        return all(len(own) <= 5 for own in threads) and running == {*chain(*threads)}

    def await_steady() -> None:
        end_s = time.monotonic() + DEADLINE_S
        while not is_steady():
            names = [[thread.name for thread in session.threads] for session in sessions]
            assert time.monotonic() < end_s, names
            time.sleep(0.01)

    try:
        for session in sessions:
            session.start()
        await_steady()
        for session in sessions:  # what begins threads of its own for a while
            session.cover(on=True)
            session.update(quality="fast")
            session.cover(on=False)
        await_steady()
    finally:
        for session in sessions:
            session.stop()
    assert not any(thread.is_alive() for session in sessions for thread in session.threads)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="a system without")
def test_each_counts_its_own_time(busy: list[threading.Thread]) -> None:
    """What other threads of the process compute is not taken for a session's."""
    ended = threading.Event()
    idle = threading.Thread(target=ended.wait)
    idle.start()
    own, others = ThreadTimes(lambda: [idle]), ThreadTimes(lambda: busy)
    before_s = own.total_s(), others.total_s()
    end_s = time.monotonic() + DEADLINE_S
    while others.total_s() - before_s[1] < 0.2:
        assert time.monotonic() < end_s
        time.sleep(0.01)
    assert own.total_s() - before_s[0] < 0.05
    ended.set()
    idle.join()


def test_time_of_threads_that_ended_stays() -> None:
    """The sum never decreases, whatever ends."""

    def compute(until: threading.Event) -> None:
        sum(range(300_000))
        until.wait(5)

    threads: list[threading.Thread] = []
    times = ThreadTimes(lambda: threads)
    seen_s = [times.total_s()]
    for _ in range(5):
        going = threading.Event()
        thread = threading.Thread(target=compute, args=(going,))
        threads.append(thread)
        thread.start()
        time.sleep(0.02)
        seen_s.append(times.total_s())
        going.set()
        thread.join()
        seen_s.append(times.total_s())
        threads.clear()
    assert seen_s == sorted(seen_s)
    assert seen_s[-1] > seen_s[0]
