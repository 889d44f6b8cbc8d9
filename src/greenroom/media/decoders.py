"""Decoders of video streams: everything that can be seen through is decoded as that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import av

from greenroom.media.colour import UNSPECIFIED

if TYPE_CHECKING:
    from av.video.stream import VideoStream

    from greenroom.media.deinterlacing import Deinterlacer

__all__ = ["ALPHA_MODE", "Decoder", "has_alpha_mode"]

# FFmpeg's own decoders of these codecs leave alpha out: the room behind it would be seen.
_WITH_ALPHA: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
ALPHA_MODE: Final = "alpha_mode"
"""The tag of a stream in WebM and Matroska whose packets have alpha beside them; it is 1 then."""

_THREADS: Final = "AUTO"  # FFmpeg takes all that are of use
# Alpha travels beside a packet as the block addition number 1 of Matroska and WebM.
_ADDITION: Final = "matroska_block_additional"
_ALPHA_NUMBER: Final = 1


class Decoder:
    """Decodes the packets of a stream, with alpha where they have it.

    VP8 and VP9 with alpha are decoded by libvpx, everything else by the stream's own decoder,
    which is as fast as it gets.

    Parameters
    ----------
    stream : av.VideoStream
        Nothing of it has been decoded yet.
    deinterlacer : Deinterlacer, optional
        Through which the pictures go. Interlaced pictures stay so without one.
    """

    def __init__(self, stream: VideoStream, deinterlacer: Deinterlacer | None = None) -> None:
        self._stream = stream
        self._deinterlacer = deinterlacer
        self.context: Any = stream.codec_context
        if self.context.name in _WITH_ALPHA and has_alpha_mode(stream):
            self._take_alpha()
        else:
            self.context.thread_type = _THREADS

    def decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """Return the pictures that a packet completes; an empty one, or None, ends the stream.

        Raises
        ------
        av.error.FFmpegError
            At damage that the decoder cannot go over.
        """
        if packet is not None and self.context.name in _WITH_ALPHA and _has_alpha(packet):
            self._take_alpha()
        pictures: list[av.VideoFrame] = self.context.decode(packet)
        if self._is_other:
            for picture in pictures:
                self._describe(picture)
        if self._deinterlacer is None:
            return pictures
        ready = [shown for picture in pictures for shown in self._deinterlacer.push(picture)]
        is_end = packet is None or packet.size == 0
        return ready + self._deinterlacer.finish() if is_end else ready

    def finish(self) -> list[av.VideoFrame]:
        """Return what is held after the last packet, where the stream did not end as it should."""
        return [] if self._deinterlacer is None else self._deinterlacer.finish()

    def restart(self) -> None:
        """Forget everything, after the container went to another place."""
        if self._is_other:
            self.context.flush_buffers()
        if self._deinterlacer is not None:
            self._deinterlacer.restart()

    @property
    def _is_other(self) -> bool:
        return self.context is not self._stream.codec_context

    def _take_alpha(self) -> None:
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

    def _describe(self, picture: av.VideoFrame) -> None:
        """Say of the colours what the container says, where the codec says nothing."""
        own: Any = self._stream.codec_context
        for part in ("colorspace", "color_primaries", "color_trc"):
            if getattr(picture, part) == UNSPECIFIED:
                setattr(picture, part, getattr(own, part))
        if picture.color_range == 0:
            picture.color_range = own.color_range


def has_alpha_mode(stream: VideoStream) -> bool:
    """Whether a stream of WebM or Matroska says that it has alpha beside its packets."""
    return any(
        name.lower() == ALPHA_MODE and value == "1" for name, value in stream.metadata.items()
    )


def _has_alpha(packet: av.Packet[Any]) -> bool:
    if not packet.has_sidedata(_ADDITION):
        return False
    addition: Any = packet.get_sidedata(_ADDITION)
    return int.from_bytes(bytes(addition)[:8]) == _ALPHA_NUMBER
