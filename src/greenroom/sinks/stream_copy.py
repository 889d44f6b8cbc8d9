"""Copying of the source's sound, subtitles, chapters and tags to the output."""

from __future__ import annotations

import logging
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from greenroom.media.decoding import open_container, video_stream
from greenroom.media.frame import fraction
from greenroom.media.timeline import Timeline, is_in_another_program
from greenroom.sinks.mux_trial import add_stream_copy, codec_name, unsupported_streams
from greenroom.sinks.tags import file_tags, stream_tags

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import av
    from av.container.core import Chapter
    from av.stream import AttachmentStream, Stream
    from av.video.stream import VideoStream

    from greenroom.media.source_info import SourceInfo
    from greenroom.sinks.muxer import Muxer

__all__ = ["StreamCopier"]

logger = logging.getLogger(__name__)

_CARRIED_TYPES = ("audio", "subtitle")
# A tick of Matroska, the coarsest time base among the containers.
_SHORTEST_S = Fraction(1, 1000)
_DESCRIBED = ("language", "title")
_WITH_ATTACHMENTS = "matroska"
_WITH_EQUAL_TIMES = ("matroska", "webm")
_FONTS = (".ttf", ".otf", ".ttc")


class StreamCopier:
    """Copies the packets of a file's sound and subtitles to another, interleaved by time.

    The file is opened a second time, so the packets do not have to wait in memory for
    the frames beside them.

    Parameters
    ----------
    path : Path
        The source.
    muxer : Muxer
        Muxer of the output; nothing may have been written to it yet.
    info : SourceInfo
        Facts about the source: the time in it that becomes 0, and its rate.
    keep_location : bool
        Whether tags may tell the place of the recording.
    """

    def __init__(
        self, path: Path, muxer: Muxer, info: SourceInfo, *, keep_location: bool = False
    ) -> None:
        self._source = open_container(path)
        self._muxer = muxer
        self._target = target = muxer.container
        self._begin_s = info.begin_s
        self._keep_location = keep_location
        self._streams: dict[int, Stream] = {}
        self._add_all(path)
        # Subtitle lines shown together have equal times.
        self._may_repeat = target.format.name in _WITH_EQUAL_TIMES
        self._last_dts: dict[int, int] = {}
        self._packets = self._demux()
        self._waiting: av.Packet[Any] | None = None
        target.metadata.update(
            file_tags(
                self._source.metadata, target.format.name, info.rate, keep_location=keep_location
            )
        )
        chapters = list(self._moved_chapters())
        if chapters:
            target.set_chapters(chapters)

    def describe(self, stream: VideoStream) -> None:
        """Copy the language and title of the source's video stream to the new one."""
        said = stream_tags(video_stream(self._source).metadata, keep_location=self._keep_location)
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
        """Write the remaining packets."""
        if self._waiting is not None:
            self._muxer.mux(self._waiting)
            self._waiting = None
        for packet in self._packets:
            self._muxer.mux(packet)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _add_all(self, path: Path) -> None:
        """Add the streams that the target can hold, and log the others."""
        muxer = self._target.format.name
        supported = self._target.supported_codecs
        streams = [one for one in self._source.streams if one.type in _CARRIED_TYPES]
        known = {one.index for one in streams if codec_name(one) in supported}
        against = {
            one.index: f"{codec_name(one)} cannot be carried in {muxer}"
            for one in streams
            if one.index not in known
        } | unsupported_streams(path, known, muxer, keep_location=self._keep_location)
        for stream in streams:
            if is_in_another_program(self._source, stream, self._begin_s):
                against[stream.index] = "it belongs to another program of the broadcast"
        for stream in streams:
            reason = against.get(stream.index)
            if reason is not None:
                logger.warning(
                    "%s stream %d of '%s' is left out: %s", stream.type, stream.index, path, reason
                )
                continue
            copy = add_stream_copy(stream, self._target)
            copy.metadata.update(stream_tags(stream.metadata, keep_location=self._keep_location))
            copy.disposition = stream.disposition
            self._streams[stream.index] = copy
        if muxer == _WITH_ATTACHMENTS:
            self._add_fonts()

    def _add_fonts(self) -> None:
        """Attach the fonts for subtitles."""
        for stream in self._source.streams:
            if stream.type != "attachment":
                continue
            font = cast("AttachmentStream", stream)
            name, kind = font.name or "", font.mimetype or ""
            if font.data and ("font" in kind or name.lower().endswith(_FONTS)):
                self._target.add_attachment(name, kind, font.data)

    def _moved_chapters(self) -> Iterator[Chapter]:
        """Yield the chapters, shifted to the new start."""
        for chapter in self._source.chapters():
            shift = round(self._begin_s / fraction(chapter["time_base"]))
            start, end = max(0, chapter["start"] - shift), chapter["end"] - shift
            if end > start:
                said = stream_tags(chapter["metadata"], keep_location=self._keep_location)
                yield {**chapter, "start": start, "end": end, "metadata": said}

    def _demux(self) -> Iterator[av.Packet[Any]]:
        """Yield the packets of the copied streams, in file order."""
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
        """Subtract the start time; return False if the packet is to be skipped.

        Decoding times must not decrease, as they do in damaged sound. A subtitle that begins
        before the start is shown from the start on.
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
        if last is not None and dts <= last and not (dts == last and self._may_repeat):
            dts = last + ceil(_SHORTEST_S / fraction(packet.time_base))
        self._last_dts[packet.stream.index] = dts
        packet.pts, packet.dts = max(pts, dts), dts
        return True
