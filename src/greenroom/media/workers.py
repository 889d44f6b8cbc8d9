"""Worker threads that report failures and restart with backoff."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker", "WorkerFailure"]

logger = logging.getLogger(__name__)

# Exponential backoff between restarts.
_FIRST_BACKOFF_S: Final = 0.05
_MAX_BACKOFF_S: Final = 1.0
# Work that ran this long counts as healthy, and resets the backoff.
_HEALTHY_AFTER_S: Final = 10.0


class WorkerFailure(NamedTuple):
    """An exception that ended a worker's run.

    Attributes
    ----------
    name : str
        The worker's name.
    error : BaseException
        The exception raised.
    is_last : bool
        Whether the worker gives up.
    """

    name: str
    error: BaseException
    is_last: bool

    def __str__(self) -> str:
        done = "and is not restarted" if self.is_last else "and is restarted"
        return f"{self.name} failed {done}: {type(self.error).__name__}: {self.error}"


class Worker(threading.Thread):
    """A thread for long-running work: failures are reported, and the work is restarted.

    Parameters
    ----------
    work : callable
        Runs until the worker shall end.
    name : str
        Name in messages; the thread is called ``greenroom-NAME``.
    on_fault : callable, optional
        Called with each failure, on this thread, before the restart, to put dependent parts into
        a safe state. Its own exceptions are logged.
    attempts : int
        Maximum number of consecutive failures.
    ended : threading.Event, optional
        Once it is set, failed work is not restarted.
    """

    def __init__(
        self,
        work: Callable[[], None],
        name: str,
        *,
        on_fault: Callable[[WorkerFailure], None] | None = None,
        attempts: int = 5,
        ended: threading.Event | None = None,
    ) -> None:
        super().__init__(name=f"greenroom-{name}", daemon=True)
        self._work = work
        self._label = name
        self._on_fault = on_fault
        self._attempts = attempts
        self._ended = ended or threading.Event()

    def run(self) -> None:
        """Run the work, with restarts."""
        failures = 0
        while True:
            began_s = time.monotonic()
            try:
                self._work()
            except BaseException as error:  # noqa: BLE001 - SystemExit ends a thread without a word
                failures = 1 if time.monotonic() - began_s > _HEALTHY_AFTER_S else failures + 1
                is_last = failures >= self._attempts or self._ended.is_set()
                self._report(WorkerFailure(self._label, error, is_last))
                if is_last:
                    return
            else:
                return
            if self._ended.wait(min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** (failures - 1))):
                return

    def _report(self, fault: WorkerFailure) -> None:
        logger.warning("%s", fault, exc_info=fault.error)
        if self._on_fault is None:
            return
        try:
            self._on_fault(fault)
        except Exception:
            logger.exception("what depends on %s could not be told", self._label)
