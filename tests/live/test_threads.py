"""Threads of live use that end unexpectedly: covered, reported, restarted, never forgotten."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from greenroom.devices.reader_count import ReaderCount
from greenroom.live.capture import Capture
from greenroom.live.frame_pacer import FramePacer
from greenroom.live.gate import Gate
from greenroom.live.session import Session
from greenroom.live.status import Showing
from greenroom.live.steering import Steering
from greenroom.media.workers import Worker, WorkerFailure
from greenroom.testing import MemoryLiveSink
from live.rig import DEADLINE_S, Breaking, Rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_thread_left")


class TestWorker:
    """A thread whose work is meant to last."""

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt()])
    def test_work_that_fails_is_begun_again(self, error: BaseException) -> None:
        """Whatever it raises is told before, with the thread's name."""
        told: list[WorkerFailure] = []
        done = threading.Event()

        def work() -> None:
            if len(told) < 2:
                raise error
            done.set()

        worker = Worker(work, "test", on_fault=told.append)
        worker.start()
        worker.join(DEADLINE_S)
        assert done.is_set()
        assert told == [WorkerFailure("test", error, is_last=False)] * 2
        assert worker.name == "greenroom-test"

    @pytest.mark.parametrize("attempts", [1, 3])
    def test_it_is_given_up(self, attempts: int) -> None:
        """Work that fails again and again is not begun for ever, and that is told, too."""
        told: list[WorkerFailure] = []

        def work() -> None:
            message = "no"
            raise ValueError(message)

        worker = Worker(work, "test", on_fault=told.append, attempts=attempts)
        worker.start()
        worker.join(DEADLINE_S)
        assert [fault.is_last for fault in told] == [False] * (attempts - 1) + [True]
        assert str(told[-1]) == "test failed and is not restarted: ValueError: no"

    def test_who_is_told_may_fail(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged, and does not prevent the restart."""
        count = 0

        def work() -> None:
            nonlocal count
            count += 1
            if count == 1:
                raise ValueError

        def fail(_: WorkerFailure) -> None:
            raise RuntimeError

        worker = Worker(work, "test", on_fault=fail)
        worker.start()
        worker.join(DEADLINE_S)
        assert count == 2
        assert "could not be told" in caplog.text

    def test_the_end_is_the_end(self) -> None:
        """Work that fails after the end was requested is not restarted."""
        ended = threading.Event()
        told: list[WorkerFailure] = []

        def work() -> None:
            ended.set()
            raise ValueError

        worker = Worker(work, "test", on_fault=told.append, ended=ended)
        worker.start()
        worker.join(DEADLINE_S)
        assert [fault.is_last for fault in told] == [True]


THREADS = [
    (Session, "_one", "frames"),
    (Session, "_look_after_camera", "housekeeper"),
    (Capture, "_greet", "housekeeper"),
    (Steering, "_carry_out", "steering"),
    (Gate, "hold", "out-paced"),
    (Gate, "wait", "out-unpaced"),
]


@pytest.mark.parametrize(("owner", "method", "name"), THREADS)
def test_any_thread_that_ends_is_begun_again(
    owner: type, method: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is covered meanwhile, the page says what happened, and then it goes on."""
    breaking = Breaking(monkeypatch, owner, method, SystemExit("oh"))
    with Rig(watches=False, governed=True) as rig:
        rig.until_shown()
        rig.until_sent()
        breaking.times = 1
        rig.session.update(quality="fast")
        rig.until(lambda: any(name in said for said in rig.session.status().notices), "notice")
        (notice,) = rig.session.status().notices
        assert notice == f"greenroom's thread {name} failed and is restarted: SystemExit: oh"
        rig.until_shown()
        rig.until_sent()
        assert all(one.state == "running" for one in rig.session.status().outlets)
        rig.session.cover(on=True)
        rig.until_covered("key")
        rig.until(lambda: not rig.session.without_cover, "all have the cover")
        assert rig.session.error is None
        assert rig.room_pixels == 0


@pytest.mark.parametrize(("owner", "method", "name"), THREADS)
def test_a_thread_that_ends_again_and_again_ends_the_run(
    owner: type, method: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with an error that says why, and nothing of the room is seen until then."""
    breaking = Breaking(monkeypatch, owner, method, SystemExit("oh"))
    with Rig(watches=False, governed=True) as rig:
        rig.until_shown()
        breaking.times = 10**6
        for number in range(20):
            if not rig.session.ended.is_set():
                rig.session.update(quality=("fast", "balanced")[number % 2])
        assert rig.session.ended.wait(DEADLINE_S)
        assert f"{name} failed and is not restarted" in str(rig.session.error)
        breaking.times = 0
        assert rig.room_pixels == 0


def test_an_error_beside_a_sink_is_the_sinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in a sink's thread is said, and it is opened again as if it had failed."""
    breaking = Breaking(monkeypatch, FramePacer, "next", ZeroDivisionError("division by zero"))
    with Rig(watches=False) as rig:
        rig.until_shown()
        rig.until_sent()
        breaking.times = 1
        rig.until(lambda: any("ZeroDivision" in one.error for one in rig.session.status().outlets))
        rig.until_sent()
        assert [one.state for one in rig.session.status().outlets[:2]] == ["running"] * 2


class TestCover:
    """Nobody is told to be covered who is not."""

    def test_a_sink_that_stalls(self) -> None:
        """It is named until it has got the cover; what the others got is said of each."""
        slow = MemoryLiveSink("slow")
        with Rig(watches=False, sinks=[slow]) as rig:
            rig.until_shown()
            rig.until(lambda: len(slow.frames) > 3)
            slow.going.clear()
            rig.session.cover(on=True)
            rig.until(lambda: rig.session.without_cover == ("slow",), "the others have it")
            status = rig.session.status()
            assert status.covered
            assert status.without_cover == ("slow",)
            assert "slow has not taken it yet" in status.message
            got = {one.name: one.got for one in status.outlets}
            assert got["paced"] is got["unpaced"] is Showing.COVER
            assert got["slow"] is Showing.PERSON
            slow.going.set()
            rig.until(lambda: not rig.session.without_cover, "all have the cover")
            assert rig.session.status().message == "Covered, because you asked for it."

    @pytest.mark.parametrize("always", [False, True])
    def test_a_sink_that_failed(self, always: bool) -> None:
        """A device may still show what it got last; a recording that was closed shows nothing."""
        broken = MemoryLiveSink("broken", always=always)
        with Rig(watches=False, sinks=[broken]) as rig:
            rig.until_shown()
            rig.until(lambda: len(broken.frames) > 3)
            broken.failing = True
            rig.until(lambda: rig.session.status().outlets[2].state == "failed")
            rig.session.cover(on=True)
            rig.until(lambda: set(rig.session.without_cover) <= {"broken"}, "others")
            rig.until(lambda: rig.session.without_cover == (() if always else ("broken",)))
            broken.failing = False
            rig.until(lambda: not rig.session.without_cover, "all have the cover")

    def test_without_the_key_nobody_lacks_it(self) -> None:
        """While nobody asked for the cover there is nothing to be told."""
        with Rig(watches=False) as rig:
            rig.until_shown()
            rig.until_sent()
            assert rig.session.status().without_cover == ()


def test_a_count_that_nobody_keeps(tmp_path: Path) -> None:
    """Where who looks at a camera cannot be told any more, somebody is taken to look."""

    class Watch:
        def __init__(self, _: Path) -> None:
            self.counts = [0, 0]

        def count(self) -> int:
            return self.counts.pop()  # at the third time this raises

        def wait(self, ended: threading.Event) -> None:
            ended.wait(0.001)

        def close(self) -> None:
            pass

    told = threading.Event()
    make: Callable[[Path], Any] = Watch
    counted = ReaderCount(tmp_path, told.set, (("by a fake", make),))
    assert told.wait(DEADLINE_S)
    assert counted.count() is None
    assert "no longer by a fake" in counted.why
    counted.close()
