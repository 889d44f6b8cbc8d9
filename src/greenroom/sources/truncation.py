"""The time that the pictures of a file span: whether the last are missing, and when it ends."""

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

# H.264 and HEVC show pictures at most so many places from where they are decoded.
_REORDERED: Final = 16
# Their header has one duration, which FFmpeg gives each stream: that of the longest.
_ONE_DURATION: Final = frozenset({"asf", "asf_o"})
_MICROSECONDS: Final = 1_000_000
# MP4 and QuickTime: a header for the whole movie, often in ms, beside the tables of its tracks.
_WITH_MOVIE_HEADER: Final = "mov"
_MOVIE_TICK_S: Final = Fraction(1, 500)
# No picture stays for longer; a header that says so is damaged.
_MOST_STAYING_S: Final = 86_400
# Advanced Systems Format, 3.2: the File Properties Object, of which the size of the file is at 40
# and the flags at 88; the first flag says that it was written live and does not know its size.
_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEADER_BYTES: Final = 1 << 16


class EndTracker:
    """What the header of a file says of its pictures' end, beside what has been read.

    Parameters
    ----------
    container : InputContainer
        The file.
    stream : VideoStream
        Its pictures.
    path : Path, optional
        Where it is, if it can be opened a second time.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, path: Path | None = None
    ) -> None:
        self._container = container
        self._path = path
        self._stream = stream
        self._all_end_alike = container.format.name in _ONE_DURATION
        self._of = {one.index: _Extent() for one in self.streams}

    @property
    def streams(self) -> list[Stream]:
        """The streams whose packets have to be seen."""
        if self._all_end_alike:
            return [*self._container.streams.video, *self._container.streams.audio]
        return [self._stream]

    def add(self, packet: av.Packet[Any]) -> None:
        """Take a packet; they come in the order of decoding."""
        self._of[packet.stream.index].add(packet)

    @property
    def is_known_by_size(self) -> bool:
        """Whether the header is one that `is_short_of_its_header` reads."""
        return self._all_end_alike

    @property
    def end_s(self) -> Fraction:
        """When the last picture ends."""
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
            When it begins, in the file's time.
        length_s : Fraction
            How long its packet says that it is shown; 0 if it does not say.
        """
        movie_s = self._movie_end_s()
        if movie_s is not None and movie_s > shown_s:
            return movie_s
        declared_s = None if self._all_end_alike else self._declared_s()
        if declared_s is not None and declared_s <= shown_s:
            declared_s = None
        # In MP4 the lengths of packets belong to the order of decoding.
        if length_s and not (declared_s and self._has_every_picture):
            return shown_s + length_s
        return declared_s

    def _movie_end_s(self) -> Fraction | None:
        """Say when the movie ends if that is later than its tracks' tables explain.

        These have the lengths between times of decoding. Where pictures are decoded in another
        order, the last one that is decoded is not the last one that is shown, whose length is not
        in them, then.
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
        is_later = _MOVIE_TICK_S < movie_s - max(ends_s) < _MOST_STAYING_S
        return movie_s if is_later else None

    @property
    def _has_every_picture(self) -> bool:
        """Whether as many packets came as an index lists."""
        return 0 < self._stream.frames <= self._of[self._stream.index].packets

    def _declared_s(self) -> Fraction | None:
        """Say when a stream ends according to its header, where the header speaks of the stream."""
        stream = self._stream
        if may_be_discontinuous(self._container):
            return None  # what FFmpeg says is read from the last packets
        time_base = fraction(stream.time_base or 0)
        if not (stream.duration and time_base):
            return _of_tag(stream.metadata.get("DURATION", ""))
        duration_s = stream.duration * time_base
        if self._all_end_alike:
            return Fraction(self._container.start_time or 0, _MICROSECONDS) + duration_s
        return (stream.start_time or 0) * time_base + duration_s


def _of_tag(text: str) -> Fraction | None:
    """Read ``hours:minutes:seconds``, as Matroska has it of each stream."""
    try:
        hours, minutes, seconds = (Fraction(part) for part in text.split(":"))
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


class _Extent:
    """The time that one stream's packets span."""

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
        if len(self._times_s) > _REORDERED:
            time_s = self._times_s.pop(0)
            self._gap_s = max(self._gap_s, self._times_s[0] - time_s)
        if self._times_s[-1] == packet.pts * time_base:
            self._duration_s = (packet.duration or 0) * time_base

    @property
    def end_s(self) -> Fraction:
        """When the last one ends."""
        last = self._times_s[-1] if self._times_s else Fraction(0)
        return last + (self._duration_s or self._longest_s)

    @property
    def _longest_s(self) -> Fraction:
        """How long any is shown."""
        gaps = [second - first for first, second in pairwise(self._times_s)]
        return max([self._gap_s, *gaps])

    def ends_before(self, declared_s: Fraction) -> bool:
        """Whether at least one is missing before a declared end.

        Half the longest time between two is allowed for: some files do not say how long the
        last picture is shown.
        """
        return bool(self._times_s) and self.end_s < declared_s - self._longest_s / 2


def is_short_of_its_header(path: Path) -> bool:
    """Whether a file of Windows media is shorter than it says, of which FFmpeg says nothing."""
    with path.open("rb") as file:
        _, found, properties = file.read(_ASF_HEADER_BYTES).partition(_ASF_PROPERTIES)
    if len(properties) < 76:
        return bool(found)
    (size,) = struct.unpack_from("<Q", properties, 24)
    (flags,) = struct.unpack_from("<I", properties, 72)
    return not flags & 1 and path.stat().st_size < int(size)
