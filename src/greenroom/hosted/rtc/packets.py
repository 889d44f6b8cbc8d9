"""RTP packets (RFC 3550): the little of them that a relay needs, parsed and built fast."""

from __future__ import annotations

import struct
import time
from typing import Final, NamedTuple

__all__ = [
    "ABS_SEND_TIME",
    "MID",
    "Packet",
    "abs_send_time",
    "build_packet",
    "ntp_time",
    "parse_packet",
    "unwrapped",
]

ABS_SEND_TIME: Final = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"

_HEADER: Final = struct.Struct("!BBHII")
_NTP_EPOCH_S: Final = 2_208_988_800  # 1970 in seconds since 1900
_ZERO_S: Final = _NTP_EPOCH_S + time.time() - time.monotonic()  # zero of the monotonic clock


class Packet(NamedTuple):
    """One RTP packet; `extensions` are raw, as most are never read."""

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    extensions: bytes


def parse_packet(data: bytes) -> Packet:
    """Parse an RTP packet.

    Raises
    ------
    ValueError
        If it is cut off or none.
    """
    if len(data) < 12 or data[0] >> 6 != 2:
        message = "not an RTP packet"
        raise ValueError(message)
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    begin = 12 + 4 * (first & 0x0F)
    extensions = b""
    if first & 0x10:
        words = int.from_bytes(data[begin + 2 : begin + 4])
        if data[begin : begin + 2] == b"\xbe\xde":
            extensions = data[begin + 4 : begin + 4 + 4 * words]
        begin += 4 + 4 * words
    end = len(data)
    if first & 0x20:
        end -= data[-1]
    if end < begin:
        message = "an RTP packet is cut off"
        raise ValueError(message)
    payload = data[begin:end]
    return Packet(second > 127, second & 0x7F, sequence, timestamp, ssrc, payload, extensions)


def abs_send_time(extensions: bytes, identifier: int) -> int | None:
    """Return the time of sending from one-byte header extensions, in 1/2**18 s modulo 64 s."""
    position = 0
    while position < len(extensions):
        head = extensions[position]
        if head == 0:
            position += 1
            continue
        size = (head & 0x0F) + 1
        if head >> 4 == identifier and size == 3:
            return int.from_bytes(extensions[position + 1 : position + 4])
        position += 1 + size
    return None


def build_packet(
    payload: bytes,
    payload_type: int,
    numbers: tuple[int, int, int],
    extensions: bytes = b"",
    *,
    marker: bool = False,
) -> bytes:
    """Build an RTP packet.

    Parameters
    ----------
    payload : bytes
    payload_type : int
    numbers : tuple of int
        Sequence number, timestamp and SSRC.
    extensions : bytes
        One-byte header extensions (RFC 8285), whole words.
    marker : bool

    Returns
    -------
    bytes
    """
    kind = payload_type | marker << 7
    sequence, timestamp, ssrc = numbers
    if not extensions:
        return _HEADER.pack(0x80, kind, sequence, timestamp, ssrc) + payload
    header = _HEADER.pack(0x90, kind, sequence, timestamp, ssrc)
    words = (len(extensions) >> 2).to_bytes(2)
    return b"".join((header, b"\xbe\xde", words, extensions, payload))


def ntp_time() -> int:
    """Return the time of day as RTCP carries it, in 1/2**32 s since 1900.

    A clock that is set meanwhile does not move it: receivers take delays and lip sync from it.
    """
    return int((time.monotonic() + _ZERO_S) * (1 << 32))


def unwrapped(value: int, near: int, bits: int) -> int:
    """Return the number nearest to ``near`` whose lowest ``bits`` bits are ``value``."""
    half = 1 << bits - 1
    return near + ((value - near + half) & ((1 << bits) - 1)) - half
