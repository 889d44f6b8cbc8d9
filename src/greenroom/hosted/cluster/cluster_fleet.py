"""All replicas of a cluster, found in its directory."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from greenroom.errors import GreenroomError, SinkError
from greenroom.hosted.cluster.remote_worker import RemoteWorker
from greenroom.hosted.workers.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.hosted.cluster.directory import Listing
    from greenroom.hosted.options import ServeOptions

__all__ = ["ClusterFleet", "Replicas"]

logger = logging.getLogger(__name__)

# Time-out for the start of the first replica: a process of Ray's imports everything anew.
_START_S: Final = 120.0
_FIRST_LOOK_S: Final = 0.2
_LOOK_S: Final = 1.0
_RETRY_S: Final = 1.0


class Replicas(ABC):
    """Whatever runs the replicas of a service and lists them."""

    @abstractmethod
    async def start(self) -> str:
        """Have replicas started, or find those that run; return the secret of requests to them.

        Raises
        ------
        GreenroomError
            If that is not possible.
        """

    @abstractmethod
    async def listing(self, known: int) -> Listing:
        """Return the replicas, as soon as they are others than in a version or after some time.

        Raises
        ------
        ConnectionError
            If that is not known at the moment.
        """

    @abstractmethod
    async def trouble(self) -> str:
        """Return why no replica starts; empty while one still may."""

    @abstractmethod
    async def end(self) -> None:
        """End all replicas, which have no sessions any more."""


class ClusterFleet(Fleet):
    """Workers on all machines of a cluster.

    Parameters
    ----------
    options : ServeOptions
        Of the service.
    replicas : Replicas
    holds_name : callable
        Says whether any token of a name is valid; sessions of other names are ended.

    State: a task that follows the directory, and one that looks after tokens.
    """

    def __init__(
        self,
        options: ServeOptions,
        replicas: Replicas,
        holds_name: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self.workers: list[RemoteWorker] = []
        super().__init__(options, self.workers, "")
        self._replicas = replicas
        self._holds_name = holds_name
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """See `Fleet.start`; return when one replica has reported."""
        try:
            self.secret = await self._replicas.start()
            self._tasks = [
                asyncio.create_task(self._follow_directory()),
                asyncio.create_task(self._look_after_tokens()),
            ]
            await self._await_first()
        except GreenroomError as error:
            self.failure = str(error)
            await self.close()
            raise

    async def drain(self, grace_s: float) -> None:
        """See `Fleet.drain`."""
        self.draining = True
        logger.info("the service ends within %g s", grace_s)
        told = {"grace_s": grace_s}
        await asyncio.gather(*(worker.ask("drain", told) for worker in self.workers))
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(worker.emptied() for worker in self.workers))
        await self.close()
        await self._replicas.end()

    async def close(self) -> None:
        """Follow the replicas no more; they go on."""
        self.draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(worker.close() for worker in self.workers))

    async def _await_first(self) -> None:
        """Wait until a replica has reported; end all if none does."""
        end_s = time.monotonic() + _START_S
        while not any(worker.address for worker in self.workers):
            trouble = await self._replicas.trouble()
            if not trouble and time.monotonic() > end_s:
                trouble = f"none came within {_START_S:g} s"
            if trouble:
                await self._replicas.end()
                message = f"no replica starts: {trouble}"
                raise SinkError(message)
            await asyncio.sleep(_FIRST_LOOK_S)

    async def _follow_directory(self) -> None:
        """Follow which replicas there are."""
        known = 0
        while True:
            try:
                listing = await self._replicas.listing(known)
            except ConnectionError as error:
                logger.warning("the directory does not answer: %s", error)
                await asyncio.sleep(_RETRY_S)
                continue
            known = listing.version
            await self._take(listing)

    async def _take(self, listing: Listing) -> None:
        """Follow those that are new, and forget those that are gone.

        One that reports is not gone yet: it ends its sessions, or the directory is a new one.
        """
        listed = {one.name for one in listing.replicas}
        for worker in [*self.workers]:
            worker.is_listed = worker.name in listed
            if not worker.is_listed and worker.address is None:
                self.workers.remove(worker)
                self.metrics.note_end((await worker.close()).metrics, was_expected=True)
        known = {worker.name for worker in self.workers}
        for replica in listing.replicas:
            if replica.name not in known:
                self.workers.append(RemoteWorker(replica, self.secret, self._note_loss))
                logger.info("replica %s at %s is found", replica.name, replica.host)

    def _note_loss(self, worker: RemoteWorker) -> None:
        self.metrics.note_end("", was_expected=self.draining or not worker.is_listed)

    async def _look_after_tokens(self) -> None:
        """Have sessions ended whose tokens are no longer valid."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for worker in [*self.workers]:
                gone = [one for one in worker.report.connections if not self._holds_name(one)]
                if gone:
                    await worker.ask("revoke", {"names": gone})
