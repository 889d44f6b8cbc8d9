"""Worker thread with a deadline, so that hung work can be abandoned."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from greenroom.errors import ModelTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Supervisor"]

T = TypeVar("T")

# Time-out of closing while abandoned work is in progress, ...
_BUSY_CLOSE_S: Final = 1.0
# ... and while the thread is idle.
_IDLE_CLOSE_S: Final = 10.0


class _Request(Generic[T]):
    """A piece of work and its answer.

    Attributes
    ----------
    work : callable or None
        None once nobody waits for it: what was not begun is not begun then.
    is_done : bool
        Whether there is nothing left to wait for; set before the answer can be taken.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self.work: Callable[[], T] | None = work
        self.answer: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()
        self.is_done = False


class Supervisor(Generic[T]):
    """Runs one piece of work at a time on a thread of its own.

    Each piece of work has an answer of its own: one that comes after its deadline, or after its
    caller was interrupted, whenever that was, is thrown away with it and never taken for
    another's. While work still hangs, further work fails at once.

    State: the thread, and the latest request.
    """

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[_Request[T] | None] = queue.SimpleQueue()
        self._latest: _Request[T] | None = None
        self._thread = threading.Thread(target=self._work, name="greenroom-engine", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """Return the result of the work, or raise what it raised.

        Raises
        ------
        ModelTimeoutError
            If it does not end in time, or earlier work still has not ended.
        """
        if self.is_late:
            message = "an earlier frame still has not been finished."
            raise ModelTimeoutError(message)
        request = _Request(work)
        # KeyboardInterrupt may come between any two steps.
        try:
            self._asked.put(request)
            self._latest = request
            answer = request.answer.get(timeout=timeout_s)
        except queue.Empty:
            message = (
                f"it took longer than {timeout_s:g} s. Choose a smaller model or a longer timeout."
            )
            raise ModelTimeoutError(message) from None
        finally:
            request.work = None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def close(self) -> bool:
        """End the thread; return False if it hangs and is abandoned."""
        self.tell_to_close()
        self._thread.join(timeout=_BUSY_CLOSE_S if self.is_late else _IDLE_CLOSE_S)
        return not self._thread.is_alive()

    def tell_to_close(self) -> None:
        """Have the thread end after its current work, without waiting for it."""
        self._asked.put(None)

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The one thread."""
        return (self._thread,)

    @property
    def is_late(self) -> bool:
        """Whether earlier work still has not ended."""
        return self._latest is not None and not self._latest.is_done

    def _work(self) -> None:
        while (request := self._asked.get()) is not None:
            if (work := request.work) is None:
                request.is_done = True
            else:
                answer: T | BaseException
                try:
                    answer = work()
                except BaseException as error:  # noqa: BLE001 - raised again on the caller's thread
                    answer = error
                request.is_done = True
                request.answer.put(answer)
                del answer
            del work, request  # release their references while waiting
