"""Sound, subtitles, chapters and tags of the source, carried over unchanged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from greenroom.decoding import open_container, video_stream
from greenroom.frames import fraction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction
    from pathlib import Path

    import av
    from av.stream import Stream
    from av.video.stream import VideoStream

    from greenroom.sinks.muxer import Muxer

__all__ = ["CarriedStreams"]

logger = logging.getLogger(__name__)

_CARRIED_TYPES = ("audio", "subtitle")
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
    """

    def __init__(self, path: Path, muxer: Muxer) -> None:
        self._source = open_container(path)
        self._muxer = muxer
        self._target = target = muxer.container
        self._streams: dict[int, Stream] = {}
        for stream in self._source.streams:
            if stream.type in _CARRIED_TYPES:
                self._add(path, stream)
        self._packets = self._demux()
        self._waiting: av.Packet[Any] | None = None
        target.metadata.update(self._source.metadata)
        chapters = self._source.chapters()
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

    def _demux(self) -> Iterator[av.Packet[Any]]:
        """Read the packets that are carried, in the order of the file."""
        if not self._streams:
            return
        carried = [self._source.streams[index] for index in self._streams]
        for packet in self._source.demux(carried):
            if packet.size and packet.dts is not None and not packet.is_corrupt:
                packet.stream = self._streams[packet.stream.index]
                yield packet
