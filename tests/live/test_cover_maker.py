"""The thread that renders covers: there while covers are wanted, and never two that hang."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, cast

import pytest

from greenroom.errors import ModelTimeoutError
from greenroom.live.cover_maker import CoverMaker
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from live.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.engine.engine import VirtualBackground

pytestmark = pytest.mark.usefixtures("no_thread_left")

DEADLINE_S = 10.0
LAYOUT = Layout(64, 36, "yuv420p")


class Engine:
    """Renders covers, and notes on which threads; it hangs while it may not go."""

    def __init__(self) -> None:
        self.going = threading.Event()
        self.going.set()
        self.threads: list[threading.Thread] = []

    def cover(self, layout: Layout, _time_s: float) -> Frame:
        """See `VirtualBackground.cover`."""
        self.threads.append(threading.current_thread())
        self.going.wait(DEADLINE_S)
        return Frame.filled(layout, (1, 2, 3))


class Bench:
    """Covers, and what renders them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.engine = Engine()
        self.covers = CoverMaker(cast("VirtualBackground", self.engine), self.clock)

    def make(self) -> Frame:
        """Render one."""
        return self.covers.make(LAYOUT, self.clock.now())

    def threads(self) -> list[threading.Thread]:
        """Return the threads of now."""
        return list(self.covers.threads)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return covers that are rendered on a thread."""
    made = Bench()
    made.covers.start()
    yield made
    made.engine.going.set()
    made.covers.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other threads do."""
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.001)


def test_the_thread_ends_a_second_after_the_last_cover(bench: Bench) -> None:
    """Covers that follow each other have one thread; the next one after a rest has a new one."""
    assert bench.threads() == []
    for _ in range(20):
        bench.make()
        bench.clock.advance(0.9)
        bench.covers.rest()
    (thread,) = bench.threads()
    bench.clock.advance(0.2)
    bench.covers.rest()
    assert bench.threads() == []
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    bench.make()
    assert len(bench.threads()) == 1
    assert len(set(bench.engine.threads)) == 2


def test_one_that_hangs_stays_until_it_ends(bench: Bench) -> None:
    """Whoever asks meanwhile has an error at once, on no further thread."""
    bench.engine.going.clear()
    with pytest.raises(ModelTimeoutError, match="longer than"):
        bench.make()
    hung = bench.threads()
    for _ in range(5):
        bench.clock.advance(10)
        bench.covers.rest()
        with pytest.raises(ModelTimeoutError, match="earlier"):
            bench.make()
    assert bench.threads() == hung
    bench.engine.going.set()
    until(lambda: not bench.covers._supervisor.is_late)  # type: ignore[union-attr]  # noqa: SLF001
    bench.make()
    assert bench.threads() == hung
    bench.clock.advance(10)
    bench.covers.rest()
    assert bench.threads() == []


def test_a_thread_that_renders_is_not_ended(bench: Bench) -> None:
    """However long ago the last cover was, one that is being rendered is awaited."""
    for number in range(200):
        resting = threading.Thread(target=bench.covers.rest)
        bench.clock.advance(10)
        resting.start()
        assert bench.make().size == (64, 36), number
        resting.join()


def test_before_the_start_there_is_no_thread() -> None:
    """A session that was never started renders its cover where it is asked for."""
    bench = Bench()
    bench.make()
    assert bench.engine.threads == [threading.current_thread()]
    assert bench.threads() == []


def test_after_the_end_there_is_no_cover(bench: Bench) -> None:
    """What is shown then is the plain colour, without another thread."""
    bench.make()
    bench.covers.close()
    with pytest.raises(ModelTimeoutError):
        bench.make()
    assert bench.threads() == []
