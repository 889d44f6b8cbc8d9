"""All workers: kept running, given sessions, and ended together."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from greenroom.errors import SinkError
from greenroom.hosted.admission import RateLimit
from greenroom.hosted.refusals import UnavailableError, UnknownSessionError
from greenroom.hosted.workers.merged_metrics import MergedMetrics
from greenroom.hosted.workers.placement import least_loaded
from greenroom.hosted.workers.worker import Worker, worker_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.hosted.options import ServeOptions
    from greenroom.hosted.tokens import Grant
    from greenroom.hosted.workers.reports import Report
    from greenroom.hosted.workers.worker import Given

__all__ = ["Fleet"]

logger = logging.getLogger(__name__)

_SECRET_BYTES: Final = 32
# Pause before a worker is started again; doubled each time that it ends soon.
_BACKOFF_S: Final = 0.25
_BACKOFF_MAX_S: Final = 30.0
# A worker that ran this long counts as healthy.
_HEALTHY_S: Final = 60.0
# Time for a worker to end once its sessions have.
_END_S: Final = 5.0
_REQUESTS_PER_S: Final = 5.0
_REQUESTS_AT_ONCE: Final = 20


class Fleet:
    """All workers of a service. Everything is called on the event loop's thread.

    Parameters
    ----------
    options : ServeOptions
        Of the service.

    Attributes
    ----------
    secret : str
        What every request to a worker has to have.
    workers : tuple of Worker
    failure : str
        Why the service could not start.

    State: a task for each worker, which starts its process again whenever it ends.
    """

    def __init__(self, options: ServeOptions) -> None:
        self.secret = secrets.token_urlsafe(_SECRET_BYTES)
        self.failure = ""
        self.draining = False
        self._options = options
        self._limit = RateLimit(_REQUESTS_PER_S, _REQUESTS_AT_ONCE)
        self._keeping: list[asyncio.Task[None]] = []
        count = options.worker_count
        self.workers = tuple(
            Worker(worker_options(options, number, count), self.secret, self._note_end)
            for number in range(count)
        )
        self.metrics = MergedMetrics(self.workers)

    @property
    def is_ready(self) -> bool:
        """Whether another session would be admitted now."""
        return not self.draining and not self._is_full and least_loaded(self.workers) is not None

    async def start(self) -> None:
        """Start all workers; return when each has started or failed.

        Raises
        ------
        SinkError
            If one failed; none runs then.
        """
        self._keeping = [asyncio.create_task(self._keep(worker)) for worker in self.workers]
        await asyncio.gather(*(worker.settled.wait() for worker in self.workers))
        failed = [worker for worker in self.workers if worker.port is None]
        if failed:
            await self.close()
            self.failure = failed[0].failure or "it ended by itself"
            message = f"a worker did not start: {self.failure}"
            raise SinkError(message)

    async def drain(self, grace_s: float) -> None:
        """Admit nobody any more, and end all workers within a time."""
        self.draining = True
        logger.info("the service ends within %g s", grace_s)
        for worker in self.workers:
            worker.drain(grace_s)
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=grace_s + _END_S)
        await self.close()

    async def close(self) -> None:
        """End all workers at once."""
        self.draining = True
        for worker in self.workers:
            worker.kill()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        self._keeping.clear()

    def any_worker(self) -> Worker:
        """Return a worker for a request that every one can answer.

        Raises
        ------
        UnavailableError
            If none runs.
        """
        for worker in self.workers:
            if worker.port is not None:
                return worker
        raise _none_runs()

    def owner(self, number: str) -> Worker:
        """Return the worker that a session's id names.

        Raises
        ------
        UnknownSessionError
            If it names none, or that does not run.
        """
        for worker in self.workers:
            if worker.port is not None and number.startswith(f"{worker.number}."):
                return worker
        message = "there is no such session; it may have ended"
        raise UnknownSessionError(message)

    @contextmanager
    def place(
        self, grant: Grant, stream: str, avoided: Worker | None
    ) -> Iterator[tuple[Worker, Given]]:
        """Choose the worker of a new session, and count it there.

        Parameters
        ----------
        grant : Grant
        stream : str
            Empty if nobody else is to watch it.
        avoided : Worker or None
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
            worker = least_loaded(one for one in self.workers if one is not avoided)
            if worker is None:
                raise self._refusal()
        else:
            worker = replaced  # it ends the stream's session before
        with worker.giving(grant.name, stream, is_session=True) as given:
            yield worker, given

    @contextmanager
    def watch(self, grant: Grant, stream: str) -> Iterator[tuple[Worker, Given]]:
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
            message = f"nobody publishes the stream '{stream}' now"
            raise UnknownSessionError(message)
        self._check_own_limit(grant)
        with worker.giving(grant.name, stream, is_session=False) as given:
            yield worker, given

    async def _keep(self, worker: Worker) -> None:
        """Run a worker's processes, one after the other."""
        backoff_s = _BACKOFF_S
        while not self.draining:
            backoff_s = await self._run_once(worker, backoff_s)

    async def _run_once(self, worker: Worker, backoff_s: float) -> float:
        """Run one process of a worker, and pause; return the next pause."""
        began_s = time.monotonic()
        has_started = await worker.run()
        if self.draining:
            return backoff_s
        if time.monotonic() - began_s > _HEALTHY_S:
            backoff_s = _BACKOFF_S
        logger.error(
            "worker %d %s; the next try is in %g s",
            worker.number,
            "has ended, and its sessions with it" if has_started else "did not start",
            backoff_s,
        )
        await asyncio.sleep(backoff_s)
        return min(2 * backoff_s, _BACKOFF_MAX_S)

    def _note_end(self, last: Report) -> None:
        self.metrics.note_end(last.metrics, was_expected=self.draining)

    def _publisher(self, stream: str) -> Worker | None:
        """Return the worker of a stream."""
        return next((one for one in self.workers if one.owner_of(stream) is not None), None)

    @property
    def _is_full(self) -> bool:
        most = self._options.max_sessions
        return most is not None and sum(one.session_count for one in self.workers) >= most

    def _check(self, grant: Grant) -> None:
        if self.draining:
            message = "this server is being shut down"
            raise UnavailableError(message, "draining", 1)
        if not self._limit.allows(grant.name):
            message = "too many sessions are asked for: wait a little"
            raise UnavailableError(message, "rate")

    def _check_limits(self, grant: Grant) -> None:
        if self._is_full:
            raise self._refusal()
        self._check_own_limit(grant)

    def _check_own_limit(self, grant: Grant) -> None:
        """Refuse more connections at once than a token allows, on all workers together."""
        if grant.sessions is None:
            return
        own = sum(worker.connections_of(grant.name) for worker in self.workers)
        if own >= grant.sessions:
            message = f"this token allows {grant.sessions} sessions at once, and all are taken"
            raise UnavailableError(message, "limit")

    def _refusal(self) -> UnavailableError:
        """Return why no worker takes another session."""
        running = [worker for worker in self.workers if worker.port is not None]
        if not running:
            return _none_runs()
        if self._is_full or all(one.session_count >= one.report.capacity for one in running):
            count = sum(worker.session_count for worker in running)
            message = f"this server holds {count} sessions, and all are taken"
            return UnavailableError(message, "full")
        message = "this server is busy: another session would slow down the others"
        return UnavailableError(message, "busy")


def _none_runs() -> UnavailableError:
    message = "no worker of this server runs at the moment"
    return UnavailableError(message, "worker", 1)
