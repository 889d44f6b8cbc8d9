"""``greenroom serve --ray`` with Ray on this machine alone: a call, ports, scaling, the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from cluster.conftest import NEEDS_RAY

from hosted.client import Client, PersonTrack, until
from hosted.cluster.metrics import count, reach
from hosted.service import SDP, asynchronous
from hosted.workers.served import await_end, descendants, served

if TYPE_CHECKING:
    from hosted.workers.served import Served

pytestmark = [
    NEEDS_RAY,
    pytest.mark.usefixtures("ray_environment"),
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc"),
]

# 127.0.0.1 and ::1 as /proc has them, and the first as a part of the second.
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")


def test_call_over_a_replica(config: str) -> None:
    """A picture comes back, all of Ray listens at loopback, and SIGTERM leaves nothing."""
    with served("--ray", "--replicas=1-1", "--max-sessions=4", config) as service:
        processes = descendants(service.process.pid)
        assert not [address for address in listening(processes) if address not in LOOPBACK]

        @asynchronous
        async def call() -> None:
            async with asking(service) as http, Client(http, PersonTrack()) as client:
                assert (await client.connect()).status_code == 201
                await until(lambda: client.count > 5, "frames")
                assert client.room_pixels == 0
                changed = await http.post(f"{client.location}/changes", json={"cover": True})
                assert changed.status_code == 200
                await reach(http, "greenroom_sessions ", 1)
                service.process.send_signal(signal.SIGTERM)
                await until(lambda: bool(client.told("closing")), "word of the end")
                refused = await http.post("/sessions", content="v=0", headers=SDP)
                assert refused.status_code == 503
                await http.delete(client.location)
                assert await asyncio.to_thread(service.end) == 0

        call()
        await_end(processes, 10)


@pytest.mark.slow
def test_replicas_follow_the_sessions(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the room of one replica is taken there is another one; a dead one is replaced."""
    monkeypatch.setenv("RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "1")
    with served("--ray", "--replicas=1-2", "--max-sessions=2", config) as service:

        @asynchronous
        async def scale() -> None:
            async with (
                asking(service) as http,
                Client(http, PersonTrack()) as first,
                Client(http, PersonTrack()) as second,
            ):
                assert await count(http, "greenroom_worker_up") == 1
                for client in (first, second):
                    assert (await client.connect()).status_code == 201
                await reach(http, "greenroom_worker_up", 2)
                victim = next(pid for pid in descendants(service.process.pid) if is_replica(pid))
                os.kill(victim, signal.SIGKILL)
                await reach(http, "greenroom_worker_ends_total", 1)
                await reach(http, "greenroom_worker_up", 2)

        scale()
        assert service.end() == 0


def asking(service: Served) -> httpx.AsyncClient:
    """Ask a service."""
    return httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False)


def is_replica(pid: int) -> bool:
    """Whether a process is a replica of Ray Serve's."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::ServeReplica")
    return False


def listening(pids: list[int]) -> list[str]:
    """Return the addresses at which processes listen for TCP, as /proc has them."""
    inodes = set()
    for pid in pids:
        with suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    inodes.add(str(link.readlink()))
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.append(fields[1].partition(":")[0])
    assert found
    return found
