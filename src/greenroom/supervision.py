"""A thread with a deadline, so that work that hangs can be given up."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from greenroom.errors import ModelTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Supervisor"]

T = TypeVar("T")

# How long work that is not waited for any more may take to end when the thread is closed.
_PATIENCE_S: Final = 1.0


class Supervisor(Generic[T]):
    """Runs one piece of work at a time on a thread of its own.

    A result that comes after its deadline is thrown away, never taken for another's. While
    work still hangs, further work fails at once.

    State: the thread, and whether it still owes an answer.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Callable[[], T] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        self._late = False
        self._thread = threading.Thread(target=self._work, name="greenroom-engine", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """Return the result of the work, or raise what it raised.

        Raises
        ------
        ModelTimeoutError
            If it does not end in time, or earlier work still has not ended.
        """
        if self._late:
            self._collect_late()
        self._asked.put(work)
        self._late = True  # until the answer is taken, whatever happens here
        try:
            answer = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            message = (
                f"it took longer than {timeout_s:g} s. Choose a smaller model or a longer timeout."
            )
            raise ModelTimeoutError(message) from None
        self._late = False
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> bool:
        """End the thread; tell whether it ended, or hangs and is left behind."""
        self._asked.put(None)
        self._thread.join(timeout=_PATIENCE_S if self._late else None)
        return not self._thread.is_alive()

    def _collect_late(self) -> None:
        """Throw a late answer away, or fail while it has not come."""
        try:
            self._answers.get_nowait()
        except queue.Empty:
            message = "an earlier frame still has not been finished."
            raise ModelTimeoutError(message) from None
        self._late = False

    def _work(self) -> None:
        while (work := self._asked.get()) is not None:
            try:
                answer: T | BaseException = work()
            except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
                answer = error
            del work  # what it holds on to can be freed while this waits
            self._answers.put(answer)
            del answer
