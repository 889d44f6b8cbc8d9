"""Connections over a TURN server alone, with coturn where it is installed."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from greenroom.hosted.rtc import IceServer, PeerOptions, SignallingError
from hosted.rtc.clients import client_of, until
from hosted.rtc.test_peer import Echo
from hosted.service import asynchronous

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed"),
]
DEADLINE_S = 10.0


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def turn_port(tmp_path: Path) -> Iterator[int]:
    """Run a TURN server for one user on the loopback interface; give its port."""
    port = free_port()
    options = [
        "--no-cli",
        "--no-tls",
        "--no-dtls",
        "--lt-cred-mech",
        "--allow-loopback-peers",
        "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1",
        f"--listening-port={port}",
        "--realm=greenroom",
        "--user=someone:secret",
        f"--userdb={tmp_path / 'users'}",
        f"--pidfile={tmp_path / 'pid'}",
        "--log-file=stdout",
        "-n",
    ]
    server = subprocess.Popen(["turnserver", *options], stdout=subprocess.DEVNULL)  # noqa: S607
    end_s = time.monotonic() + DEADLINE_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert time.monotonic() < end_s
        time.sleep(0.05)
    yield port
    server.terminate()
    server.wait(DEADLINE_S)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@asynchronous
async def test_media_are_relayed(turn_port: int, transport: str) -> None:
    """With relay-only ICE the answer has the server's candidate and no other."""
    server = IceServer(f"turn:127.0.0.1:{turn_port}?transport={transport}", "someone", "secret")
    echo = Echo(PeerOptions(ice_servers=(server,), relay_only=True, loopback=True))
    async with client_of(echo.peer) as client:
        client.video()
        answer = await client.connect(echo.peer)
        candidates = [line for line in answer.split("\r\n") if "a=candidate" in line]
        assert len(candidates) == 1
        assert "typ relay" in candidates[0]
        await until(lambda: len(client.received["video"]) > 5)
    await until(lambda: len(asyncio.all_tasks()) <= 2, 5)


@asynchronous
async def test_a_wrong_password_gives_no_candidate(turn_port: int) -> None:
    """Nothing can be relayed then, and that is said at once."""
    server = IceServer(f"turn:127.0.0.1:{turn_port}?transport=udp", "someone", "wrong")
    echo = Echo(PeerOptions(ice_servers=(server,), relay_only=True))
    async with client_of(echo.peer) as client:
        client.video()
        with pytest.raises(SignallingError, match="no STUN or TURN server gave a candidate"):
            await echo.peer.answer(await client.offer())
