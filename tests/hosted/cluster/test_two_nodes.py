"""Sessions on two nodes of a cluster, one of which is lost in mid-call, and a front that is."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from cluster.conftest import NEEDS_RAY

from hosted.client import Client, PersonTrack, until
from hosted.cluster.metrics import reach
from hosted.service import asynchronous
from hosted.workers.served import Served, served

if TYPE_CHECKING:
    from cluster.conftest import TwoNodes

pytestmark = [
    NEEDS_RAY,
    pytest.mark.slow,
    pytest.mark.allow_hosts(["127.0.0.1"]),
]
BACK_S = 5.0


def test_lost_node_ends_its_sessions_alone(two_nodes: TwoNodes, config: str) -> None:
    """The client of a lost node is back on the other one within 5 s; there, sessions go on."""
    with served(*options(two_nodes), config) as service:

        @asynchronous
        async def call() -> None:
            async with asking(service) as http:
                await reach(http, "greenroom_worker_up", 2)
                clients = [Client(http, PersonTrack()) for _ in range(2)]
                for client in clients:
                    assert (await client.connect()).status_code == 201
                assert len({owner(client) for client in clients}) == 2
                await until(lambda: min(one.count for one in clients) > 10, "frames of both")
                two_nodes.end_second()
                lost_s = time.monotonic()
                gone, stays = await who_is_lost(http, clients)
                again = await connected_anew(http)
                await until(lambda: again.count > 0, "frames of the one that is back")
                assert time.monotonic() - lost_s < BACK_S
                assert owner(again) == owner(stays)
                seen = stays.count
                await until(lambda: stays.count > seen + 10, "frames of the one that stayed")
                assert stays.room_pixels == again.room_pixels == gone.room_pixels == 0
                for client in (again, stays, gone):
                    await client.close()

        call()
        assert service.end() == 0


def test_killed_front_ends_no_session(two_nodes: TwoNodes, config: str) -> None:
    """Media go on when the process in front is killed; started again, it finds the session."""
    with served(*options(two_nodes), config) as first:

        @asynchronous
        async def call() -> None:
            async with asking(first) as http, Client(http, PersonTrack()) as client:
                assert (await client.connect()).status_code == 201
                await until(lambda: client.count > 10, "frames")
                first.end(signal.SIGKILL)
                second = await asyncio.to_thread(started_again)
                try:
                    seen = client.count
                    await until(lambda: client.count > seen + 10, "frames after the restart")
                    async with asking(second) as anew:
                        await reach(anew, "greenroom_sessions ", 1)
                        state = await anew.get(client.location)
                        assert state.status_code == 200
                        await anew.delete(client.location)
                    assert await asyncio.to_thread(second.end) == 0
                finally:
                    second.close()

        def started_again() -> Served:
            second = Served(*options(two_nodes), config)
            second.wait()
            return second

        call()


def options(nodes: TwoNodes) -> tuple[str, ...]:
    """Return how the service is started."""
    return (f"--ray={nodes.address}", "--replicas=2-2", "--max-sessions=8")


def asking(service: Served) -> httpx.AsyncClient:
    """Ask a service."""
    return httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False)


def owner(client: Client) -> str:
    """Return the replica that a session's address names."""
    return client.location.rpartition("/")[2].partition(".")[0]


async def connected_anew(http: httpx.AsyncClient) -> Client:
    """Return a client that has a session, as soon as it gets one."""
    while True:
        client = Client(http, PersonTrack())
        if (await client.connect()).status_code == 201:
            return client
        await client.close()
        await asyncio.sleep(0.2)


async def who_is_lost(http: httpx.AsyncClient, clients: list[Client]) -> tuple[Client, Client]:
    """Wait until a session is gone; return its client, and the other one."""
    first, second = clients
    for _ in range(500):
        for client, other in ((first, second), (second, first)):
            if (await http.get(client.location)).status_code == 404:
                return client, other
        await asyncio.sleep(0.02)
    pytest.fail("no session was lost")
