"""Private parts of aiortc and aioice that a connection needs; no other module touches any.

Everything is done on instances that a `greenroom.hosted.rtc.peer.Peer` owns. Other users of both
packages in the same process notice nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pylibsrtp
from aioice import stun
from aioice.ice import StunProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aioice import Candidate, Connection
    from aioice.turn import TurnTransport
    from aiortc import (
        RTCDtlsTransport,
        RTCRtpReceiver,
        RTCRtpSender,
        RTCRtpTransceiver,
        RTCSctpTransport,
    )
    from aiortc.rtcrtpparameters import RTCRtpCodecParameters

__all__ = [
    "GuardedStunProtocol",
    "SecureRtp",
    "Unread",
    "add_socket",
    "announce_level",
    "bound_addresses",
    "codecs_of",
    "connection_of",
    "consent_request",
    "end_gathering",
    "guard_messages",
    "keep_codec",
    "nominated",
    "read_small_datagrams",
    "replace_gathering",
    "replace_receiver",
    "replace_sender",
    "retransmission_ssrc",
    "ssrc_of",
    "takes_media",
    "unread_messages",
]


_DATAGRAM: Final = 2048  # bytes; all that is sent fits into a packet of Ethernet


class GuardedStunProtocol(StunProtocol):
    """One UDP socket of a connection: media go past aioice's queue, and noise goes nowhere.

    Parameters
    ----------
    connection : Connection
        Takes everything but media.
    on_media : callable
        Takes encrypted RTP and RTCP packets, on the loop.
    admit : callable
        Told whether a datagram is of media, and whether it comes from the address that ICE has
        chosen; returns whether it is handled.
    """

    def __init__(
        self,
        connection: Connection,
        on_media: Callable[[bytes], None],
        admit: Callable[[bool, bool], bool],
    ) -> None:
        super().__init__(connection)
        self._on_media = on_media
        self._admit = admit

    def datagram_received(self, data: bytes | str, addr: tuple[object, ...]) -> None:
        """Sort a datagram by its first byte (RFC 7983)."""
        assert isinstance(data, bytes)
        if not data:
            return  # aiortc ends the connection over it
        chosen = nominated(self.receiver)
        is_known = chosen is not None and addr[:2] == chosen[1][:2]
        is_media = 128 <= data[0] <= 191
        if not self._admit(is_media, is_known):
            return
        if is_media:
            self._on_media(data)
        else:
            try:
                super().datagram_received(data, addr)
            except Exception:  # noqa: BLE001 - whoever sends noise must not fill the log
                return


def connection_of(dtls: RTCDtlsTransport) -> Connection:
    """Return the ICE connection below a DTLS transport."""
    return dtls.transport.iceGatherer._connection


def add_socket(connection: Connection, protocol: StunProtocol, advertised: Candidate) -> None:
    """Add a socket and the candidate that is advertised for it."""
    if protocol not in connection._protocols:
        connection._protocols.append(protocol)
    connection._local_candidates.append(advertised)


def end_gathering(connection: Connection) -> None:
    """Note that all candidates of this side are known."""
    connection._local_candidates_start = True
    connection._local_candidates_end = True


def nominated(
    connection: Connection,
) -> tuple[asyncio.DatagramTransport | TurnTransport, tuple[str, int]] | None:
    """Return the socket and the remote address that ICE has chosen; None before and after."""
    pair = connection._nominated.get(1)
    return None if pair is None else (pair.protocol.transport, pair.remote_addr)


async def consent_request(connection: Connection) -> bool:
    """Ask the other side once whether it still wants to be sent to (RFC 7675)."""
    pair = connection._nominated.get(1)
    password = connection.remote_password
    if pair is None or password is None:
        return False
    request = connection.build_request(pair, nominate=False)
    try:
        await pair.protocol.request(
            request, pair.remote_addr, integrity_key=password.encode(), retransmissions=1
        )
    except stun.TransactionError:
        return False
    return True


def read_small_datagrams(transport: asyncio.DatagramTransport) -> None:
    """Have asyncio read datagrams of the size that WebRTC's have.

    It takes memory for 256 KiB at each read otherwise, which is two thirds of what a packet costs.
    """
    if hasattr(transport, "max_size"):  # of the standard library's event loops
        transport.max_size = _DATAGRAM


class SecureRtp:
    """The encryption of RTP that a DTLS transport has negotiated.

    Parameters
    ----------
    dtls : RTCDtlsTransport
    """

    def __init__(self, dtls: RTCDtlsTransport) -> None:
        self._dtls = dtls
        self._connection = connection_of(dtls)

    @property
    def ready(self) -> bool:
        """Whether keys have been negotiated, and the transport is open."""
        return self._dtls.state == "connected"

    def unprotect(self, data: bytes) -> tuple[bytes, bool] | None:
        """Decrypt a packet; return it and whether it is RTCP. None if it is not of the peer."""
        session: pylibsrtp.Session | None = self._dtls._rx_srtp
        if session is None or len(data) < 2:
            return None
        is_rtcp = 192 <= data[1] <= 223
        try:
            return (session.unprotect_rtcp if is_rtcp else session.unprotect)(data), is_rtcp
        except pylibsrtp.Error:
            return None

    def send(self, packet: bytes, *, is_rtcp: bool = False) -> int:
        """Encrypt and send a packet; return the bytes sent, 0 if there is no connection."""
        target = nominated(self._connection)
        session: pylibsrtp.Session | None = self._dtls._tx_srtp
        if target is None or session is None:
            return 0
        transport, address = target
        if isinstance(transport, asyncio.BaseTransport) and transport.is_closing():
            return 0  # aioice's own transport over TURN cannot be asked
        data = (session.protect_rtcp if is_rtcp else session.protect)(packet)
        transport.sendto(data, address)
        return len(data)


def replace_gathering(
    connection: Connection,
    gather: Callable[[], Coroutine[Any, Any, None]],
    keep_consent: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Have an ICE connection gather its candidates and keep consent in another way."""
    connection.gather_candidates = gather  # type: ignore[method-assign]
    connection.query_consent = keep_consent  # type: ignore[method-assign]


def ssrc_of(sender: RTCRtpSender) -> int:
    """Return the SSRC that the answer announces for a sender."""
    return sender._ssrc


def retransmission_ssrc(sender: RTCRtpSender) -> int:
    """Return the SSRC of a sender's retransmissions (RFC 4588)."""
    return sender._rtx_ssrc


def bound_addresses(connection: Connection, most: int) -> None:
    """Check no more addresses of the other side than so many, where their own checks come from.

    Whoever knows the password may send checks with any address as their source, and each new one
    is answered by checks.
    """
    accept = connection.check_incoming

    def check_incoming(
        message: stun.Message, addr: tuple[str, int], protocol: StunProtocol
    ) -> None:
        known = connection._remote_candidates
        if len(known) < most or any((one._network_host, one.port) == addr for one in known):
            accept(message, addr, protocol)

    connection.check_incoming = check_incoming  # type: ignore[method-assign]


def takes_media(transceiver: RTCRtpTransceiver) -> bool:
    """Return whether the offer asks for media of this kind."""
    return transceiver._offerDirection in {"sendonly", "sendrecv"}


def codecs_of(transceiver: RTCRtpTransceiver) -> list[RTCRtpCodecParameters]:
    """Return the codecs that both sides have, by the other side's preference; may be changed."""
    return transceiver._codecs


def keep_codec(transceiver: RTCRtpTransceiver, name: str) -> None:
    """Answer with no other codec than one, where both sides have it."""
    codecs = transceiver._codecs
    codecs[:] = [codec for codec in codecs if codec.name.lower() == name.lower()] or codecs


def announce_level(transceiver: RTCRtpTransceiver, level: int) -> None:
    """Answer that H.264 of up to a level is received, in tenths."""
    for codec in transceiver._codecs:
        profile = codec.parameters.get("profile-level-id")
        if isinstance(profile, str):
            codec.parameters["profile-level-id"] = f"{profile[:4]}{level:02x}"


class Unread(NamedTuple):
    """What waits for missing parts of messages.

    Attributes
    ----------
    bytes, parts : int
        Of messages that are not complete.
    misordered : int
        Parts that came out of order.
    streams : int
        Streams that there ever were.
    """

    bytes: int
    parts: int
    misordered: int
    streams: int


def unread_messages(sctp: RTCSctpTransport) -> Unread:
    """Return what waits for missing parts of messages."""
    streams = sctp._inbound_streams.values()
    sizes = [len(chunk.user_data) for stream in streams for chunk in stream.reassembly]
    return Unread(sum(sizes), len(sizes), len(sctp._sack_misordered), len(streams))


def guard_messages(sctp: RTCSctpTransport, admit: Callable[[bytes], bool]) -> None:
    """Have a transport of messages handle only packets that are admitted."""
    handle = sctp._handle_data

    async def handle_data(data: bytes) -> None:
        if admit(data):
            await handle(data)

    sctp._handle_data = handle_data  # type: ignore[method-assign]


def replace_sender(
    sender: RTCRtpSender,
    start: Callable[..., Coroutine[Any, Any, None]],
    stop: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Have a peer connection start and stop something else than aiortc's own sender."""
    sender.send = start  # type: ignore[method-assign]
    sender.stop = stop  # type: ignore[method-assign]


def replace_receiver(
    receiver: RTCRtpReceiver,
    start: Callable[..., Coroutine[Any, Any, None]],
    stop: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Have a peer connection start and stop something else than aiortc's own receiver."""
    receiver.receive = start  # type: ignore[method-assign]
    receiver.stop = stop  # type: ignore[method-assign]
