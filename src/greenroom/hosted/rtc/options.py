"""Options of one connection."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["IceServer", "PeerOptions"]


@dataclass(frozen=True, slots=True)
class IceServer:
    """One STUN or TURN server.

    Attributes
    ----------
    url : str
        ``stun:host:port``, ``turn:host:port?transport=udp`` or ``turns:host:port?transport=tcp``.
    username, credential : str
        Of a TURN server.
    """

    url: str
    username: str = ""
    credential: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """Options of a `Peer`.

    Attributes
    ----------
    ice_servers : tuple of IceServer
        None by default: no server outside is ever asked. Of STUN and of TURN the first is used.
    udp_ports : range, optional
        Ports that media may use on this machine; any if None.
    public_address : str, optional
        Address that is advertised instead of those of this machine, which is reached there on
        the same ports.
    loopback : bool
        Whether 127.0.0.1 is a candidate, for tests and local use. Remote candidates on the
        loopback interface are ignored without it.
    max_size : tuple of int
        Largest size of the video that is received, in either orientation; (width, height).
    bitrates : tuple of int
        The least, the first and the highest bit rate of a video, in bits/s.
    silence_s : float
        A connection is closed after this long without media and without consent to send, in
        seconds.
    connect_s : float
        Time-out for establishing the connection after the answer, in seconds.
    relay_only : bool
        Whether only candidates of the TURN server are used.
    """

    ice_servers: tuple[IceServer, ...] = ()
    udp_ports: range | None = None
    public_address: str | None = None
    loopback: bool = False
    max_size: tuple[int, int] = (1920, 1080)
    bitrates: tuple[int, int, int] = (150_000, 1_000_000, 4_000_000)
    silence_s: float = 3.0
    connect_s: float = 10.0
    relay_only: bool = False
