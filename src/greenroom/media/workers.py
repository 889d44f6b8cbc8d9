"""Threads that do not end unnoticed."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker", "WorkerFailure"]

logger = logging.getLogger(__name__)

# How long is waited before work that failed is begun again: at first, and at most. ...
_PAUSE_S: Final = 0.05
_PAUSE_AT_MOST_S: Final = 1.0
# ... What ran for so long was well: the next failure is a first one.
_WELL_S: Final = 10.0


class WorkerFailure(NamedTuple):
    """What ended a thread's work.

    Attributes
    ----------
    name : str
        What the thread is for.
    error : BaseException
        What it raised.
    is_last : bool
        Whether the work is not begun again.
    """

    name: str
    error: BaseException
    is_last: bool

    def __str__(self) -> str:
        done = "and is not begun again" if self.is_last else "and is begun again"
        return f"{self.name} failed {done}: {type(self.error).__name__}: {self.error}"


class Worker(threading.Thread):
    """A thread whose work is meant to last: if it raises, that is told, and it is begun again.

    Parameters
    ----------
    work : callable
        Returns when it is to end.
    name : str
        What it is for; the thread is called ``greenroom-NAME``.
    on_fault : callable, optional
        Told of whatever ended the work, on this thread, before it is begun again: it is to make
        safe what depends on it. What it raises is logged.
    attempts : int
        After so many failures in a row the work is given up.
    ended : threading.Event, optional
        Once it is set, what failed is not begun again.
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
        self._what = name
        self._on_fault = on_fault
        self._attempts = attempts
        self._ended = ended or threading.Event()

    def run(self) -> None:
        """Do the work, on the thread."""
        failures = 0
        while True:
            began_s = time.monotonic()
            try:
                self._work()
            except BaseException as error:  # noqa: BLE001 - SystemExit ends a thread without a word
                failures = 1 if time.monotonic() - began_s > _WELL_S else failures + 1
                is_last = failures >= self._attempts or self._ended.is_set()
                self._tell(WorkerFailure(self._what, error, is_last))
                if is_last:
                    return
            else:
                return
            if self._ended.wait(min(_PAUSE_AT_MOST_S, _PAUSE_S * 2 ** (failures - 1))):
                return

    def _tell(self, fault: WorkerFailure) -> None:
        logger.warning("%s", fault, exc_info=fault.error)
        if self._on_fault is None:
            return
        try:
            self._on_fault(fault)
        except Exception:
            logger.exception("what depends on %s could not be told", self._what)
