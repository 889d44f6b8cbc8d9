"""Duration in the header of an MP4 or QuickTime movie, which FFmpeg does not report."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["movie_length_s"]

_MAX_BOXES: Final = 1000  # a fragmented movie may have many more after its header
_UNKNOWN: Final = (2**32 - 1, 2**64 - 1)


def movie_length_s(path: Path) -> Fraction | None:
    """Read a movie's duration from its header (ISO/IEC 14496-12, 8.2.2); None if it has none.

    Parameters
    ----------
    path : Path
        A file of any kind.
    """
    with path.open("rb") as file:
        for name, end in _boxes(file, path.stat().st_size):
            if name == b"moov":
                for inner, _ in _boxes(file, end):
                    if inner == b"mvhd":
                        return _length_s(file.read(32))
    return None


def _boxes(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int]]:
    """Yield name and end of each box up to an offset; the file stands after the box's header."""
    for _ in range(_MAX_BOXES):
        start = file.tell()
        head = file.read(8)
        if len(head) < 8 or start >= end:
            return
        size, name = struct.unpack(">I4s", head)
        if size == 1:
            size = int.from_bytes(file.read(8))
        stop = end if size == 0 else start + size
        if stop < file.tell():
            return
        yield name, min(stop, end)
        file.seek(stop)


def _length_s(header: bytes) -> Fraction | None:
    layout = ">20xIQ" if header[:1] == b"\1" else ">12xII"
    if len(header) < struct.calcsize(layout):
        return None
    ticks, length = struct.unpack_from(layout, header)
    return Fraction(length, ticks) if ticks and length and length not in _UNKNOWN else None
