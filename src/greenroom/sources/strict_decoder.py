"""A decoder that skips and counts incomplete and damaged frames."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import av

from greenroom.media.decoding import reason_of

__all__ = ["StrictDecoder", "is_complete_jpeg"]

logger = logging.getLogger(__name__)

_START: Final = b"\xff\xd8"
_END: Final = b"\xff\xd9"
_SCAN: Final = 0xDA
# Among coded samples a byte 255 is followed by 0, or is a restart marker (ITU-T T.81, B.1.1.5).
# Between scans there may also be tables (C4, DB, DD), the next scan (DA), a comment (FE).
_WRONG_MARKER: Final = re.compile(rb"\xff[\x01-\xc3\xc5-\xcf\xd8\xdc\xde-\xfd]", re.DOTALL)

# Start of the default Huffman tables (T.81, K.3). With these, or with none, no picture has as many
# zero bytes in a row as `_HOLE`: they mark a lost packet.
_DEFAULT_TABLES: Final = b"\x00\x00\x01\x05\x01\x01\x01\x01\x01\x01"
_TABLES: Final = b"\xff\xc4"
_HOLE: Final = bytes(64)


class StrictDecoder:
    """Decodes packets one at a time, without delaying frames.

    Parameters
    ----------
    decoder : av.VideoCodecContext
        Not opened yet.
    name : str
        The source, for the log.

    Attributes
    ----------
    damaged : int
        Number of frames left out.
    """

    def __init__(self, decoder: Any, name: str) -> None:
        decoder.thread_type = (
            av.codec.context.ThreadType.SLICE
        )  # by frames, it would hold some back
        decoder.flags |= int(av.codec.context.Flags.low_delay)
        self._is_jpeg = decoder.name == "mjpeg"
        if self._is_jpeg:
            decoder.options = {**decoder.options, "err_detect": "explode"}
        self._decoder = decoder
        self._name = name
        self.damaged = 0

    def decode(self, packet: av.Packet[Any]) -> list[av.VideoFrame]:
        """Return the complete frames of a packet."""
        # Drivers send an empty packet for a frame that was lost on the wire.
        whole = bool(packet.size) and not packet.is_corrupt
        if not whole or (self._is_jpeg and not is_complete_jpeg(packet)):
            self._leave_out("it is not whole")
            return []
        try:
            pictures = self._decoder.decode(packet)
        except av.error.InvalidDataError as error:
            self._leave_out(reason_of(error))
            return []
        good = [picture for picture in pictures if not picture.is_corrupt]
        for _ in range(len(pictures) - len(good)):
            self._leave_out("parts of it are missing")
        return good

    def finish(self) -> list[av.VideoFrame]:
        """Return the frames that the decoder still holds at the end."""
        return [picture for picture in self._decoder.decode(None) if not picture.is_corrupt]

    def _leave_out(self, reason: str) -> None:
        self.damaged += 1
        level = logging.WARNING if self.damaged == 1 else logging.DEBUG
        logger.log(level, "%s: a damaged frame is left out: %s", self._name, reason)


def is_complete_jpeg(data: Any) -> bool:
    """Whether a JPEG has its start and end, and no marker segments among its samples.

    A frame that lost its end or its middle on the wire is incomplete. JPEG has no checksum: a
    few wrong bytes among the samples are noticed only if the decoder cannot decode them.
    """
    data = bytes(data)
    if not data.startswith(_START):
        return False
    scan = _scan_of(data)
    end = data.rfind(_END)  # cameras pad frames behind it
    if scan is None or end < scan or _WRONG_MARKER.search(data, scan, end) is not None:
        return False
    has_default_tables = data.find(_DEFAULT_TABLES, 0, scan) >= 0 or data.find(_TABLES, 0, scan) < 0
    return not has_default_tables or data.find(_HOLE, scan, end) < 0


def _scan_of(data: bytes) -> int | None:
    """Return the offset of the first scan's samples, or None if there is none."""
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
