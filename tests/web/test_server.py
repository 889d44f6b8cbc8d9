"""The page's server, through real sockets of this machine."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from greenroom.errors import SinkError
from greenroom.web.access import Access
from greenroom.web.port import listen
from greenroom.web.server import DEFAULT_PORT, PageServer
from web.conftest import TOKEN

if TYPE_CHECKING:
    from greenroom.web.gallery import Gallery
    from web.fake_session import FakeSession

pytestmark = [
    pytest.mark.usefixtures("no_thread_left"),
    pytest.mark.allow_hosts(["127.0.0.1"]),
]

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def opened(server: PageServer, path: str) -> ClientConnection:
    """Open a connection as a page does."""
    return connect(
        f"ws://127.0.0.1:{server.port}{path}",
        origin=Origin(f"http://127.0.0.1:{server.port}"),
        subprotocols=[Subprotocol("greenroom"), Subprotocol(f"token.{TOKEN}")],
        proxy=None,
    )


def read_to_end(page: ClientConnection) -> None:
    """Read until the connection is closed."""
    while True:
        page.recv(timeout=10)


def test_the_address_opens_the_page(server: PageServer) -> None:
    """The address leads to the page, and its token stays in the browser."""
    address, _, token = server.url.partition("#token=")
    assert (address, token) == (f"http://127.0.0.1:{server.port}/", TOKEN)
    answer = requests.get(server.url, timeout=10)
    assert answer.status_code == 200
    assert "greenroom" in answer.text
    assert TOKEN not in answer.text
    assert "server" not in answer.headers
    assert "set-cookie" not in answer.headers
    assert requests.get(f"{address}api/status", timeout=10).status_code == 403


def test_tokens_are_random(session: FakeSession, gallery: Gallery) -> None:
    """Each server has a token of its own, too long to be guessed."""
    tokens = {
        PageServer(session, run_checks=session.run_checks, gallery=gallery).access.token
        for _ in range(3)
    }
    assert len(tokens) == 3
    assert min(map(len, tokens)) >= 43


def test_a_connection_without_the_token_is_refused(server: PageServer) -> None:
    """A program without the token is not told anything."""
    from websockets.exceptions import InvalidStatus  # noqa: PLC0415 - only here

    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None).close()
    assert refused.value.response.status_code == 403


def test_pages_and_previews_come_through(server: PageServer) -> None:
    """News and pictures come over real connections."""
    with opened(server, "/ws") as news, opened(server, "/ws/preview") as preview:
        assert json.loads(news.recv(timeout=10))["type"] == "settings"
        for number in (1, 2):
            message = preview.recv(timeout=10)
            assert isinstance(message, bytes)
            assert int.from_bytes(message[:4], "big") == number
            preview.send(json.dumps({"shown": number}))


def test_long_messages_end_a_connection(server: PageServer) -> None:
    """A page says little; what says much is cut off."""
    with opened(server, "/ws/preview") as preview:
        preview.send("x" * 100_000)
        with pytest.raises(ConnectionClosed) as ended:
            read_to_end(preview)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1009


def test_it_ends_though_pages_are_open(server: PageServer, session: FakeSession) -> None:
    """With pages, previews that wait and an idle connection open, it ends within two seconds."""
    with ExitStack() as stack:
        pages = [stack.enter_context(opened(server, path)) for path in ("/ws", "/ws/preview") * 3]
        for page in pages:
            page.recv(timeout=10)
        idle = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        idle.sendall(b"GET / HTTP/1.1\r\nHost: ")
        started_s = time.monotonic()
        server.stop()
        assert time.monotonic() - started_s < 2
        for page in pages:
            with pytest.raises(ConnectionClosed):
                read_to_end(page)
    assert session.opened == []
    assert session.listeners == []


def test_it_ends_though_a_model_hangs(
    server: PageServer,
    session: FakeSession,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A change that never comes back does not hold up the end, and is no error to be told."""
    begun, going_on = threading.Event(), threading.Event()

    def hang(**_: Any) -> None:
        begun.set()
        going_on.wait(10)

    monkeypatch.setattr(session, "update", hang)

    def ask() -> None:
        # It is given up without an answer, or with one that says so.
        with suppress(requests.ConnectionError):
            requests.patch(
                f"http://127.0.0.1:{server.port}/api/settings",
                json={"mirror": True},
                headers=BEARER,
                timeout=10,
            )

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        assert begun.wait(10)
        started_s = time.monotonic()
        server.stop()
        assert time.monotonic() - started_s < 2.2
        assert not caplog.records
    finally:
        going_on.set()
        asking.join()


def test_a_port_in_use_is_told(server: PageServer, session: FakeSession, gallery: Gallery) -> None:
    """The second one says which port it is, and how to take another."""
    with pytest.raises(SinkError, match=f"port {server.port} of 127.0.0.1 is in use") as refused:
        PageServer(
            session, run_checks=session.run_checks, port=server.port, gallery=gallery
        ).start()
    assert f"--port {server.port + 1}" in str(refused.value)
    assert "--port 0" in str(refused.value)


def test_a_port_that_there_is_not_is_told(session: FakeSession, gallery: Gallery) -> None:
    """A number that is no port is told with one that is."""
    with pytest.raises(SinkError, match=f"--port {DEFAULT_PORT}"):
        PageServer(session, run_checks=session.run_checks, port=70000, gallery=gallery).start()


def test_it_is_served_to_this_machine_only() -> None:
    """No other address of this machine is listened at."""
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


def test_it_is_started_again(server: PageServer, session: FakeSession) -> None:
    """After its end the port is free, and another one may begin there."""
    server.stop()
    server.stop()
    again = PageServer(
        session, run_checks=session.run_checks, port=server.port, access=Access(b"k" * 32, TOKEN)
    )
    again.start()
    try:
        url = f"http://127.0.0.1:{server.port}/api/status"
        assert requests.get(url, headers=BEARER, timeout=10).status_code == 200
    finally:
        again.stop()


def test_a_server_that_fails_is_there_again(
    server: PageServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever ends it, that is logged, and the page is served again at the same port."""
    address = f"http://127.0.0.1:{server.port}/api/status"
    assert requests.get(address, headers=BEARER, timeout=10).status_code == 200
    failing = vars(server)["_server"]
    assert failing is not None
    failing.should_exit = True  # as if by itself
    for _ in range(1000):
        with suppress(requests.ConnectionError):
            if (
                vars(server)["_server"] is not failing
                and requests.get(address, headers=BEARER, timeout=10).status_code == 200
            ):
                break
        time.sleep(0.01)
    else:
        pytest.fail("it does not come back")
    assert "page failed and is restarted" in caplog.text
