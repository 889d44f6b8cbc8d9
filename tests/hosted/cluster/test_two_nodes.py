"""Sessions on two nodes of a cluster, one of which is lost in mid-call."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from hosted.client import Client, PersonTrack, until
from hosted.service import asynchronous
from hosted.workers.served import served

if TYPE_CHECKING:
    from pathlib import Path

    from hosted.cluster.conftest import TwoNodes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.allow_hosts(["127.0.0.1"]),
]
BACK_S = 5.0


def test_lost_node_ends_its_sessions_alone(two_nodes: TwoNodes, tmp_path: Path) -> None:
    """The client of a lost node is back on the other one within 5 s; there, sessions go on."""
    config = tmp_path / "settings.toml"
    config.write_text('background = "color:teal"\n')
    with served(
        f"--ray={two_nodes.address}",
        "--replicas=2-2",
        "--max-sessions=8",
        f"--config={config}",
    ) as service:

        @asynchronous
        async def call() -> None:
            async with httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as http:
                await both_run(http)
                clients = [Client(http, PersonTrack()) for _ in range(2)]
                for client in clients:
                    assert (await client.connect()).status_code == 201
                assert len({owner(client) for client in clients}) == 2
                await until(lambda: min(one.count for one in clients) > 10, "frames of both")
                lost_s = time.monotonic()
                two_nodes.end_second()
                gone, stays = await who_is_lost(http, clients)
                again = Client(http, PersonTrack())
                while (await again.connect()).status_code != 201:
                    await again.close()
                    again = Client(http, PersonTrack())
                    await asyncio.sleep(0.2)
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


def owner(client: Client) -> str:
    """Return the replica that a session's address names."""
    return client.location.rpartition("/")[2].partition(".")[0]


async def both_run(http: httpx.AsyncClient) -> None:
    """Wait until both replicas run."""
    for _ in range(600):
        text = (await http.get("/metrics")).text
        up = [line for line in text.splitlines() if line.startswith("greenroom_worker_up{")]
        if len(up) == 2 and all(line.endswith(" 1.0") for line in up):
            return
        await asyncio.sleep(0.1)
    pytest.fail("the second replica did not start")


async def who_is_lost(http: httpx.AsyncClient, clients: list[Client]) -> tuple[Client, Client]:
    """Wait until a session is gone; return its client, and the other one."""
    for _ in range(500):
        for client, other in (clients, clients[::-1]):
            if (await http.get(client.location)).status_code == 404:
                return client, other
        await asyncio.sleep(0.02)
    pytest.fail("no session was lost")
