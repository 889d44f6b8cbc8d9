"""Trial muxing, to find out whether a container accepts a stream before the output is written.

FFmpeg reports support by codec only. Other requirements, such as a channel layout or a permission
for experimental codecs, fail when the header is written, after the first pictures were made. So the
first packets of every stream are muxed to memory first.
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
# Packets read at most. Subtitles may come later: then only the header is tried.
_MAX_PACKETS_READ: Final = 1000
_USUAL_LAYOUTS: Final = {1: "mono", 2: "stereo"}


def add_stream_copy(stream: Stream, target: OutputContainer) -> Stream:
    """Add a stream to a container, for the packets of another stream.

    One or two channels without a layout are declared as mono or stereo, which MP4 needs for PCM.
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
    """Return the streams of a file that cannot be copied, with the reasons.

    Parameters
    ----------
    path : Path
        The file.
    indices : collection of int
        The streams to try, each separately.
    muxer : str
        FFmpeg's name of the muxer.
    keep_location : bool
        Whether text tracks may tell the place of the recording, as those of drones do.
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
                and any(contains_coordinates(bytes(one).decode(errors="replace")) for one in first)
            ):
                reasons[index] = "it says where the pictures were taken (see --keep-location)"
            elif not _can_be_muxed(stream, first, muxer):
                reasons[index] = f"{codec_name(stream)} cannot be carried in {muxer}"
        return reasons


def codec_name(stream: Stream) -> str:
    """Return FFmpeg's name of a stream's codec."""
    return getattr(stream.codec_context, "name", "unknown")  # None where there is no decoder


def _first(packets: Iterator[av.Packet[Any]], indices: Collection[int]) -> Iterator[av.Packet[Any]]:
    """Yield the first packets of each stream."""
    wanted = dict.fromkeys(indices, _PACKETS)
    try:
        for number, packet in enumerate(packets):
            if number >= _MAX_PACKETS_READ or not any(wanted.values()):
                return
            left = wanted.get(packet.stream.index, 0)
            if left and packet.size and packet.dts is not None:
                wanted[packet.stream.index] = left - 1
                yield packet
    except MEDIA_ERRORS as error:  # the video source reports damage
        logger.debug("the first packets are read up to '%s'", error)


def _can_be_muxed(stream: Stream, packets: list[av.Packet[Any]], muxer: str) -> bool:
    """Whether a muxer accepts a stream's first packets, written to memory."""
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
