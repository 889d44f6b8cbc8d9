"""TLS handshakes that never end: they are few, end soon, and keep no client out."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
import time
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from greenroom.hosted import listener
from greenroom.hosted.listener import Listener, listen
from greenroom.hosted.tls import self_signed
from hosted.client import until
from hosted.service import asynchronous

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

DEADLINE_S = 20.0


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate and its key."""
    return self_signed([], tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def listening(
    certificate: Path | None, protocol: type[Echo] = Echo
) -> AsyncIterator[tuple[Listener, int]]:
    """Serve a protocol at a free port."""
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    with listen("127.0.0.1", 0) as one:
        made = Listener(one, protocol, tls)
        made.start()
        try:
            yield made, one.getsockname()[1]
        finally:
            await made.close()
    assert made.handshakes == 0


def silent(port: int, source: str = "127.0.0.1") -> socket.socket:
    """Connect, and say nothing."""
    return socket.create_connection(("127.0.0.1", port), DEADLINE_S, source_address=(source, 0))


async def echoed(port: int, certificate: Path | None) -> bytes:
    """Connect, send a word, and return what comes back."""
    trusted = None if certificate is None else ssl.create_default_context(cafile=certificate)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted)
    writer.write(b"word")
    answer = await asyncio.wait_for(reader.read(4), DEADLINE_S)
    writer.transport.abort()
    return answer


async def is_closed(one: socket.socket) -> bool:
    """Wait until the service has closed a connection."""
    one.setblocking(False)  # noqa: FBT003
    try:
        read = asyncio.get_running_loop().sock_recv(one, 1)
        return await asyncio.wait_for(read, DEADLINE_S) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("is_encrypted", [True, False])
@asynchronous
async def test_connections_are_served(certificate: Path, *, is_encrypted: bool) -> None:
    """Those that are encrypted and those that are not reach their protocol."""
    used = certificate if is_encrypted else None
    async with listening(used) as (made, port):
        assert await asyncio.gather(*(echoed(port, used) for _ in range(50))) == [b"word"] * 50
        assert made.handshakes == 0


@asynchronous
async def test_handshakes_are_few_and_others_get_in(certificate: Path) -> None:
    """Of 100 silent connections 16 are kept, the newest, and a client gets in at once."""
    async with listening(certificate) as (made, port):
        with ExitStack() as stack:
            opened = [stack.enter_context(silent(port)) for _ in range(100)]
            began_s = time.monotonic()
            assert await echoed(port, certificate) == b"word"
            assert time.monotonic() - began_s < 3
            assert await is_closed(opened[0])
            assert made.handshakes <= 16


@pytest.mark.skipif(sys.platform != "linux", reason="others have one loopback address")
@asynchronous
async def test_no_address_displaces_another(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many handshakes as may be, that address loses one which has most of them."""
    monkeypatch.setattr(listener, "_MAX_HANDSHAKES", 20)
    async with listening(certificate) as (made, port):
        with ExitStack() as stack:
            first = stack.enter_context(silent(port, "127.0.0.2"))
            hostile = [stack.enter_context(silent(port, "127.0.0.3")) for _ in range(200)]
            others = [stack.enter_context(silent(port, f"127.0.1.{n}")) for n in range(1, 10)]
            assert await is_closed(hostile[150])
            await until(lambda: made.handshakes == 20, "the last handshakes")
            for one in (first, *others):
                one.setblocking(False)  # noqa: FBT003
                with pytest.raises(BlockingIOError):
                    one.recv(1)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_addresses_of_one_customer_are_one_client(address: str, client: str) -> None:
    """With IPv6 everybody has as many addresses as they like."""
    assert listener._client_of((address, 50_000)) == client  # noqa: SLF001


@asynchronous
async def test_without_descriptors_it_goes_on_later(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that cannot be accepted now is served when there is room, and that is told."""
    monkeypatch.setattr(listener, "_ACCEPT_RETRY_S", 0.05)
    loop = asyncio.get_running_loop()
    accept, refusals = loop.sock_accept, [errno.EMFILE, errno.EMFILE, errno.ECONNABORTED]

    async def accept_later(one: socket.socket) -> object:
        if refusals:
            raise OSError(refusals.pop(), "no room")
        return await accept(one)

    monkeypatch.setattr(loop, "sock_accept", accept_later)
    async with listening(certificate) as (_, port):
        assert await echoed(port, certificate) == b"word"
    assert [record.getMessage() for record in caplog.records] == [
        "no connection can be accepted: no room"
    ]


@asynchronous
async def test_a_handshake_ends_after_its_time(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is closed, whether the client has said nothing or half of its hello."""
    monkeypatch.setattr(listener, "_HANDSHAKE_TIMEOUT_S", 0.2)
    async with listening(certificate) as (made, port):
        with silent(port) as one, silent(port) as other:
            other.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
            assert await is_closed(one)
            assert await is_closed(other)
            assert made.handshakes == 0


@asynchronous
async def test_one_without_encryption_is_closed(certificate: Path) -> None:
    """A client that speaks HTTP to an encrypted port gets no answer."""
    async with listening(certificate) as (made, port):
        with silent(port) as one:
            one.sendall(b"GET / HTTP/1.1\r\n\r\n")
            one.setblocking(False)  # noqa: FBT003
            while await asyncio.get_running_loop().sock_recv(one, 100):  # an alert, then the end
                pass
        assert made.handshakes == 0


@asynchronous
async def test_a_client_that_does_not_agree_to_the_end(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed connection whose client goes on silently is cut off after its time."""
    monkeypatch.setattr(listener, "_CLOSE_TIMEOUT_S", 0.2)
    lost = asyncio.Event()

    class Closing(Echo):
        def data_received(self, data: bytes) -> None:  # noqa: ARG002
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
            lost.set()

    trusted = ssl.create_default_context(cafile=certificate)
    async with listening(certificate, Closing) as (_, port):
        with trusted.wrap_socket(
            silent(port), do_handshake_on_connect=False, server_hostname="127.0.0.1"
        ) as one:
            await asyncio.to_thread(one.do_handshake)
            one.sendall(b"word")
            await asyncio.wait_for(lost.wait(), DEADLINE_S)
