"""Scheduling of threads, which an encoder may change for the whole machine."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["keeping_scheduling"]

_TASKS: Final = Path("/proc/self/task")


@contextmanager
def keeping_scheduling() -> Iterator[None]:
    """Undo changes of the scheduling policy that a library makes to this thread and to its own.

    Run by root, as in many containers, SVT-AV1 makes the thread that opens it and all that it
    starts real-time threads of the highest priority: nothing else on the machine runs then.
    """
    if not _TASKS.is_dir():  # policies of single threads are Linux's
        yield
        return
    policy, parameters, before = os.sched_getscheduler(0), os.sched_getparam(0), _threads()
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            for thread in (0, *(_threads() - before)):
                with suppress(ProcessLookupError):  # it has ended
                    os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    """Return the numbers of this process' threads."""
    return {int(task.name) for task in _TASKS.iterdir()}
