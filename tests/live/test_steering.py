"""The thread that applies the governor's plans: there while there is one to apply."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from greenroom.live.governor import Governor
from greenroom.live.steering import Steering
from greenroom.settings import Quality, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.live.plans import Plan

pytestmark = pytest.mark.usefixtures("no_thread_left")

DEADLINE_S = 10.0
SETTINGS = {quality: Settings(quality=quality) for quality in Quality}


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other threads do."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


class Applied:
    """Notes plans as they are applied, and the threads that do; each waits while it may not go."""

    def __init__(self) -> None:
        self.qualities: list[Quality] = []
        self.threads: list[threading.Thread] = []
        self.going = threading.Event()
        self.going.set()

    def __call__(self, plan: Plan) -> None:
        """Apply a plan."""
        self.qualities.append(plan.quality)
        self.threads.append(threading.current_thread())
        self.going.wait(DEADLINE_S)


@pytest.fixture
def steering() -> Steering:
    """Return one that begins at the best quality."""
    return Steering(Governor(SETTINGS[Quality.BEST], rate=30, cores=4))


def test_each_plan_has_a_thread_that_ends_with_it(steering: Steering) -> None:
    """Nothing waits between two plans, and both are applied."""
    applied = Applied()
    steering.start(applied)
    until(lambda: not steering.threads)
    steering.follow(SETTINGS[Quality.FAST], 30)
    until(lambda: not steering.threads)
    assert applied.qualities == [Quality.BEST, Quality.FAST]
    until(lambda: not any(thread.is_alive() for thread in applied.threads))
    assert len(set(applied.threads)) == 2


def test_a_plan_that_changes_while_one_is_applied_is_applied_after_it(steering: Steering) -> None:
    """One thread at a time: the newest plan is next, those between are left out."""
    applied = Applied()
    applied.going.clear()
    steering.start(applied)
    until(lambda: len(applied.qualities) == 1)
    steering.follow(SETTINGS[Quality.BALANCED], 30)
    steering.follow(SETTINGS[Quality.FAST], 30)
    assert len(steering.threads) == 1
    applied.going.set()
    until(lambda: not steering.threads)
    assert applied.qualities == [Quality.BEST, Quality.FAST]
    assert len(set(applied.threads)) == 1


def test_no_plan_is_lost_between_the_end_of_a_thread_and_the_next(steering: Steering) -> None:
    """Whenever a plan changes, what was applied last is the plan in force."""
    applied = Applied()
    steering.start(applied)
    for number in range(300):
        quality = (Quality.FAST, Quality.BEST)[number % 2]
        steering.follow(SETTINGS[quality], 30)
        if number % 3:
            until(lambda: not steering.threads)
            assert applied.qualities[-1] is quality
    until(lambda: not steering.threads)
    assert applied.qualities[-1] is Quality.BEST


def test_before_the_start_and_after_the_end_nothing_is_applied(steering: Steering) -> None:
    """A plan that changes then has no thread."""
    applied = Applied()
    steering.follow(SETTINGS[Quality.FAST], 30)
    assert not steering.threads
    steering.start(applied)
    until(lambda: applied.qualities == [Quality.FAST])
    steering.stop()
    steering.follow(SETTINGS[Quality.BEST], 30)
    assert not steering.threads
    assert applied.qualities == [Quality.FAST]


def test_a_start_after_the_end_does_nothing(steering: Steering) -> None:
    """A session that is stopped while it starts begins nothing any more."""
    applied = Applied()
    steering.stop()
    steering.start(applied)
    assert not steering.threads
    assert not applied.qualities
