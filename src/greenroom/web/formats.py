"""What a file is and how large, from its first bytes: before anything decodes it."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEAD_BYTES", "FileKind", "kind_of", "picture_size", "what_else"]

HEAD_BYTES: Final = 4096
"""So much of a file is enough for `kind_of`."""

_STILL_BRANDS: Final = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
# Markers of JPEG that begin a frame: SOF0 to SOF15 without DHT, JPG and DAC (ITU-T T.81, B.1.1.3).
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset(range(0xD0, 0xD9)) | {0x01}


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file is.

    Attributes
    ----------
    suffix : str
        How files of this kind are called.
    is_picture : bool
        Whether it is one picture; otherwise it moves.
    demuxer : str
        FFmpeg's name for it, if it moves.
    """

    suffix: str
    is_picture: bool
    demuxer: str = ""


PNG: Final = FileKind(".png", is_picture=True)
JPEG: Final = FileKind(".jpg", is_picture=True)
WEBP: Final = FileKind(".webp", is_picture=True)
BMP: Final = FileKind(".bmp", is_picture=True)
GIF: Final = FileKind(".gif", is_picture=False, demuxer="gif")
MP4: Final = FileKind(".mp4", is_picture=False, demuxer="mov")
MOV: Final = FileKind(".mov", is_picture=False, demuxer="mov")
WEBM: Final = FileKind(".webm", is_picture=False, demuxer="matroska")


def kind_of(head: bytes) -> FileKind | None:
    """Tell what a file is from its first bytes; None if it is nothing that is taken."""
    if head[:2] == b"BM" and len(head) >= 26 and 12 <= _number("<I", head, 14) <= 124:
        return BMP
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        if head[8:12] in _STILL_BRANDS:
            return None
        # QuickTime's own files hold codecs that may not be in an MP4.
        return MP4 if head[4:8] == b"ftyp" and head[8:12] != b"qt  " else MOV
    beginnings = {
        b"\x89PNG\r\n\x1a\n": PNG,
        b"\xff\xd8\xff": JPEG,
        b"GIF87a": GIF,
        b"GIF89a": GIF,
        b"\x1aE\xdf\xa3": WEBM,
    }
    return next((kind for start, kind in beginnings.items() if head.startswith(start)), None)


def what_else(head: bytes) -> str:
    """Say what a file is that is not taken, as far as that can be told."""
    if not head:
        return "the file is empty"
    if re.search(rb"<svg[\s>]", head, re.IGNORECASE):
        return "it is an SVG drawing"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "it is a zip archive"
    if head[4:8] == b"ftyp":
        return "it is an AVIF or HEIC picture"
    if b"\0" not in head:
        try:
            head[: len(head) - 3].decode()
        except UnicodeDecodeError:
            pass
        else:
            return "it is text"
    return "its content is not known"


def picture_size(kind: FileKind, data: bytes) -> tuple[int, int]:
    """Read width and height from a picture's header, as it lies in the file.

    Parameters
    ----------
    kind : FileKind
        A picture, or GIF.
    data : bytes
        Its beginning; of a JPEG, everything before the picture, which can be long.

    Raises
    ------
    ValueError
        If there is no such header: with a reason to be put into the caller's own error.
    """
    try:
        width, height = _SIZES[kind](data)
    except (struct.error, IndexError):
        width = height = 0
    if width < 1 or height < 1:
        message = "the picture is damaged: its header says no size"
        raise ValueError(message)
    return width, height


def _number(form: str, data: bytes, place: int) -> int:
    return int(struct.unpack_from(form, data, place)[0])


def _png(data: bytes) -> tuple[int, int]:
    """Read IHDR, which comes first (PNG, third edition, 11.2.1)."""
    if data[12:16] != b"IHDR":
        return 0, 0
    return _number(">I", data, 16), _number(">I", data, 20)


def _gif(data: bytes) -> tuple[int, int]:
    return _number("<H", data, 6), _number("<H", data, 8)


def _bmp(data: bytes) -> tuple[int, int]:
    """Read BITMAPCOREHEADER, or BITMAPINFOHEADER, whose height is negative from top to bottom."""
    if _number("<I", data, 14) == 12:
        return _number("<H", data, 18), _number("<H", data, 20)
    return abs(_number("<i", data, 18)), abs(_number("<i", data, 22))


def _webp(data: bytes) -> tuple[int, int]:
    """Read the first chunk (RFC 9649, 2.5 to 2.7): lossy, lossless, or extended."""
    kind = data[12:16]
    if kind == b"VP8 ":
        return _number("<H", data, 26) & 0x3FFF, _number("<H", data, 28) & 0x3FFF
    if kind == b"VP8L":
        bits = _number("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        width, height = data[24:27], data[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    return 0, 0


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walk over the segments to the frame header (ITU-T T.81, B.2.2)."""
    place = 2
    while data[place] == 0xFF:
        marker = data[place + 1]
        if marker in _FRAME_MARKERS:
            return _number(">H", data, place + 7), _number(">H", data, place + 5)
        if marker == 0xFF:  # fill byte
            place += 1
        else:
            place += 2 if marker in _ALONE else 2 + _number(">H", data, place + 2)
    return 0, 0


_SIZES: Final[dict[FileKind, Callable[[bytes], tuple[int, int]]]] = {
    PNG: _png,
    JPEG: _jpeg,
    WEBP: _webp,
    BMP: _bmp,
    GIF: _gif,
}
