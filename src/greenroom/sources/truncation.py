"""End time of a file's video, and detection of files that are cut off."""

from __future__ import annotations

import struct
from bisect import insort
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from greenroom.media.frame import fraction
from greenroom.media.timeline import may_be_discontinuous
from greenroom.sources.movie_header import movie_length_s

if TYPE_CHECKING:
    from pathlib import Path

    import av
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = ["EndTracker", "is_short_of_its_header"]

# Longest distance between decoding and display order in H.264 and HEVC, in pictures.
_MAX_REORDER: Final = 16
# Formats whose header has one duration, which FFmpeg reports for every stream: the longest.
_ONE_DURATION: Final = frozenset({"asf", "asf_o"})
_MICROSECONDS: Final = 1_000_000
# MP4 and QuickTime: a header for the whole movie, often in ms, beside the tables of its tracks.
_WITH_MOVIE_HEADER: Final = "mov"
_MOVIE_TICK_S: Final = Fraction(1, 500)
# A header with a longer display of its last picture is damaged.
_MAX_LAST_PICTURE_S: Final = 86_400
# Advanced Systems Format, 3.2: the File Properties Object, with the file size at 40 and the
# flags at 88; the first flag marks a live recording, whose size is unknown.
_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEADER_BYTES: Final = 1 << 16


class EndTracker:
    """Compares the end of the video in a file's header with the packets read.

    Parameters
    ----------
    container : InputContainer
        The open file.
    stream : VideoStream
        Its video stream.
    path : Path, optional
        Its path, if it can be opened a second time.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, path: Path | None = None
    ) -> None:
        self._container = container
        self._path = path
        self._stream = stream
        self._all_end_alike = container.format.name in _ONE_DURATION
        self._of = {one.index: _PacketSpan() for one in self.streams}

    @property
    def streams(self) -> list[Stream]:
        """The streams whose packets have to be passed to `add`."""
        if self._all_end_alike:
            return [*self._container.streams.video, *self._container.streams.audio]
        return [self._stream]

    def add(self, packet: av.Packet[Any]) -> None:
        """Record a packet; in decoding order."""
        self._of[packet.stream.index].add(packet)

    def pass_over(self, packets: int) -> None:
        """Count packets of the video that were not read, before the first that is."""
        self._of[self._stream.index].packets += packets

    @property
    def is_known_by_size(self) -> bool:
        """Whether the header is one that `is_short_of_its_header` reads."""
        return self._all_end_alike

    @property
    def end_s(self) -> Fraction:
        """End of the last picture, in seconds."""
        return self._of[self._stream.index].end_s

    def missing_to_s(self) -> Fraction | None:
        """Return the end that the header declares if packets are missing before it."""
        declared_s = self._declared_s()
        if declared_s is None or self._has_every_picture:
            return None
        if all(one.ends_before(declared_s) for one in self._of.values()):
            return declared_s
        return None

    def last_end_s(self, shown_s: Fraction, length_s: Fraction) -> Fraction | None:
        """Return when the last picture of a whole file ends, or None if nothing says so.

        Parameters
        ----------
        shown_s : Fraction
            Start of the last picture, in the file's time.
        length_s : Fraction
            Duration of its packet; 0 if unknown.
        """
        movie_s = self._movie_end_s()
        if movie_s is not None and movie_s > shown_s:
            return movie_s
        declared_s = None if self._all_end_alike else self._declared_s()
        if declared_s is not None and declared_s <= shown_s:
            declared_s = None
        # In MP4 the durations of packets are differences of decoding times.
        if length_s and not (declared_s and self._has_every_picture):
            return shown_s + length_s
        return declared_s

    def _movie_end_s(self) -> Fraction | None:
        """Return the movie's end if it is later than that of its tracks' tables.

        The tables hold differences of decoding times. If pictures are reordered, the last one
        decoded is not the last one shown, whose duration is then missing from them.
        """
        container = self._container
        if self._path is None or not container.format.name.startswith(_WITH_MOVIE_HEADER):
            return None
        movie_s = movie_length_s(self._path)
        ends_s = []
        for stream in container.streams:
            if not (stream.duration and stream.time_base):
                return None
            ends_s.append(((stream.start_time or 0) + stream.duration) * fraction(stream.time_base))
        if movie_s is None:
            return None
        is_later = _MOVIE_TICK_S < movie_s - max(ends_s) < _MAX_LAST_PICTURE_S
        return movie_s if is_later else None

    @property
    def _has_every_picture(self) -> bool:
        """Whether as many packets were read as the index lists."""
        return 0 < self._stream.frames <= self._of[self._stream.index].packets

    def _declared_s(self) -> Fraction | None:
        """Return the end of the stream that the header declares, or None."""
        stream = self._stream
        if may_be_discontinuous(self._container):
            return None  # FFmpeg estimates it from the last packets
        time_base = fraction(stream.time_base or 0)
        if not (stream.duration and time_base):
            return _tag_duration_s(stream.metadata.get("DURATION", ""))
        duration_s = stream.duration * time_base
        if self._all_end_alike:
            return Fraction(self._container.start_time or 0, _MICROSECONDS) + duration_s
        return (stream.start_time or 0) * time_base + duration_s


def _tag_duration_s(text: str) -> Fraction | None:
    """Parse ``hours:minutes:seconds``, Matroska's duration tag of a stream."""
    try:
        hours, minutes, seconds = (Fraction(part) for part in text.split(":"))
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


class _PacketSpan:
    """Time span of one stream's packets."""

    def __init__(self) -> None:
        self.packets = 0
        self._times_s: list[Fraction] = []
        self._gap_s = self._duration_s = Fraction(0)

    def add(self, packet: av.Packet[Any]) -> None:
        self.packets += bool(packet.size)
        if packet.pts is None:
            return
        time_base = fraction(packet.time_base)
        insort(self._times_s, packet.pts * time_base)
        if len(self._times_s) > _MAX_REORDER:
            time_s = self._times_s.pop(0)
            self._gap_s = max(self._gap_s, self._times_s[0] - time_s)
        if self._times_s[-1] == packet.pts * time_base:
            self._duration_s = (packet.duration or 0) * time_base

    @property
    def end_s(self) -> Fraction:
        """End of the last packet."""
        last = self._times_s[-1] if self._times_s else Fraction(0)
        return last + (self._duration_s or self._longest_s)

    @property
    def _longest_s(self) -> Fraction:
        """Longest time between two pictures."""
        gaps = [second - first for first, second in pairwise(self._times_s)]
        return max([self._gap_s, *gaps])

    def ends_before(self, declared_s: Fraction) -> bool:
        """Whether at least one picture is missing before a declared end.

        Half the longest gap between pictures is tolerated: some files do not declare the last
        picture's duration.
        """
        return bool(self._times_s) and self.end_s < declared_s - self._longest_s / 2


def is_short_of_its_header(path: Path) -> bool:
    """Whether a Windows Media file is shorter than its header declares; FFmpeg does not check."""
    with path.open("rb") as file:
        _, found, properties = file.read(_ASF_HEADER_BYTES).partition(_ASF_PROPERTIES)
    if len(properties) < 76:
        return bool(found)
    (size,) = struct.unpack_from("<Q", properties, 24)
    (flags,) = struct.unpack_from("<I", properties, 72)
    return not flags & 1 and path.stat().st_size < int(size)
