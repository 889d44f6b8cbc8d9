"""JPEG frames as cameras send them, whole or not."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["is_whole_jpeg"]

_START: Final = b"\xff\xd8"
_END: Final = b"\xff\xd9"
_SCAN: Final = 0xDA
# Among coded samples a byte 255 is followed by 0, or is a restart marker (ITU-T T.81, B.1.1.5).
# Between scans there may also be tables (C4, DB, DD), the next scan (DA), a comment (FE).
_WRONG_MARKER: Final = re.compile(rb"\xff[\x01-\xc3\xc5-\xcf\xd8\xdc\xde-\xfd]", re.DOTALL)


def is_whole_jpeg(data: Any) -> bool:  # noqa: ANN401 - anything with the buffer protocol
    """Whether a JPEG begins, ends, and has no segment where samples should be.

    A frame that lost its end, or its middle on the wire, is not whole. JPEG has no checksum: a
    few wrong bytes among the samples are found by the decoder only if they make no sense.
    """
    data = bytes(data)
    if not data.startswith(_START):
        return False
    scan = _scan_of(data)
    end = data.rfind(_END)  # cameras pad frames behind it
    return scan is not None and end >= scan and _WRONG_MARKER.search(data, scan, end) is None


def _scan_of(data: bytes) -> int | None:
    """Walk over the segments to the first scan; return where its samples begin."""
    place = len(_START)
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # fill
            place += 1
            continue
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
        if marker == _SCAN:
            return place
    return None
