"""Candidates of both sides."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import functools
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aioice import Candidate, Connection
from aioice.ice import StunProtocol

from greenroom.hosted.rtc import NoCandidateError, PeerOptions, SignallingError, ice
from hosted.rtc.clients import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def remote(**changes: Any) -> Candidate:
    """Return a candidate of the other side."""
    fields: dict[str, Any] = {
        "foundation": "1",
        "component": 1,
        "transport": "udp",
        "priority": 1,
        "host": "203.0.113.5",
        "port": 50_000,
        "type": "host",
    }
    return Candidate(**fields | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"host": "10.0.0.7"},
        {"host": "2001:db8::1"},
        {"type": "srflx"},
        {"type": "relay", "transport": "UDP"},
    ],
)
def test_candidates_that_are_tried(changes: dict[str, Any]) -> None:
    """Addresses of one machine, on ports that clients have."""
    assert ice.acceptable(remote(**changes), loopback=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "127.0.0.1"},
        {"host": "::1"},
        {"host": "224.0.0.251"},
        {"host": "255.255.255.255"},
        {"host": "0.0.0.0"},  # noqa: S104 - not bound
        {"host": "f3b1c2d4.local"},
        {"host": "example.org"},
        {"port": 53},
        {"port": 0},
        {"port": 70_000},
        {"transport": "tcp"},
        {"component": 2},
        {"type": "other"},
    ],
)
def test_candidates_that_are_not_tried(changes: dict[str, Any]) -> None:
    """Nothing is ever sent to names, services, groups of machines, or this machine itself."""
    assert not ice.acceptable(remote(**changes), loopback=False)


def test_loopback_is_tried_where_it_is_allowed() -> None:
    """Tests and local use need it."""
    assert ice.acceptable(remote(host="127.0.0.1"), loopback=True)


def gathered(
    options: PeerOptions, check: Callable[[Connection], None] = lambda _: None
) -> list[Candidate]:
    """Return the candidates that are advertised."""

    async def gather() -> list[Candidate]:
        connection = Connection(ice_controlling=False)
        try:
            await ice.gather(connection, options, functools.partial(StunProtocol, connection))
            check(connection)
            return connection.local_candidates
        finally:
            await connection.close()

    return asyncio.run(gather())


def test_loopback_is_a_candidate_where_it_is_asked_for() -> None:
    """And only there."""
    assert "127.0.0.1" in [one.host for one in gathered(LOCAL)]
    with suppress(SignallingError):  # of a machine without any network
        assert "127.0.0.1" not in [one.host for one in gathered(PeerOptions())]


def test_ports_are_of_the_range() -> None:
    """Any free one is taken, a port that others use is not."""
    options = dataclasses.replace(LOCAL, udp_ports=range(46_100, 46_104))
    ports = {gathered(options)[0].port for _ in range(30)}
    assert ports <= {46_100, 46_101, 46_102, 46_103}
    assert len(ports) > 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 46_101))
        used = {gathered(options)[0].port for _ in range(20)}
    assert 46_101 not in used


def test_a_full_range_is_an_error() -> None:
    """The message names the range."""
    options = dataclasses.replace(LOCAL, udp_ports=range(46_110, 46_111))

    async def two() -> None:
        first, second = (Connection(ice_controlling=False) for _ in range(2))
        try:
            await ice.gather(first, options, functools.partial(StunProtocol, first))
            await ice.gather(second, options, functools.partial(StunProtocol, second))
        finally:
            await first.close()
            await second.close()

    with pytest.raises(NoCandidateError, match="no UDP port of 46110-46110 is free"):
        asyncio.run(two())


def test_a_process_without_descriptors_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says that, and no port is said to be taken."""

    async def none(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    async def one() -> None:
        connection = Connection(ice_controlling=False)
        monkeypatch.setattr(asyncio.get_running_loop(), "create_datagram_endpoint", none)
        await ice.gather(connection, LOCAL, functools.partial(StunProtocol, connection))

    with pytest.raises(NoCandidateError, match="the limit of open files is reached"):
        asyncio.run(one())


def test_the_public_address_is_advertised(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in the place of this machine's own; sockets and ports stay as they are."""
    monkeypatch.setattr(ice, "get_host_addresses", lambda **_: ["127.0.0.2"])
    bound: list[tuple[str, int]] = []

    def look(connection: Connection) -> None:
        bound.extend(
            one.transport.get_extra_info("sockname")
            for one in connection._protocols  # noqa: SLF001 - where the sockets are
        )

    options = PeerOptions(public_address="203.0.113.9", udp_ports=range(46_120, 46_130))
    found = gathered(options, look)
    assert [one.host for one in found] == ["203.0.113.9"]
    assert bound == [("127.0.0.2", found[0].port)]


def test_no_server_is_asked_by_default() -> None:
    """All candidates are addresses of this machine."""
    assert {one.type for one in gathered(LOCAL)} == {"host"}
