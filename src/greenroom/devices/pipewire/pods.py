"""What is agreed on with PipeWire, in its own binary notation ("plain old data").

The numbers are those of PipeWire's headers ``spa/pod/pod.h``, ``spa/utils/type.h``,
``spa/param/param.h``, ``spa/param/format.h``, ``spa/param/buffers.h`` and ``spa/param/video/*.h``.
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["META_BUSY", "META_HEADER", "PARAM_FORMAT", "buffer_param", "header_param", "i420"]

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
# How many frames the graph may have: consumers say how many they need within this.
_BUFFERS: Final = (8, 2, 16)


def i420(size: tuple[int, int], rate: tuple[int, int], matrix: int) -> bytes:
    """Offer I420 of limited range; the matrix has its number in ITU-T H.273."""
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
    """Ask for buffers of one block of so many bytes."""
    values = {1: _range(*_BUFFERS), 2: _int(1), 3: _int(length), 4: _int(stride)}
    return _object(_OBJECT_BUFFERS, _PARAM_BUFFERS, values)


def header_param(length: int) -> bytes:
    """Ask for a header of so many bytes with each buffer."""
    return _object(_OBJECT_META, _PARAM_META, {1: _id(META_HEADER), 2: _int(length)})


def _pod(kind: int, body: bytes) -> bytes:
    """Write a value: size, type, and the body filled up to 8 bytes."""
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
