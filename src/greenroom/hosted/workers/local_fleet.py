"""All workers of this machine: kept running, and ended together."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from greenroom.errors import SinkError
from greenroom.hosted.workers.fleet import Fleet
from greenroom.hosted.workers.worker import SessionWorker, worker_options

if TYPE_CHECKING:
    from greenroom.hosted.options import ServeOptions

__all__ = ["LocalFleet"]

logger = logging.getLogger(__name__)

_SECRET_BYTES: Final = 32
# Pause before a worker is started again; doubled each time that it ends soon.
_BACKOFF_S: Final = 0.25
_BACKOFF_MAX_S: Final = 30.0
# A worker that ran this long counts as healthy.
_HEALTHY_S: Final = 60.0
# Time for a worker to end once its sessions have.
_END_S: Final = 5.0


class LocalFleet(Fleet):
    """Workers that are processes of this machine.

    Parameters
    ----------
    options : ServeOptions
        Of the service.

    Attributes
    ----------
    workers : tuple of SessionWorker

    State: a task for each worker, which starts its process again whenever it ends.
    """

    def __init__(self, options: ServeOptions) -> None:
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        count = options.worker_count
        self.workers = tuple(
            SessionWorker(worker_options(options, number, count), secret, self.note_end)
            for number in range(count)
        )
        self._keeping: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        super().__init__(options, self.workers, secret)

    async def start(self) -> None:
        """Start all workers; return when each has started or failed.

        Raises
        ------
        SinkError
            If one failed; none runs then.
        """
        self._keeping = [asyncio.create_task(self._keep(worker)) for worker in self.workers]
        await asyncio.gather(*(worker.settled.wait() for worker in self.workers))
        failed = [worker for worker in self.workers if worker.address is None]
        if failed:
            await self.close()
            self.failure = failed[0].failure or "it ended by itself"
            message = f"a worker did not start: {self.failure}"
            raise SinkError(message)

    async def drain(self, grace_s: float) -> None:
        """Admit nobody any more, and end all workers within a time."""
        self._begin_end()
        logger.info("the service ends within %g s", grace_s)
        for worker in self.workers:
            worker.drain(grace_s)
        if self._keeping:
            await asyncio.wait(self._keeping, timeout=grace_s + _END_S)
        await self.close()

    async def close(self) -> None:
        """End all workers at once."""
        self._begin_end()
        for worker in self.workers:
            worker.kill()
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)
        self._keeping.clear()

    def _begin_end(self) -> None:
        self.draining = True
        self._ending.set()

    async def _keep(self, worker: SessionWorker) -> None:
        """Run a worker's processes, one after the other."""
        backoff_s = _BACKOFF_S
        while not self.draining:
            backoff_s = await self._run_once(worker, backoff_s)

    async def _run_once(self, worker: SessionWorker, backoff_s: float) -> float:
        """Run one process of a worker, and pause; return the next pause."""
        began_s = time.monotonic()
        has_started = await worker.run()
        if self.draining:
            return backoff_s
        if time.monotonic() - began_s > _HEALTHY_S:
            backoff_s = _BACKOFF_S
        logger.error(
            "worker %s %s; the next try is in %g s",
            worker.name,
            "has ended, and its sessions with it" if has_started else "did not start",
            backoff_s,
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), backoff_s)
        return min(2 * backoff_s, _BACKOFF_MAX_S)
