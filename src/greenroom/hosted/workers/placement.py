"""Placement: which worker gets the next session, by the CPU time that each was measured to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from greenroom.hosted.workers.reached_worker import ReachedWorker

__all__ = ["expected_load", "least_loaded", "session_cost"]

# Processors that a session is taken to need as long as none was measured.
_FIRST_COST: Final = 0.2


def session_cost(workers: Iterable[ReachedWorker]) -> float:
    """Return the processors that one session takes, as measured over all that are not new."""
    used = sum(worker.report.cores_used for worker in workers)
    measured = sum(len(worker.report.sessions) - worker.report.young for worker in workers)
    return used / measured if measured > 0 and used > 0 else _FIRST_COST


def expected_load(worker: ReachedWorker, cost: float) -> float:
    """Return the processors that a worker takes, sessions included that are not measured yet.

    Parameters
    ----------
    worker : ReachedWorker
    cost : float
        Processors that a session takes.
    """
    return worker.report.cores_used + cost * (worker.report.young + len(worker.unreported))


def least_loaded(workers: Iterable[ReachedWorker]) -> ReachedWorker | None:
    """Return the worker for the next session; None if none would admit it."""
    workers = tuple(workers)
    cost = session_cost(workers)
    able = [worker for worker in workers if worker.has_room]
    return min(
        able,
        key=lambda worker: (expected_load(worker, cost), worker.session_count, worker.name),
        default=None,
    )
