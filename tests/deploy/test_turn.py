"""The example for coturn: media of clients that reach the service by a relay alone."""

from __future__ import annotations

import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("aiortc", reason="the extra 'hosted' is not installed")

from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy
from hosted.client import Client, PersonTrack, until
from hosted.service import asynchronous, serving

from deploy.commands import await_port, configured, free_port
from greenroom.hosted.options import parse_ice_server

if TYPE_CHECKING:
    from collections.abc import Iterator

TURN = shutil.which("turnserver")
pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(TURN is None, reason="coturn is not here"),
]
ACCOUNT = ("greenroom", "of-the-test")


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a coturn with the example, on the loopback interface."""
    folder = tmp_path_factory.mktemp("turn")
    port = free_port(socket.SOCK_DGRAM)
    text = configured(
        "turnserver.conf",
        {
            "listening-port=3478": f"listening-port={port}\nlistening-ip=127.0.0.1",
            "min-port=49152": "relay-ip=127.0.0.1\nmin-port=49152",
            "user=greenroom:CHANGE-ME": f"user={':'.join(ACCOUNT)}",
            # A relay to its own machine is forbidden unless it is allowed.
            "allowed-peer-ip=203.0.113.7": "allowed-peer-ip=127.0.0.1\nallow-loopback-peers",
        },
    )
    path = folder / "turnserver.conf"
    path.write_text(text)
    assert TURN is not None
    command = [TURN, "-c", str(path), "--pidfile", str(folder / "pid"), "-b", str(folder / "db")]
    log = (folder / "log").open("w")
    with log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process:
        try:
            await_port(port)
            yield f"turn:127.0.0.1:{port}"
        finally:
            process.kill()


def relay_only(relay: str, account: tuple[str, str] = ACCOUNT) -> RTCConfiguration:
    """Return the configuration of a client that has no other way."""
    server = RTCIceServer(f"{relay}?transport=udp", *account)
    return RTCConfiguration(iceServers=[server], iceTransportPolicy=RTCIceTransportPolicy.RELAY)


def candidates(sdp: str) -> set[str]:
    """Return the types of candidates of a description."""
    lines = [line for line in sdp.splitlines() if line.startswith("a=candidate")]
    return {line.partition(" typ ")[2].split()[0] for line in lines}


@asynchronous
async def test_client_gets_its_picture_through_the_relay(relay: str) -> None:
    """The service tells of the relay, and a client with no other way gets its picture."""
    server = parse_ice_server(",".join([relay, *ACCOUNT]))
    async with (
        serving(ice_servers=(server,)) as service,
        Client(service.http, PersonTrack(), relay_only(relay)) as client,
    ):
        answer = await client.connect()
        assert answer.status_code == 201
        assert answer.headers["link"].startswith(f'<{relay}>; rel="ice-server"')
        assert candidates(client.pc.localDescription.sdp) == {"relay"}
        assert "relay" in candidates(answer.text)
        await until(lambda: client.count > 10, "frames")
        assert client.room_pixels == 0


@asynchronous
async def test_wrong_account_gets_no_relay(relay: str) -> None:
    """Without the account there is no relay, and so no connection."""
    configuration = relay_only(relay, ("greenroom", "guessed"))
    async with (
        serving() as service,
        Client(service.http, PersonTrack(), configuration) as client,
    ):
        await client.connect()
        assert candidates(client.pc.localDescription.sdp) == set()
