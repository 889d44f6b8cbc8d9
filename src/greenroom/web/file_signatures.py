"""File signatures: the kind of a file from its first bytes, before it is decoded."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

__all__ = ["HEAD_BYTES", "FileKind", "describe_unsupported", "detect_kind", "gif_size"]

HEAD_BYTES: Final = 4096
"""Number of bytes that `detect_kind` needs."""

_AVIF_BRANDS: Final = (b"avif", b"avis")
_HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


@dataclass(frozen=True, slots=True)
class FileKind:
    """Kind of a file.

    Attributes
    ----------
    suffix : str
        Usual suffix of its name.
    is_picture : bool
        Whether it is a still picture; otherwise it is a video or an animation.
    demuxer : str
        Name of FFmpeg's demuxer for videos and animations.
    """

    suffix: str
    is_picture: bool
    demuxer: str = ""


PNG: Final = FileKind(".png", is_picture=True)
JPEG: Final = FileKind(".jpg", is_picture=True)
WEBP: Final = FileKind(".webp", is_picture=True)
BMP: Final = FileKind(".bmp", is_picture=True)
TIFF: Final = FileKind(".tiff", is_picture=True)
HEIF: Final = FileKind(".heic", is_picture=True)
AVIF: Final = FileKind(".avif", is_picture=True)
GIF: Final = FileKind(".gif", is_picture=False, demuxer="gif")
MP4: Final = FileKind(".mp4", is_picture=False, demuxer="mov")
MOV: Final = FileKind(".mov", is_picture=False, demuxer="mov")
WEBM: Final = FileKind(".webm", is_picture=False, demuxer="matroska")


def detect_kind(head: bytes) -> FileKind | None:
    """Return the kind of a file from its first bytes; None if it is not supported."""
    if head[:2] == b"BM" and len(head) >= 26 and 12 <= _number("<I", head, 14) <= 124:
        return BMP
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        if head[4:8] == b"ftyp" and head[8:12] in (*_AVIF_BRANDS, *_HEIF_BRANDS):
            return AVIF if head[8:12] in _AVIF_BRANDS else HEIF
        # A QuickTime file may hold codecs that MP4 does not allow.
        return MP4 if head[4:8] == b"ftyp" and head[8:12] != b"qt  " else MOV
    beginnings = {
        b"\x89PNG\r\n\x1a\n": PNG,
        b"\xff\xd8\xff": JPEG,
        b"II*\0": TIFF,
        b"MM\0*": TIFF,
        b"GIF87a": GIF,
        b"GIF89a": GIF,
        b"\x1aE\xdf\xa3": WEBM,
    }
    return next((kind for start, kind in beginnings.items() if head.startswith(start)), None)


def describe_unsupported(head: bytes) -> str:
    """Describe a file of an unsupported kind, for an error message."""
    if not head:
        return "the file is empty"
    if re.search(rb"<svg[\s>]", head, re.IGNORECASE):
        return "it is an SVG drawing"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "it is a zip archive"
    if b"\0" not in head:
        try:
            head[: len(head) - 3].decode()
        except UnicodeDecodeError:
            pass
        else:
            return "it is text"
    return "its content is not known"


def gif_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a GIF (GIF89a, section 18).

    Raises
    ------
    ValueError
        If the header is damaged; the caller puts the reason into its own error.
    """
    try:
        width, height = _number("<H", data, 6), _number("<H", data, 8)
    except struct.error:
        width = height = 0
    if width < 1 or height < 1:
        message = "the picture is damaged: its header says no size"
        raise ValueError(message)
    return width, height


def _number(form: str, data: bytes, place: int) -> int:
    return int(struct.unpack_from(form, data, place)[0])
