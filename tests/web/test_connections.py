"""However many connections others open, and however slowly, the owner gets in."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
import requests
import uvicorn
from starlette.responses import Response
from uvicorn.server import ServerState

from greenroom.web.connections import MAX_CONNECTIONS, Connection
from web.conftest import TOKEN
from web.test_server import BEARER, opened
from web.test_sockets import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from greenroom.web.server import PageServer
    from web.fake_session import FakeSession

pytestmark = [
    pytest.mark.usefixtures("no_thread_left"),
    pytest.mark.allow_hosts(["127.0.0.1"]),
]

DEADLINE_S: Final = 20.0
# A page with as many descriptors as macOS gives, of which it says how many are used.
LIMITED: Final = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from pathlib import Path
from greenroom.web.gallery import Gallery
from greenroom.web.server import PageServer
from greenroom.web.access import Access
from web.fake_session import FakeSession
folder = Path(sys.argv[1])
session = FakeSession(folder / "greenroom.toml")
access = Access(b"k" * 32, sys.argv[2])
server = PageServer(
    session, run_checks=session.run_checks, port=0, access=access, gallery=Gallery(folder)
)
server.start()
print(server.port, flush=True)
for _ in sys.stdin:
    print(len(os.listdir("/dev/fd")), flush=True)
server.stop()
session.close()
"""


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have less patience with everybody."""
    monkeypatch.setattr("greenroom.web.connections._HEAD_TIMEOUT_S", 0.3)
    monkeypatch.setattr("greenroom.web.connections._WRITE_TIMEOUT_S", 0.3)
    monkeypatch.setattr("greenroom.web.request_bodies._JSON_TIMEOUT_S", 0.3)
    monkeypatch.setattr("greenroom.web.background_routes._UPLOAD_TIMEOUT_S", 0.3)


def connected(port: int) -> socket.socket:
    """Open a connection, and say nothing."""
    made = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
    made.settimeout(DEADLINE_S)
    return made


def asked(process: subprocess.Popen[str]) -> int:
    """Ask the page of `LIMITED` how many descriptors are used."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(process.stdout.readline())


def read_all(connection: socket.socket) -> bytes:
    """Read until the other side ends the connection; fails if it does not."""
    read = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            read += part
    return read


def is_served(port: int) -> bool:
    """Ask for the status as a program does."""
    answer = requests.get(f"http://127.0.0.1:{port}/api/status", headers=BEARER, timeout=DEADLINE_S)
    return answer.status_code == 200


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such limit")
def test_silence_takes_nothing_away(tmp_path: Path) -> None:
    """With 400 silent connections and 256 descriptors, pages open, and 64 descriptors are used."""
    process = subprocess.Popen(
        [sys.executable, "-c", LIMITED, str(tmp_path), TOKEN],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process, ExitStack() as stack:
        stack.callback(process.kill)
        port, used = int(process.stdout.readline()), asked(process)
        silent = [stack.enter_context(connected(port)) for _ in range(400)]
        started_s = time.monotonic()
        assert is_served(port)
        assert time.monotonic() - started_s < 5
        eventually(lambda: asked(process) <= used + MAX_CONNECTIONS + 2)
        assert read_all(silent[0]) == b""
        process.stdin.close()
        process.wait(DEADLINE_S)
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
        b"GET /static/icon.svg HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\nGET / HT",
        b"POST /nothing HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 9\r\n\r\nx",
    ],
)
@pytest.mark.usefixtures("hurried")
def test_who_never_comes_to_an_end_is_ended(server: PageServer, said: bytes) -> None:
    """Silence, half a request, and half a body that nobody waits for end a connection."""
    with connected(server.port) as slow:
        slow.sendall(said.replace(b"%d", str(server.port).encode()))
        read_all(slow)


@pytest.mark.usefixtures("hurried")
def test_a_slow_trickle_gains_no_time(server: PageServer) -> None:
    """A head that comes byte by byte has to be there in time all the same."""
    with connected(server.port) as slow:
        end_s = time.monotonic() + DEADLINE_S
        with suppress(ConnectionError):
            while time.monotonic() < end_s:
                slow.sendall(b"G")
                time.sleep(0.02)
        assert time.monotonic() < end_s


@pytest.mark.parametrize(
    ("path", "token"),
    [("/api/hello", ""), ("/api/cover", TOKEN), ("/api/backgrounds", TOKEN)],
)
@pytest.mark.usefixtures("hurried")
def test_a_slow_body_is_told(server: PageServer, path: str, token: str) -> None:
    """A body that does not come in time is answered, and its connection is ended."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{"
    )
    with connected(server.port) as slow:
        slow.sendall(head.encode())
        answer = read_all(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert "within 0.3 s" in json.loads(answer.partition(b"\r\n\r\n")[2])["message"]


@pytest.mark.usefixtures("hurried")
def test_who_takes_nothing_is_ended(server: PageServer) -> None:
    """Somebody who asks and asks, and reads nothing, holds up nothing for long."""
    request = f"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    with connected(server.port) as greedy:
        greedy.settimeout(0.1)
        with suppress(TimeoutError):  # until nothing more is taken
            greedy.sendall(request * 20_000)
        eventually(lambda: server.connections == 0)


@pytest.mark.usefixtures("hurried")
def test_an_unread_last_answer_holds_nothing_up() -> None:
    """A connection that is to be closed is, though its client does not take the last answer."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(bytes(60_000))(scope, receive, send)

    config = uvicorn.Config(answer, http=Connection, lifespan="off", log_config=None, ws="none")

    async def ask_and_read_nothing() -> None:
        lost = asyncio.Event()

        class Noted(Connection):
            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                lost.set()

        # Accepted connections inherit the size: the answer stays in the process.
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        server = await asyncio.get_running_loop().create_server(
            lambda: Noted(config, ServerState(), {}), sock=listening
        )
        with socket.socket() as greedy:
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            greedy.connect(listening.getsockname())
            greedy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await asyncio.wait_for(lost.wait(), DEADLINE_S)
        server.close()

    asyncio.run(ask_and_read_nothing())


@pytest.mark.parametrize("how", ["silent", "slow"])
def test_the_owner_goes_on(server: PageServer, session: FakeSession, how: str) -> None:
    """Open pages stay open, and new ones are served, while others take all they can get."""
    del session
    body = b"POST /api/hello HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 9\r\n\r\n"
    said = b"" if how == "silent" else body.replace(b"%d", str(server.port).encode())
    with ExitStack() as stack:
        page = stack.enter_context(opened(server, "/ws"))
        page.recv(timeout=10)
        for _ in range(2 * MAX_CONNECTIONS):
            other = stack.enter_context(connected(server.port))
            other.sendall(said)
        assert is_served(server.port)
        for _ in range(4):
            page.recv(timeout=10)
        again = stack.enter_context(opened(server, "/ws/preview"))
        assert again.recv(timeout=10)


def test_the_owner_s_own_are_limited_too(server: PageServer) -> None:
    """So many pages that nothing else fits are refused, and the others go on."""
    with ExitStack() as stack:
        pages = [stack.enter_context(opened(server, "/ws")) for _ in range(MAX_CONNECTIONS)]
        with pytest.raises(requests.ConnectionError):
            is_served(server.port)
        for page in pages:
            page.recv(timeout=10)
        pages[0].close()
        end_s = time.monotonic() + DEADLINE_S
        served: Any = False
        while not served and time.monotonic() < end_s:
            with suppress(requests.ConnectionError):
                served = is_served(server.port)
        assert served
