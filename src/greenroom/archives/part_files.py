"""Files of a part's encoded packets, with their exact times.

Containers round times, shift them to 0, or change packets for their own use. These files hold
packets as the encoder gave them, until they are joined in the final container::

    mark, header                 JSON, with its length before it
    1, times, flags, data        for each packet
    0, report                    JSON, with its length before it
    CRC-32                       of everything before

All numbers are big-endian. Nothing in such a file is executed when it is read.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import av
from av.packet import PacketSideData

from greenroom.errors import SinkError
from greenroom.media.file_writing import new_file, part_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Packet = av.Packet[Any]
    Facts = dict[str, Any]

__all__ = ["PacketTimes", "PartReader", "PartWriter"]

_MARK: Final = b"greenroom part 1\n"
_LENGTH: Final = struct.Struct(">I")
# pts, dts, duration, flags, number of side data, size
_RECORD: Final = struct.Struct(">qqqBBI")
_SIDE_DATA: Final = struct.Struct(">BI")
_PACKET, _END = b"\1", b"\0"
_KEY: Final = 1
_NO_TIME: Final = -(2**63)
# FFmpeg's number (AVPacketSideDataType) of the one kind that muxers need of encoders: alpha.
_CARRIED: Final = {"matroska_block_additional": 15}
# JSON that is longer is damaged.
_MAX_FACTS: Final = 2**20


class PacketTimes(NamedTuple):
    """Times of a packet, in the encoder's time base.

    Attributes
    ----------
    pts, dts : int
        When it is shown and decoded.
    duration : int
        0 if unknown.
    """

    pts: int
    dts: int
    duration: int


class PartWriter:
    """Writes the packets of a part; the file appears under its name when it is complete.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    header : dict
        Facts about the encoder, for JSON.

    Raises
    ------
    OSError
        If it cannot be written.
    """

    def __init__(self, path: Path, header: Facts) -> None:
        self._path = path
        self._temporary = part_path(path)
        self._file = new_file(self._temporary, private=False)
        self._check = 0
        try:
            self._write(_MARK)
            self._write_facts(header)
        except BaseException:
            self.abort()
            raise

    def add(self, packet: Packet) -> None:
        """Write a packet.

        Raises
        ------
        ValueError
            If the encoder did not say when it is shown.
        """
        if packet.pts is None:
            message = "the encoder gave a packet without a time"
            raise ValueError(message)
        sides = [side for side in packet.iter_sidedata() if side.data_type in _CARRIED]
        dts = _NO_TIME if packet.dts is None else packet.dts
        flags = _KEY * packet.is_keyframe
        data = bytes(packet)
        times = packet.pts, dts, packet.duration or 0
        self._write(_PACKET + _RECORD.pack(*times, flags, len(sides), len(data)))
        for side in sides:
            value = bytes(side)
            self._write(_SIDE_DATA.pack(_CARRIED[side.data_type], len(value)) + value)
        self._write(data)

    def finish(self, report: Facts) -> None:
        """Write the report, and give the file its name."""
        self._write(_END)
        self._write_facts(report)
        self._file.write(_LENGTH.pack(self._check))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._temporary.replace(self._path)

    def abort(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _write_facts(self, facts: Facts) -> None:
        data = json.dumps(facts).encode()
        self._write(_LENGTH.pack(len(data)) + data)

    def _write(self, data: bytes) -> None:
        self._check = zlib.crc32(data, self._check)
        self._file.write(data)


class PartReader:
    """Reads a part: its header and the times of its packets at once, the packets later.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    header, report : dict
        As they were written.
    times : list of PacketTimes
        Of all packets, in decoding order.

    Raises
    ------
    SinkError
        If it is not such a file, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self._check_whole(file)
                file.seek(len(_MARK))
                self.header = _facts(file)
                self._start = file.tell()
                self.times = [times for times, _ in self._records(file)]
                self.report = _facts(file)
        except (OSError, ValueError, struct.error) as error:
            raise self._error(str(error)) from error

    def packets(self) -> Iterator[Packet]:
        """Yield the packets, in decoding order, without a stream and in no time base."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            for _, packet in self._records(file):
                yield packet()

    def _records(self, file: BinaryIO) -> Iterator[tuple[PacketTimes, _Delayed]]:
        while _exactly(file, 1) == _PACKET:
            pts, dts, duration, flags, sides, size = _RECORD.unpack(_exactly(file, _RECORD.size))
            found = []
            for _ in range(sides):
                kind, length = _SIDE_DATA.unpack(_exactly(file, _SIDE_DATA.size))
                found.append((kind, _exactly(file, length)))
            place = file.tell()
            times = PacketTimes(pts, pts if dts == _NO_TIME else dts, duration)
            yield times, _Delayed(file, times, flags, found, size)
            file.seek(place + size)

    def _check_whole(self, file: BinaryIO) -> None:
        if _exactly(file, len(_MARK)) != _MARK:
            message = "it is not a part of this version"
            raise ValueError(message)
        check, held = zlib.crc32(_MARK), b""
        while block := file.read(2**20):
            data = held + block
            held = data[-_LENGTH.size :]
            check = zlib.crc32(data[: -_LENGTH.size], check)
        if held != _LENGTH.pack(check):
            message = "its check sum is wrong"
            raise ValueError(message)

    def _error(self, reason: str) -> SinkError:
        return SinkError(f"part '{self._path}' cannot be joined: {reason}. Make it again.")


class _Delayed(NamedTuple):
    """A packet that is read when it is called for."""

    file: BinaryIO
    times: PacketTimes
    flags: int
    sides: list[tuple[int, bytes]]
    size: int

    def __call__(self) -> Packet:
        packet = av.Packet(_exactly(self.file, self.size))
        packet.pts, packet.dts, packet.duration = self.times
        packet.is_keyframe = bool(self.flags & _KEY)
        for kind, value in self.sides:
            side: Any = PacketSideData(kind, len(value))  # type: ignore[call-arg]
            side.update(value)
            packet.set_sidedata(side)
        return packet


def _facts(file: BinaryIO) -> Facts:
    (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
    if length > _MAX_FACTS:
        message = "it is damaged"
        raise ValueError(message)
    facts: Facts = json.loads(_exactly(file, length))
    return facts


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        message = "it ends too early"
        raise ValueError(message)
    return data
