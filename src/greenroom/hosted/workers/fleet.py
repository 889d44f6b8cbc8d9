"""All workers of a service: which of them gets a session, and which of them has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING

from greenroom.hosted.admission import request_limit
from greenroom.hosted.refusals import (
    UnavailableError,
    busy,
    draining,
    full,
    no_session,
    not_published,
    over_limit,
    too_many_requests,
)
from greenroom.hosted.workers.merged_metrics import MergedMetrics
from greenroom.hosted.workers.placement import least_loaded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from greenroom.hosted.options import ServeOptions
    from greenroom.hosted.tokens import Grant
    from greenroom.hosted.workers.reached_worker import Given, ReachedWorker
    from greenroom.hosted.workers.reports import WorkerReport

__all__ = ["Fleet"]


class Fleet(ABC):
    """All workers of a service. Everything is called on the event loop's thread.

    Parameters
    ----------
    options : ServeOptions
        Of the service.
    workers : sequence of ReachedWorker
        May change.
    secret : str
        What every request to a worker has to have.
    """

    def __init__(
        self, options: ServeOptions, workers: Sequence[ReachedWorker], secret: str
    ) -> None:
        self.secret = secret
        self.failure = ""
        """Why the service could not start."""
        self.draining = False
        self.metrics = MergedMetrics(workers)
        self._workers = workers
        self._options = options
        self._limit = request_limit()

    @property
    def is_ready(self) -> bool:
        """Whether another session would be admitted now."""
        return not self.draining and not self._is_full and least_loaded(self._workers) is not None

    @abstractmethod
    async def start(self) -> None:
        """Start the workers, or find them; return when sessions can be placed.

        Raises
        ------
        GreenroomError
            If that is not possible; none runs then.
        """

    @abstractmethod
    async def drain(self, grace_s: float) -> None:
        """Admit nobody any more, and end all workers within a time."""

    @abstractmethod
    async def close(self) -> None:
        """End at once."""

    def any_worker(self) -> ReachedWorker:
        """Return a worker for a request that every one can answer.

        Raises
        ------
        UnavailableError
            If none runs.
        """
        for worker in self._workers:
            if worker.address is not None:
                return worker
        raise _none_runs()

    def owner(self, number: str) -> ReachedWorker:
        """Return the worker that a session's id names.

        Raises
        ------
        UnknownSessionError
            If it names none, or that does not run.
        """
        for worker in self._workers:
            if worker.address is not None and number.startswith(f"{worker.name}."):
                return worker
        raise no_session()

    @contextmanager
    def place(
        self, grant: Grant, stream: str, avoided: ReachedWorker | None
    ) -> Iterator[tuple[ReachedWorker, Given]]:
        """Choose the worker of a new session, and count it there.

        Parameters
        ----------
        grant : Grant
        stream : str
            Empty if nobody else is to watch it.
        avoided : ReachedWorker or None
            One that did not answer.

        Raises
        ------
        UnavailableError
            If it is not admitted.
        """
        self._check(grant)
        replaced = self._publisher(stream) if stream else None
        if replaced is not None and replaced.owner_of(stream) != grant.name:
            message = f"the stream '{stream}' is being published by somebody else"
            raise UnavailableError(message, "taken")
        if replaced is None:
            self._check_limits(grant)
            worker = least_loaded(one for one in self._workers if one is not avoided)
            if worker is None:
                raise self._refusal()
        else:
            worker = replaced  # it ends the stream's session before
        with worker.giving(grant.name, stream, is_session=True) as given:
            yield worker, given

    @contextmanager
    def watch(self, grant: Grant, stream: str) -> Iterator[tuple[ReachedWorker, Given]]:
        """Return the worker of a stream, and count a viewer there.

        Raises
        ------
        UnknownSessionError
            If nobody publishes it.
        UnavailableError
            If there are too many connections.
        """
        self._check(grant)
        worker = self._publisher(stream)
        if worker is None:
            raise not_published(stream)
        self._check_own_limit(grant)
        with worker.giving(grant.name, stream, is_session=False) as given:
            yield worker, given

    def note_end(self, last: WorkerReport) -> None:
        """Keep the counts of a worker that has ended."""
        self.metrics.note_end(last.metrics, was_expected=self.draining)

    def _publisher(self, stream: str) -> ReachedWorker | None:
        """Return the worker of a stream."""
        return next((one for one in self._workers if one.owner_of(stream) is not None), None)

    @property
    def _is_full(self) -> bool:
        most = self._options.max_sessions
        return most is not None and sum(one.session_count for one in self._workers) >= most

    def _check(self, grant: Grant) -> None:
        if self.draining:
            raise draining()
        if not self._limit.allows(grant.name):
            raise too_many_requests()

    def _check_limits(self, grant: Grant) -> None:
        if self._is_full:
            raise self._refusal()
        self._check_own_limit(grant)

    def _check_own_limit(self, grant: Grant) -> None:
        """Refuse more connections at once than a token allows, on all workers together."""
        if grant.sessions is None:
            return
        own = sum(worker.connections_of(grant.name) for worker in self._workers)
        if own >= grant.sessions:
            raise over_limit(grant.sessions)

    def _refusal(self) -> UnavailableError:
        """Return why no worker takes another session."""
        running = [worker for worker in self._workers if worker.address is not None]
        if not running:
            return _none_runs()
        if self._is_full or all(one.session_count >= one.report.capacity for one in running):
            count = sum(worker.session_count for worker in running)
            return full(count)
        return busy()


def _none_runs() -> UnavailableError:
    message = "no worker of this server runs at the moment"
    return UnavailableError(message, "worker", 1)
