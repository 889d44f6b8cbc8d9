"""Candidates of both sides: ports, loopback, public address, and which remote ones are tried."""

from __future__ import annotations

import asyncio
import copy
import errno
import ipaddress
import logging
import random
import socket
from typing import TYPE_CHECKING, Final

from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import get_host_addresses, relayed_candidate, server_reflexive_candidate

from greenroom.hosted.rtc import internals
from greenroom.hosted.rtc.signalling import NoCandidateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aioice import Connection
    from aioice.ice import StunProtocol

    from greenroom.hosted.rtc.options import PeerOptions

__all__ = ["MOST_ADDRESSES", "MOST_CANDIDATES", "acceptable", "gather", "keep_consent"]

logger = logging.getLogger(__name__)

MOST_CANDIDATES: Final = 30
"""Remote candidates of one connection that are tried; further ones are ignored."""

MOST_ADDRESSES: Final = 60
"""The same, with addresses that checks came from."""

_LOOPBACK: Final = "127.0.0.1"
_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)
_SERVER_S: Final = 5.0  # time-out for STUN and TURN servers
_CONSENT_S: Final = 1.0  # interval at which consent is asked for
# Room for a key frame of full HD that arrives while the loop is busy, in bytes.
_RECEIVE_BUFFER: Final = 1 << 20


def acceptable(candidate: Candidate, *, loopback: bool) -> bool:
    """Return whether connectivity checks may be sent to a remote candidate.

    Names of multicast DNS, TCP, well-known ports, and addresses that belong to no single machine
    are not tried; such a client is found by its own checks, if it is where it says.
    """
    try:
        address = ipaddress.ip_address(candidate.host)
    except ValueError:
        return False
    return (
        candidate.component == 1
        and candidate.transport.lower() == "udp"
        and candidate.type in {"host", "srflx", "prflx", "relay"}
        and 1024 <= candidate.port <= 65535
        and not address.is_multicast
        and not address.is_unspecified
        and not address.is_reserved
        and (loopback or not address.is_loopback)
    )


async def gather(
    connection: Connection, options: PeerOptions, make: Callable[[], StunProtocol]
) -> None:
    """Open the sockets of a connection and find the candidates of this side.

    Parameters
    ----------
    connection : Connection
        Gets them. Its own servers are asked.
    options : PeerOptions
    make : callable
        Makes the protocol of a socket.

    Raises
    ------
    NoCandidateError
        If no port of the range is free, or no server gave a candidate.
    """
    protocols: list[StunProtocol] = []
    if not options.relay_only:
        for address in _addresses(options):
            protocol = await _bound(address, options.udp_ports, make)
            if protocol is not None:
                protocols.append(protocol)
                _add_host(connection, protocol, options.public_address)
        if not protocols:
            message = _no_port(options.udp_ports)
            raise NoCandidateError(message)
    await _ask_servers(connection, protocols, make)
    if not connection.local_candidates:
        message = "no STUN or TURN server gave a candidate: see the log, and check --ice-servers"
        raise NoCandidateError(message)
    internals.end_gathering(connection)


def _addresses(options: PeerOptions) -> Iterable[str]:
    """Return the addresses of this machine that may be candidates."""
    loopback = [_LOOPBACK] if options.loopback else []
    return loopback + get_host_addresses(use_ipv4=True, use_ipv6=options.public_address is None)


async def _bound(
    address: str, ports: range | None, make: Callable[[], StunProtocol]
) -> StunProtocol | None:
    """Return a protocol on a free port of an address; None if there is none."""
    loop = asyncio.get_running_loop()
    for port in _ports(ports):
        try:
            transport, protocol = await loop.create_datagram_endpoint(
                make, local_addr=(address, port)
            )
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                message = "no UDP socket could be opened: the limit of open files is reached"
                raise NoCandidateError(message) from error
            logger.debug("no socket on %s port %d: %s", address, port, error)
            continue
        internals.read_small_datagrams(transport)
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER
        )
        return protocol
    return None


def _ports(ports: range | None) -> list[int]:
    """Return the ports to try, from a random one on."""
    if not ports:
        return [0]
    first = random.randrange(len(ports))  # noqa: S311 - no secret
    return [*ports[first:], *ports[:first]]


def _no_port(ports: range | None) -> str:
    if ports is None:
        return "no UDP socket could be opened: this machine has no address but loopback"
    return (
        f"no UDP port of {ports.start}-{ports.stop - 1} is free: "
        "end other sessions, or give a wider range"
    )


def _add_host(connection: Connection, protocol: StunProtocol, public: str | None) -> None:
    host, port = protocol.transport.get_extra_info("sockname")[:2]
    protocol.local_candidate = Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=1,
        transport="udp",
        priority=candidate_priority(1, "host"),
        host=host,
        port=port,
        type="host",
    )
    advertised = copy.copy(protocol.local_candidate)
    if public is not None and host != _LOOPBACK:
        advertised.host = public
    internals.add_socket(connection, protocol, advertised)


async def _ask_servers(
    connection: Connection, protocols: list[StunProtocol], make: Callable[[], StunProtocol]
) -> None:
    """Add the candidates that STUN and TURN servers give, as far as they answer in time."""
    tasks: list[asyncio.Task[tuple[Candidate, StunProtocol | None]]] = []
    if connection.stun_server is not None:
        tasks += [
            asyncio.create_task(server_reflexive_candidate(protocol, connection.stun_server))
            for protocol in protocols
            if ipaddress.ip_address(protocol.local_candidate.host).version == 4
        ]
    if connection.turn_server is not None:
        tasks.append(
            asyncio.create_task(
                relayed_candidate(
                    component=1,
                    hide_related_address=not protocols,
                    protocol_factory=make,
                    turn_server=connection.turn_server,
                    turn_username=connection.turn_username,
                    turn_password=connection.turn_password,
                    turn_ssl=connection.turn_ssl,
                    turn_transport=connection.turn_transport,
                )
            )
        )
    if not tasks:
        return
    try:
        done, _ = await asyncio.wait(tasks, timeout=_SERVER_S)
    finally:
        for task in tasks:
            task.cancel()  # those that are done stay so
    for task in done:
        if (error := task.exception()) is not None:
            logger.warning("a STUN or TURN server gave no candidate: %s", error)
            continue
        candidate, relay = task.result()
        owner = relay or next(
            p for p in protocols if p.local_candidate.host == candidate.related_address
        )
        internals.add_socket(connection, owner, candidate)


async def keep_consent(connection: Connection, heard: Callable[[], None]) -> None:
    """Ask for consent over and over, and report each answer, until cancelled."""
    while True:
        await asyncio.sleep(_CONSENT_S * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        if await internals.consent_request(connection):
            heard()
