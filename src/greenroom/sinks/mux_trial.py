"""Whether a container takes a stream, found out before anything is written.

FFmpeg says what a muxer holds by the codec alone. What else it wants, a channel layout or that an
experiment is allowed, it says when the header is written, after the first pictures were made. So
the first packets of every stream are written to memory before.
"""

from __future__ import annotations

import io
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import av

from greenroom.media.decoding import MEDIA_ERRORS, open_container
from greenroom.sinks.tags import contains_coordinates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from av.container import OutputContainer
    from av.stream import Stream

__all__ = ["add_stream_copy", "codec_name", "unsupported_streams"]

logger = logging.getLogger(__name__)

_PACKETS: Final = 3
# Subtitles may come late: the header has to do then.
_LOOKED_AT: Final = 1000
_USUAL_LAYOUTS: Final = {1: "mono", 2: "stereo"}


def add_stream_copy(stream: Stream, target: OutputContainer) -> Stream:
    """Add a stream like another one to a container, for its packets.

    Of one or two channels that are not named it is said which they are, as MP4 wants it of PCM.
    """
    copy: Any = target.add_stream_from_template(cast("Any", stream), opaque=True)
    if stream.type == "audio":
        layout = copy.codec_context.layout
        if layout.name == f"{layout.nb_channels} channels" and layout.nb_channels in _USUAL_LAYOUTS:
            copy.codec_context.layout = _USUAL_LAYOUTS[layout.nb_channels]
    return cast("Stream", copy)


def unsupported_streams(
    path: Path, indices: Collection[int], muxer: str, *, keep_location: bool
) -> dict[int, str]:
    """Return which streams of a file are not to be carried, and why.

    Parameters
    ----------
    path : Path
        The file.
    indices : collection of int
        The streams to be tried, each for itself.
    muxer : str
        FFmpeg's name.
    keep_location : bool
        Whether a track of text may say where the pictures were taken, as that of a drone does.
    """
    if not indices:
        return {}
    with open_container(path) as container:
        packets: dict[int, list[av.Packet[Any]]] = {index: [] for index in indices}
        for packet in _first(container.demux(), indices):
            packets[packet.stream.index].append(packet)
        reasons = {}
        for index, first in packets.items():
            stream = container.streams[index]
            if (
                not keep_location
                and stream.type == "subtitle"
                and any(map(_contains_coordinates, first))
            ):
                reasons[index] = "it says where the pictures were taken (see --keep-location)"
            elif not _is_taken(stream, first, muxer):
                reasons[index] = f"{codec_name(stream)} cannot be carried in {muxer}"
        return reasons


def codec_name(stream: Stream) -> str:
    """Return FFmpeg's name of a stream's codec."""
    return getattr(stream.codec_context, "name", "unknown")  # None where there is no decoder


def _contains_coordinates(packet: av.Packet[Any]) -> bool:
    return contains_coordinates(bytes(packet).decode(errors="replace"))


def _first(packets: Iterator[av.Packet[Any]], indices: Collection[int]) -> Iterator[av.Packet[Any]]:
    """Give a few packets of each stream."""
    wanted = dict.fromkeys(indices, _PACKETS)
    try:
        for number, packet in enumerate(packets):
            if number >= _LOOKED_AT or not any(wanted.values()):
                return
            left = wanted.get(packet.stream.index, 0)
            if left and packet.size and packet.dts is not None:
                wanted[packet.stream.index] = left - 1
                yield packet
    except MEDIA_ERRORS as error:  # what is damaged is found, and told, by who reads the pictures
        logger.debug("the first packets are read up to '%s'", error)


def _is_taken(stream: Stream, packets: list[av.Packet[Any]], muxer: str) -> bool:
    """Write a stream's first packets to memory."""
    target = av.open(io.BytesIO(), "w", format=muxer)
    try:
        copy = add_stream_copy(stream, target)
        target.start_encoding()  # not again by the first packet when this fails
        first = packets[0].dts or 0 if packets else 0
        for number, packet in enumerate(packets):
            packet.stream = copy
            packet.dts = max(number, (packet.dts or 0) - first)
            packet.pts = max(packet.dts, (packet.pts or 0) - first)
            target.mux(packet)
        target.close()
    except MEDIA_ERRORS as error:
        logger.debug("%s stream %d in %s: %s", stream.type, stream.index, muxer, error)
        with suppress(*MEDIA_ERRORS):
            target.close()
        return False
    return True
