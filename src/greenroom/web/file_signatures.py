"""File signatures: the kind of a file from its first bytes, before it is decoded."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from greenroom.media.image_files import begins_picture

__all__ = [
    "GIF",
    "HEAD_BYTES",
    "PICTURE",
    "FileKind",
    "describe_unsupported",
    "detect_kind",
    "gif_size",
]

HEAD_BYTES: Final = 4096
"""Number of bytes that `detect_kind` needs."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """Kind of a file.

    Attributes
    ----------
    suffix : str
        Usual suffix of a video or an animation; empty for a picture.
    demuxer : str
        Name of FFmpeg's demuxer for it.
    """

    suffix: str = ""
    demuxer: str = ""


PICTURE: Final = FileKind()
GIF: Final = FileKind(".gif", "gif")
MP4: Final = FileKind(".mp4", "mov")
MOV: Final = FileKind(".mov", "mov")
WEBM: Final = FileKind(".webm", "matroska")


def detect_kind(head: bytes) -> FileKind | None:
    """Return the kind of a file from its first bytes; None if it is not supported."""
    if begins_picture(head):
        return PICTURE
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        # A QuickTime file may hold codecs that MP4 does not allow.
        return MP4 if head[4:8] == b"ftyp" and head[8:12] != b"qt  " else MOV
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    return WEBM if head.startswith(b"\x1aE\xdf\xa3") else None


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
