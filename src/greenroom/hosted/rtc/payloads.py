"""RTP payload formats of video: VP8 [1]_ and H.264 [2]_.

References
----------
.. [1] RFC 7741, "RTP Payload Format for VP8 Video".
.. [2] RFC 6184, "RTP Payload Format for H.264 Video".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PAYLOAD_SIZE", "Payload", "cut_h264", "cut_vp8", "parse_h264", "parse_vp8"]

PAYLOAD_SIZE: Final = 1180
"""Largest payload, in bytes: with headers it fits into the packets of any tunnel and relay."""

_START: Final = b"\x00\x00\x00\x01"
_STAP_A: Final = 24
_FU_A: Final = 28
_IDR: Final = 5
_SPS: Final = 7


class Payload(NamedTuple):
    """The part of a coded frame that one RTP packet carries.

    Attributes
    ----------
    data : bytes
        As the decoder takes it, once joined with those of the frame's other packets.
    starts_key : bool
        Whether a key frame begins with it.
    """

    data: bytes
    starts_key: bool


def cut_vp8(data: bytes, picture_id: int) -> list[bytes]:
    """Cut an encoded VP8 frame into RTP payloads of about equal size."""
    room = PAYLOAD_SIZE - 4
    count = max(1, -(-len(data) // room))
    size = max(1, -(-len(data) // count))
    identifier = (0x8000 | picture_id).to_bytes(2)
    first, other = b"\x90\x80" + identifier, b"\x80\x80" + identifier
    return [
        (other if begin else first) + data[begin : begin + size]
        for begin in range(0, len(data), size)
    ]


def parse_vp8(payload: bytes) -> Payload:
    """Take the payload descriptor off an RTP payload of VP8.

    Raises
    ------
    ValueError
        If it is cut off.
    """
    try:
        first = payload[0]
        begin = 1
        if first & 0x80:
            present = payload[1]
            begin = 2
            if present & 0x80:  # picture ID, of one byte or two
                begin += 2 if payload[2] & 0x80 else 1
            begin += bool(present & 0x40) + bool(present & 0x30)
        starts = first & 0x1F == 0x10  # of the frame's first partition
        return Payload(payload[begin:], starts and not payload[begin] & 1)
    except IndexError:
        message = f"a VP8 payload of {len(payload)} bytes is cut off"
        raise ValueError(message) from None


def cut_h264(data: bytes) -> list[bytes]:
    """Cut an encoded H.264 frame (Annex B) into RTP payloads, for packetization mode 1."""
    cut: list[bytes] = []
    small: list[bytes] = []  # that go into one aggregation packet
    for unit in _units(data):
        if len(unit) > PAYLOAD_SIZE:
            cut += _aggregate(small)
            small = []
            cut += _fragments(unit)
            continue
        if sum(len(one) + 2 for one in small) + len(unit) + 3 > PAYLOAD_SIZE:
            cut += _aggregate(small)
            small = []
        small.append(unit)
    return cut + _aggregate(small)


def _units(data: bytes) -> Iterator[bytes]:
    """Iterate over the NAL units of a byte stream (H.264, Annex B)."""
    begin = data.find(b"\x00\x00\x01")
    while begin >= 0:
        begin += 3
        end = data.find(b"\x00\x00\x01", begin)
        unit = data[begin:] if end < 0 else data[begin:end].rstrip(b"\x00")
        if unit:
            yield unit
        begin = end


def _aggregate(units: list[bytes]) -> list[bytes]:
    """Return the payloads for units that fit into one packet: none or one."""
    if len(units) < 2:
        return units
    importance = max(unit[0] & 0x60 for unit in units)
    parts = (len(unit).to_bytes(2) + unit for unit in units)
    return [bytes([importance | _STAP_A]) + b"".join(parts)]


def _fragments(unit: bytes) -> list[bytes]:
    """Cut a large unit into fragmentation units of about equal size."""
    indicator, kind = unit[0] & 0xE0 | _FU_A, unit[0] & 0x1F
    room = PAYLOAD_SIZE - 2
    count = -(-(len(unit) - 1) // room)
    size = -(-(len(unit) - 1) // count)
    begins = range(1, len(unit), size)
    return [
        bytes([indicator, kind | (begin == 1) << 7 | (begin == begins[-1]) << 6])
        + unit[begin : begin + size]
        for begin in begins
    ]


def parse_h264(payload: bytes) -> Payload:
    """Return the NAL units of an RTP payload of H.264, as a byte stream.

    Raises
    ------
    ValueError
        If it is cut off, or of a kind that packetization mode 1 does not have.
    """
    if len(payload) < 2:
        message = f"an H.264 payload of {len(payload)} bytes is cut off"
        raise ValueError(message)
    kind = payload[0] & 0x1F
    if kind < _STAP_A:
        return Payload(_START + payload, kind == _SPS)
    if kind == _FU_A:
        header = payload[1]
        if not header & 0x80:
            return Payload(payload[2:], starts_key=False)
        unit = bytes([payload[0] & 0xE0 | header & 0x1F])
        return Payload(_START + unit + payload[2:], header & 0x1F == _SPS)
    if kind == _STAP_A:
        units = list(_aggregated(payload))
        return Payload(
            b"".join(_START + unit for unit in units), any(u[0] & 0x1F == _SPS for u in units)
        )
    message = f"an H.264 payload of type {kind} is not known: expected 1 to 24, or 28"
    raise ValueError(message)


def _aggregated(payload: bytes) -> Iterator[bytes]:
    """Iterate over the units of an aggregation packet."""
    position = 1
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 2])
        unit = payload[position + 2 : position + 2 + size]
        if not size or len(unit) < size:
            message = "an H.264 aggregation packet is cut off"
            raise ValueError(message)
        yield unit
        position += 2 + size
