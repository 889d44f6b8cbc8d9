"""Work with a deadline: an answer is never taken for another's, whatever interrupts its caller."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom import VirtualBackground
from greenroom.engine import worker
from greenroom.engine.worker import Supervisor
from greenroom.errors import ModelTimeoutError
from greenroom.testing import PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

DEADLINE_S = 20.0


class Interruption:
    """Raises KeyboardInterrupt before one step of the interpreter's in some files."""

    def __init__(self, at: int, *files: str) -> None:
        self.left = at
        self.files = files

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:  # noqa: ARG002
        """Be called by the interpreter for everything that the thread does."""
        if frame.f_code.co_filename not in self.files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def interruptions(work: Callable[[], object], *files: str) -> Iterator[int]:
    """Do something again and again, each time interrupted one step later than the last time."""
    before = sys.gettrace()
    for number in range(1, 100_000):
        interruption = Interruption(number, *files)
        sys.settrace(interruption)
        try:
            work()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        yield number
        if interruption.left > 0:  # it was over before
            return


@pytest.fixture
def supervisor() -> Iterator[Supervisor[int]]:
    """Return one that is closed at the end."""
    made: Supervisor[int] = Supervisor()
    yield made
    assert made.close()


def ready(supervisor: Supervisor[int], number: int) -> int:
    """Ask until work that was interrupted has ended."""
    for _ in range(10_000):
        try:
            return supervisor.run(lambda: number, DEADLINE_S)
        except ModelTimeoutError:
            threading.Event().wait(0.001)
    pytest.fail("earlier work does not end")


def test_an_interrupted_caller_leaves_no_answer_behind(supervisor: Supervisor[int]) -> None:
    """Whenever the caller is interrupted, the next answer is the next one's."""
    steps = 0
    for number in interruptions(lambda: supervisor.run(lambda: -1, 1.0), worker.__file__):
        assert ready(supervisor, number) == number
        assert ready(supervisor, -number) == -number
        steps = number
    assert steps > 30


def test_the_next_frame_is_the_next_frame() -> None:
    """The engine never shows an earlier frame after it was interrupted in the middle of one."""
    source = PersonSource((64, 36), frames=2)
    first, second = source.frame(0), source.frame(9)
    with VirtualBackground(background="color:teal", segmenter=PersonSegmenter(), smoothing=0) as vb:
        vb.process(first)
        vb.reset()
        expected = vb.process(second)
        steps = 0
        for number in interruptions(lambda: vb.process(first), worker.__file__):
            steps = number
            for _ in range(1000):
                vb.reset()
                try:
                    made = vb.process(second)
                except Exception:  # noqa: BLE001 - the one before still runs
                    threading.Event().wait(0.001)
                else:
                    break
            assert made.pts == second.pts
            for plane, right in zip(made.planes, expected.planes, strict=True):
                np.testing.assert_array_equal(plane, right)
    assert steps > 30


def test_what_nobody_waits_for_is_not_begun(
    supervisor: Supervisor[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work that is still in the queue when its caller gives up is left out."""
    going = threading.Event()
    done: list[int] = []
    with pytest.raises(ModelTimeoutError, match="longer than"):
        supervisor.run(lambda: int(going.wait(DEADLINE_S)), 0.01)
    monkeypatch.setattr(supervisor, "_latest", None)  # as if interrupted before it was noted

    def late() -> int:
        done.append(1)
        return 1

    with pytest.raises(ModelTimeoutError, match="longer than"):
        supervisor.run(late, 0.01)
    going.set()
    assert ready(supervisor, 7) == 7
    assert done == []


def test_a_late_answer_is_thrown_away(supervisor: Supervisor[int]) -> None:
    """While work hangs further work fails at once; after it, answers are right."""
    going = threading.Event()
    with pytest.raises(ModelTimeoutError, match="longer than"):
        supervisor.run(lambda: int(going.wait(DEADLINE_S)) - 2, 0.01)
    with pytest.raises(ModelTimeoutError, match="earlier frame"):
        supervisor.run(lambda: 1, DEADLINE_S)
    going.set()
    assert ready(supervisor, 5) == 5


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit, MemoryError])
def test_what_work_raises_is_its_callers(
    supervisor: Supervisor[int], fault: type[BaseException]
) -> None:
    """Whatever it is, it is raised where it was asked for, and the thread goes on."""

    def fail() -> int:
        raise fault

    with pytest.raises(fault):
        supervisor.run(fail, DEADLINE_S)
    assert supervisor.run(lambda: 3, DEADLINE_S) == 3


class InterruptedLock:
    """A lock; on the main thread Ctrl-C is pressed just when it was taken without waiting."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, *, blocking: bool = True) -> bool:
        """See `threading.Lock`."""
        taken = self._lock.acquire(blocking=blocking)
        if not blocking and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return taken

    def release(self) -> None:
        """See `threading.Lock`."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_an_interrupted_change_holds_up_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a change takes for a moment is not held for good by Ctrl-C: frames are made after it."""
    frame = PersonSource((64, 36)).frame(0)
    with VirtualBackground(background="color:teal", segmenter=PersonSegmenter(), timeout_s=5) as vb:
        monkeypatch.setattr(vars(vb)["_exchange"], "_in_frame", InterruptedLock())
        with suppress(KeyboardInterrupt):
            vb.update(background="color:#102030")
        assert vb.process(frame).pts == frame.pts
