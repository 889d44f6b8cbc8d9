"""A cluster in the test's own process: replicas on threads, and a directory, without Ray."""

from __future__ import annotations

import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from greenroom.hosted.cluster.cluster_fleet import ClusterFleet, Replicas
from greenroom.hosted.cluster.control import Control
from greenroom.hosted.cluster.directory import Directory, Listing, Replica
from greenroom.hosted.options import Part, ServeOptions
from greenroom.hosted.workers.front import create_front
from greenroom.hosted.workers.worker_server import WorkerServer
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HOST = "127.0.0.1"
SECRET = "of the cluster"  # noqa: S105
_END_S = 10.0


class ThreadReplica:
    """A replica on a thread."""

    def __init__(self, name: str, options: ServeOptions) -> None:
        self.control = Control()
        self.server = WorkerServer(
            options,
            SECRET,
            HOST,
            self.control.tell,
            holds=self.control.holds,
            wrap=self.control.wrap,
        )
        self.control.drain = self.server.sessions.drain
        self.entry = Replica(name, HOST, self.server.port)
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()
        end_s = time.monotonic() + _END_S
        while not self.control.last:
            assert time.monotonic() < end_s
            time.sleep(0.01)

    def end(self) -> None:
        """End it at once."""
        self.server.begin_drain(0.0)
        self._thread.join(_END_S)
        assert not self._thread.is_alive()


class ThreadReplicas(Replicas):
    """Replicas on threads."""

    def __init__(self, count: int, options: ServeOptions) -> None:
        self.running = {
            name: ThreadReplica(name, named(options, name, count)) for name in "abc"[:count]
        }
        self.directory = Directory(SECRET)
        self.has_ended = False
        self.failure = ""

    async def start(self) -> str:
        """See `Replicas.start`."""
        for replica in self.running.values():
            await self.directory.enter(replica.entry)
        return await self.directory.secret()

    async def listing(self, known: int) -> Listing:
        """See `Replicas.listing`."""
        return await self.directory.listing(known)

    async def trouble(self) -> str:
        """See `Replicas.trouble`."""
        return self.failure

    async def end(self) -> None:
        """See `Replicas.end`."""
        self.has_ended = True

    def close(self) -> None:
        """End those that still run."""
        for replica in self.running.values():
            replica.end()


@dataclass
class InFront:
    """A service in front of such replicas."""

    fleet: ClusterFleet
    replicas: ThreadReplicas
    http: httpx.AsyncClient


def named(options: ServeOptions, name: str, count: int) -> ServeOptions:
    """Return the options of one replica."""
    return ServeOptions(
        settings=options.settings,
        max_sessions=options.max_sessions,
        part=Part(count, name),
        grace_s=options.grace_s,
    )


@asynccontextmanager
async def in_front(
    count: int = 2, holds_name: Callable[[str], bool] = lambda _name: True, **chosen: Any
) -> AsyncIterator[InFront]:
    """Run a service with some replicas, each of up to four sessions."""
    options = ServeOptions(settings=Settings(background="color:teal"), max_sessions=4, **chosen)
    replicas = ThreadReplicas(count, options)
    try:
        fleet = ClusterFleet(options, replicas, holds_name)
        transport = httpx.ASGITransport(create_front(options, fleet), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            await fleet.start()
            try:
                yield InFront(fleet, replicas, http)
            finally:
                await fleet.close()
    finally:
        replicas.close()
