"""Sound, subtitles, chapters and tags of the source, carried over unchanged."""

from __future__ import annotations

import logging
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from greenroom.decoding import open_container, video_stream
from greenroom.frames import fraction
from greenroom.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import av
    from av.container.core import Chapter
    from av.stream import Stream
    from av.video.stream import VideoStream

    from greenroom.sinks.muxer import Muxer

__all__ = ["CarriedStreams"]

logger = logging.getLogger(__name__)

_CARRIED_TYPES = ("audio", "subtitle")
# A tick of Matroska, the coarsest clock that is written to.
_SHORTEST_S = Fraction(1, 1000)
_DESCRIBED = ("language", "title")


class CarriedStreams:
    """Copies packets of a file's sound and subtitles into another, interleaved by time.

    The file is opened a second time, so the packets do not have to wait in memory for
    the frames beside them.

    Parameters
    ----------
    path : Path
        The source.
    muxer : Muxer
        Where streams are added; nothing may have been written to it yet.
    begin_s : Fraction
        The time in the source that becomes 0.
    """

    def __init__(self, path: Path, muxer: Muxer, begin_s: Fraction) -> None:
        self._source = open_container(path)
        self._muxer = muxer
        self._target = target = muxer.container
        self._begin_s = begin_s
        self._streams: dict[int, Stream] = {}
        for stream in self._source.streams:
            if stream.type in _CARRIED_TYPES:
                self._add(path, stream)
        self._last_dts: dict[int, int] = {}
        self._packets = self._demux()
        self._waiting: av.Packet[Any] | None = None
        target.metadata.update(self._source.metadata)
        chapters = list(self._moved_chapters())
        if chapters:
            target.set_chapters(chapters)

    def describe(self, stream: VideoStream) -> None:
        """Say of the new pictures what the source says of its own."""
        said = video_stream(self._source).metadata
        stream.metadata.update({name: said[name] for name in _DESCRIBED if name in said})

    def mux_until(self, time_s: Fraction) -> None:
        """Write the packets up to a time."""
        while (packet := self._waiting or next(self._packets, None)) is not None:
            self._waiting = packet
            if packet.dts is not None and packet.dts * fraction(packet.time_base) > time_s:
                return
            self._waiting = None
            self._muxer.mux(packet)

    def mux_rest(self) -> None:
        """Write the packets that are left."""
        if self._waiting is not None:
            self._muxer.mux(self._waiting)
            self._waiting = None
        for packet in self._packets:
            self._muxer.mux(packet)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _add(self, path: Path, stream: Stream) -> None:
        codec = getattr(stream.codec_context, "name", "unknown")  # None for attachments
        if codec not in self._target.supported_codecs:
            logger.warning(
                "%s stream %d of '%s' is left out: %s cannot be carried in %s",
                stream.type,
                stream.index,
                path,
                codec,
                self._target.format.name,
            )
            return
        copy = self._target.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(stream.metadata)
        copy.disposition = stream.disposition
        self._streams[stream.index] = copy

    def _moved_chapters(self) -> Iterator[Chapter]:
        """Give the chapters at their places after the beginning."""
        for chapter in self._source.chapters():
            shift = round(self._begin_s / fraction(chapter["time_base"]))
            start, end = max(0, chapter["start"] - shift), chapter["end"] - shift
            if end > start:
                yield {**chapter, "start": start, "end": end}

    def _demux(self) -> Iterator[av.Packet[Any]]:
        """Read the packets that are carried, in the order of the file."""
        if not self._streams:
            return
        carried = [self._source.streams[index] for index in self._streams]
        for packet in Timeline(self._source).packets(*carried):
            if not packet.size or packet.dts is None or packet.is_corrupt:
                continue
            index = packet.stream.index
            if self._move(packet):
                packet.stream = self._streams[index]
                yield packet

    def _move(self, packet: av.Packet[Any]) -> bool:
        """Subtract the beginning, and say whether the packet is to be written.

        Decoding times may not go back, as those of damaged sound do. A subtitle from before the
        beginning is shown from there on.
        """
        shift = round(self._begin_s / fraction(packet.time_base))
        dts = (packet.dts or 0) - shift
        pts = dts if packet.pts is None else packet.pts - shift
        if packet.stream.type == "subtitle" and pts < 0:
            packet.duration = max(0, (packet.duration or 0) + pts)
            if not packet.duration:
                return False
            pts = dts = 0
        last = self._last_dts.get(packet.stream.index)
        if last is not None and dts <= last:
            dts = last + ceil(_SHORTEST_S / fraction(packet.time_base))
        self._last_dts[packet.stream.index] = dts
        packet.pts, packet.dts = max(pts, dts), dts
        return True
