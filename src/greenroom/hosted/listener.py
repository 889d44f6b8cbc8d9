"""Listening socket of the service: connections, with limits for TLS handshakes.

asyncio's own server waits a minute for each handshake and counts none of them: whoever opens
connections and says nothing would take all descriptors that sessions need.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from greenroom.errors import SinkError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["Listener", "listen"]

logger = logging.getLogger(__name__)

# Connections that the system queues before they are accepted.
_MAX_QUEUED: Final = 512
# A handshake takes two round trips.
_HANDSHAKE_TIMEOUT_S: Final = 4.0
# How long a client that is told the end of a connection may take to agree; asyncio's is 30 s.
_CLOSE_TIMEOUT_S: Final = 2.0
_MAX_HANDSHAKES: Final = 64
# Many clients may share an address: behind a proxy, or at an office.
_MAX_HANDSHAKES_OF_ADDRESS: Final = 16
# The part of an IPv6 address that one customer of a provider has to itself, in bits.
_IPV6_PREFIX: Final = 64
_ACCEPT_RETRY_S: Final = 0.5
# Least time between two warnings.
_WARNING_INTERVAL_S: Final = 60.0


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address.

    Raises
    ------
    SinkError
        If that is not possible.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_MAX_QUEUED)
    except (OSError, OverflowError) as error:
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            message = f"port {port} of {host} is in use. Take another with --port."
        else:
            message = f"port {port} of {host} cannot be opened: {error}"
        raise SinkError(message, port) from error


class Listener:
    """Accepts connections, and hands them to their protocol once they are encrypted.

    A handshake ends after 4 seconds. There are at most 64 at once, and 16 of one address: one too
    many ends the oldest of that address, or of the address that has most. So a client that goes on
    with its handshake is served, however many others do not.

    Parameters
    ----------
    listening : socket
        Stays the caller's, to close after `close`.
    make_protocol : callable
        Returns the protocol of a connection.
    tls : ssl.SSLContext, optional
        None for connections that are not encrypted.

    Notes
    -----
    State: a task that accepts, and one for each handshake. Used on the loop's thread.
    """

    def __init__(
        self,
        listening: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listening = listening
        self._make_protocol = make_protocol
        self._tls: dict[str, Any] = {}
        if tls is not None:
            self._tls = {
                "ssl": tls,
                "ssl_handshake_timeout": _HANDSHAKE_TIMEOUT_S,
                "ssl_shutdown_timeout": _CLOSE_TIMEOUT_S,
            }
        self._handshakes: dict[asyncio.Task[None], str] = {}  # and their addresses, oldest first
        self._accepting: asyncio.Task[None] | None = None
        self._warned_s = float("-inf")

    @property
    def handshakes(self) -> int:
        """Connections whose handshake is under way."""
        return len(self._handshakes)

    def start(self) -> None:
        """Begin to accept connections."""
        self._listening.setblocking(False)  # noqa: FBT003
        self._accepting = asyncio.create_task(self._accept_all())

    async def close(self) -> None:
        """Accept nothing any more, and end all handshakes."""
        tasks = [*self._handshakes]
        if self._accepting is not None:
            tasks.append(self._accepting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept_all(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connected, address = await loop.sock_accept(self._listening)
            except ConnectionError:  # the client has gone already
                continue
            except OSError as error:
                self._warn("no connection can be accepted: %s", error.strerror)
                await asyncio.sleep(_ACCEPT_RETRY_S)
                continue
            self._begin(connected, _client_of(address))
            await asyncio.sleep(0)  # what is to be closed is, before more are accepted

    def _begin(self, connected: socket.socket, client: str) -> None:
        """Begin a handshake, in place of another if there are too many."""
        self._make_room(client)
        task = asyncio.create_task(self._connect(connected))
        self._handshakes[task] = client

        def end(task: asyncio.Task[None]) -> None:
            self._handshakes.pop(task, None)
            if task.cancelled():
                connected.close()

        task.add_done_callback(end)

    def _make_room(self, client: str) -> None:
        """End the oldest handshake of an address that has too many."""
        counts = Counter(self._handshakes.values())
        if counts[client] < _MAX_HANDSHAKES_OF_ADDRESS:
            if len(self._handshakes) < _MAX_HANDSHAKES:
                return
            client = counts.most_common(1)[0][0]
        oldest = next(task for task, one in self._handshakes.items() if one == client)
        del self._handshakes[oldest]
        oldest.cancel()
        self._warn("too many TLS handshakes are under way: the oldest are ended")

    async def _connect(self, connected: socket.socket) -> None:
        """Encrypt a connection, and hand it to its protocol."""
        loop = asyncio.get_running_loop()
        with suppress(OSError):  # no TLS, too slow, or the client has gone
            await loop.connect_accepted_socket(self._make_protocol, connected, **self._tls)

    def _warn(self, message: str, *values: object) -> None:
        """Log a warning, but not one for each connection."""
        now_s = time.monotonic()
        if now_s - self._warned_s >= _WARNING_INTERVAL_S:
            self._warned_s = now_s
            logger.warning(message, *values)


def _client_of(address: tuple[Any, ...]) -> str:
    """Return the address of a client, or the network that an IPv6 address is of."""
    client = ipaddress.ip_address(str(address[0]).partition("%")[0])
    if isinstance(client, ipaddress.IPv4Address):
        return str(client)
    if client.ipv4_mapped is not None:
        return str(client.ipv4_mapped)
    return str(ipaddress.IPv6Network((client, _IPV6_PREFIX), strict=False))
