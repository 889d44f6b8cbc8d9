"""Format and buffer parameters for PipeWire, serialised as SPA PODs ("plain old data").

Type and key numbers are those of PipeWire's headers ``spa/pod/pod.h``, ``spa/utils/type.h``,
``spa/param/param.h``, ``spa/param/format.h``, ``spa/param/buffers.h`` and ``spa/param/video/*.h``.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = [
    "META_BUSY",
    "META_HEADER",
    "PARAM_FORMAT",
    "buffer_param",
    "header_param",
    "offered_format",
]

PARAM_FORMAT: Final = 4
META_HEADER: Final = 1
META_BUSY: Final = 7

_PARAM_ENUM_FORMAT: Final = 3
_PARAM_BUFFERS: Final = 5
_PARAM_META: Final = 6

_ID: Final = 3
_INT: Final = 4
_RECTANGLE: Final = 10
_FRACTION: Final = 11
_OBJECT: Final = 15
_CHOICE: Final = 19
_OBJECT_FORMAT: Final = 0x40003
_OBJECT_BUFFERS: Final = 0x40004
_OBJECT_META: Final = 0x40005
_RANGE: Final = 1

_VIDEO: Final = 2
_RAW: Final = 1
_I420: Final = 2
# Range, matrix, transfer and primaries, by the matrix's number in ITU-T H.273.
_COLOURS: Final = {1: (2, 3, 5, 1), 9: (2, 6, 5, 7)}
_BT601: Final = (2, 4, 5, 4)
# Number of buffers: default, least, most. Consumers choose within this range.
_BUFFER_COUNT: Final = (8, 2, 16)


def offered_format(size: tuple[int, int], rate: tuple[int, int], matrix: int) -> bytes:
    """Return the format I420 of limited range; ``matrix`` is a number of ITU-T H.273."""
    values = {
        1: _id(_VIDEO),
        2: _id(_RAW),
        0x20001: _id(_I420),
        0x20003: _pod(_RECTANGLE, struct.pack("=II", *size)),
        0x20004: _pod(_FRACTION, struct.pack("=II", *rate)),
    }
    colours = _COLOURS.get(matrix, _BT601)
    values |= {0x2000C + place: _id(colour) for place, colour in enumerate(colours)}
    return _object(_OBJECT_FORMAT, _PARAM_ENUM_FORMAT, values)


def buffer_param(length: int, stride: int) -> bytes:
    """Return the request for buffers of one block of ``length`` bytes."""
    values = {1: _range(*_BUFFER_COUNT), 2: _int(1), 3: _int(length), 4: _int(stride)}
    return _object(_OBJECT_BUFFERS, _PARAM_BUFFERS, values)


def header_param(length: int) -> bytes:
    """Return the request for a header of ``length`` bytes in each buffer."""
    return _object(_OBJECT_META, _PARAM_META, {1: _id(META_HEADER), 2: _int(length)})


def _pod(kind: int, body: bytes) -> bytes:
    """Serialise a value: size, type, and the body padded to 8 bytes."""
    return struct.pack("=II", len(body), kind) + body + bytes(-len(body) % 8)


def _id(value: int) -> bytes:
    return _pod(_ID, struct.pack("=I", value))


def _int(value: int) -> bytes:
    return _pod(_INT, struct.pack("=i", value))


def _range(default: int, least: int, most: int) -> bytes:
    return _pod(_CHOICE, struct.pack("=IIIIiii", _RANGE, 0, 4, _INT, default, least, most))


def _object(kind: int, number: int, properties: dict[int, bytes]) -> bytes:
    body = struct.pack("=II", kind, number)
    for key, value in properties.items():
        body += struct.pack("=II", key, 0) + value
    return _pod(_OBJECT, body)
