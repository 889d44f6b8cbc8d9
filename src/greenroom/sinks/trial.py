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

from greenroom.decoding import media_errors, open_container

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import av
    from av.container import OutputContainer
    from av.stream import Stream

__all__ = ["copied", "refused"]

logger = logging.getLogger(__name__)

_PACKETS: Final = 3
# Subtitles may come late: the header has to do then.
_LOOKED_AT: Final = 1000
_USUAL_LAYOUTS: Final = {1: "mono", 2: "stereo"}


def copied(stream: Stream, target: OutputContainer) -> Stream:
    """Add a stream like another one to a container, for its packets.

    Of one or two channels that are not named it is said which they are, as MP4 wants it of PCM.
    """
    copy: Any = target.add_stream_from_template(cast("Any", stream), opaque=True)
    if stream.type == "audio":
        layout = copy.codec_context.layout
        if layout.name == f"{layout.nb_channels} channels" and layout.nb_channels in _USUAL_LAYOUTS:
            copy.codec_context.layout = _USUAL_LAYOUTS[layout.nb_channels]
    return cast("Stream", copy)


def refused(path: Path, indices: Collection[int], muxer: str) -> set[int]:
    """Return which streams of a file a muxer does not take.

    Parameters
    ----------
    path : Path
        The file.
    indices : collection of int
        The streams to be tried, each for itself.
    muxer : str
        FFmpeg's name.
    """
    if not indices:
        return set()
    with open_container(path) as container:
        packets: dict[int, list[av.Packet[Any]]] = {index: [] for index in indices}
        for packet in _first(container.demux(), indices):
            packets[packet.stream.index].append(packet)
        return {
            index
            for index, first in packets.items()
            if not _is_taken(container.streams[index], first, muxer)
        }


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
    except media_errors() as error:  # what is damaged is found, and told, by who reads the pictures
        logger.debug("the first packets are read up to '%s'", error)


def _is_taken(stream: Stream, packets: list[av.Packet[Any]], muxer: str) -> bool:
    """Write a stream's first packets to memory."""
    import av  # noqa: PLC0415 - importing greenroom stays light

    target = av.open(io.BytesIO(), "w", format=muxer)
    try:
        copy = copied(stream, target)
        target.start_encoding()  # not again by the first packet when this fails
        first = packets[0].dts or 0 if packets else 0
        for number, packet in enumerate(packets):
            packet.stream = copy
            packet.dts = max(number, (packet.dts or 0) - first)
            packet.pts = max(packet.dts, (packet.pts or 0) - first)
            target.mux(packet)
        target.close()
    except media_errors() as error:
        logger.debug("%s stream %d in %s: %s", stream.type, stream.index, muxer, error)
        with suppress(*media_errors()):
            target.close()
        return False
    return True
