"""Decoders of video streams, with alpha where a stream has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import av

from greenroom.media.colour import UNSPECIFIED

if TYPE_CHECKING:
    from av.video.stream import VideoStream

    from greenroom.media.deinterlacing import Deinterlacer

__all__ = ["ALPHA_MODE", "Decoder", "has_alpha", "has_alpha_mode"]

# FFmpeg's own decoders of these codecs drop alpha: the room behind it would be seen.
_WITH_ALPHA: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
ALPHA_MODE: Final = "alpha_mode"
"""Stream tag in WebM and Matroska, 1 where packets carry alpha as additional data."""

_THREADS: Final = "AUTO"  # as many as FFmpeg finds useful
# Alpha is block addition number 1 of a packet in Matroska and WebM.
_ADDITION: Final = "matroska_block_additional"
_ALPHA_NUMBER: Final = 1


class Decoder:
    """Decodes the packets of a stream, with alpha where they have it.

    VP8 and VP9 with alpha are decoded by libvpx, everything else by the stream's own, faster
    decoder.

    Parameters
    ----------
    stream : av.VideoStream
        Nothing has been decoded from it yet.
    deinterlacer : Deinterlacer, optional
        Applied to the pictures; without it, interlaced pictures stay interlaced.
    """

    def __init__(self, stream: VideoStream, deinterlacer: Deinterlacer | None = None) -> None:
        self._stream = stream
        self._deinterlacer = deinterlacer
        self.context: Any = stream.codec_context
        if self.context.name in _WITH_ALPHA and has_alpha_mode(stream):
            self._switch_to_alpha_decoder()
        else:
            self.context.thread_type = _THREADS

    @property
    def places(self) -> str:
        """Where it has decoded: ``cpu``, ``cuda``, or both in turn, such as ``cuda, cpu``."""
        return "cpu"

    def decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """Return the pictures completed by a packet; an empty one or None ends the stream.

        Raises
        ------
        av.error.FFmpegError
            At damage that the decoder cannot skip.
        """
        if packet is not None and self.context.name in _WITH_ALPHA and has_alpha(packet):
            self._switch_to_alpha_decoder()
        pictures: list[av.VideoFrame] = self.context.decode(packet)
        if self._is_replaced:
            for picture in pictures:
                self.set_colours(picture)
        if self._deinterlacer is None:
            return pictures
        ready = [shown for picture in pictures for shown in self._deinterlacer.push(picture)]
        is_end = packet is None or packet.size == 0
        return ready + self._deinterlacer.finish() if is_end else ready

    def finish(self) -> list[av.VideoFrame]:
        """Return the pictures still held after the last packet of an incomplete stream."""
        return [] if self._deinterlacer is None else self._deinterlacer.finish()

    def restart(self) -> None:
        """Drop all state after a seek."""
        if self._is_replaced:
            self.context.flush_buffers()
        if self._deinterlacer is not None:
            self._deinterlacer.restart()

    @property
    def _is_replaced(self) -> bool:
        return self.context is not self._stream.codec_context

    def _switch_to_alpha_decoder(self) -> None:
        own: Any = self._stream.codec_context
        name = _WITH_ALPHA[own.name]
        try:
            context: Any = av.CodecContext.create(name, "r")
        except ValueError as error:
            message = f"its video can be seen through, and this FFmpeg has no {name} to decode it"
            raise ValueError(message) from error
        context.extradata = own.extradata
        context.thread_type = _THREADS
        self.context = context

    def set_colours(self, picture: av.VideoFrame) -> None:
        """Give a picture of another decoder the stream's colours.

        They are taken from the container where the codec leaves them unspecified.
        """
        own: Any = self._stream.codec_context
        for part in ("colorspace", "color_primaries", "color_trc"):
            if getattr(picture, part) == UNSPECIFIED:
                setattr(picture, part, getattr(own, part))
        if picture.color_range == 0:
            picture.color_range = own.color_range


def has_alpha_mode(stream: VideoStream) -> bool:
    """Whether a stream of WebM or Matroska is tagged as carrying alpha."""
    return any(
        name.lower() == ALPHA_MODE and value == "1" for name, value in stream.metadata.items()
    )


def has_alpha(packet: av.Packet[Any]) -> bool:
    """Whether a packet of WebM or Matroska carries alpha beside its picture."""
    if not packet.has_sidedata(_ADDITION):
        return False
    addition: Any = packet.get_sidedata(_ADDITION)
    return int.from_bytes(bytes(addition)[:8]) == _ALPHA_NUMBER
