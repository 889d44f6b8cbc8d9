"""Encoding of a video's frames, for the file or the part of one that they go to."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, cast

import av

from greenroom.errors import SettingsError
from greenroom.media.colour import Colour
from greenroom.media.shapes import padded_to_even, scaled_to_square_pixels, square_size
from greenroom.media.surface_frame import EncoderFrame
from greenroom.sinks.codecs import CONTAINERS, check_fits, choose_codec
from greenroom.sinks.encoders import accelerator, choose_encoder, takes_surfaces
from greenroom.sinks.sink import check_layout

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings
    from greenroom.sinks.codecs import Codec

    Packets = list[av.Packet[Any]]

__all__ = ["FrameEncoder"]

logger = logging.getLogger(__name__)

# Durations kept for pictures inside the encoder; none looks further ahead.
_MAX_DURATIONS = 1000


class FrameEncoder:
    """Encodes the frames of a video, which have one layout.

    Parameters
    ----------
    path : Path
        The output; its extension decides about codec and format.
    settings : Settings
        Codec, quality and preset.
    info : SourceInfo
        Facts about the source: rate, time base, aspect.
    live : bool
        Whether it is a live recording, which the processor encodes.
    surfaces : bool
        Whether it may be given frames in a GPU's memory.

    Attributes
    ----------
    codec : Codec or None
        The codec, once it is chosen.
    options : dict
        The encoder's options.
    takes_surfaces : bool
        Whether the encoder reads an `EncoderFrame` in the GPU's memory. Frames of the host's are
        uploaded then.
    stream : VideoStream or None
        The stream that the packets belong to, once it is made.
    end_pts : int
        End of the last frame given, in units of its time base.

    State: the encoder's, the last time, and the durations of frames inside the encoder.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        info: SourceInfo,
        *,
        live: bool = False,
        surfaces: bool = False,
    ) -> None:
        self._path = path
        self._live = live
        self._may_take_surfaces = surfaces and not live
        self._settings = settings
        self._info = info
        self.stream: VideoStream | None = None
        self.codec: Codec | None = None
        self.options: dict[str, str] = {}
        self.takes_surfaces = False
        self.end_pts = 0
        self._alpha = False
        self._size = (0, 0)
        self._time_base = info.time_base
        self._square: tuple[int, int] | None = None
        self._layout: Layout | None = None
        self._colour = Colour()
        self._pixel_format = ""
        self._last_pts: int | None = None
        self._lengths: dict[int | None, int] = {}
        self._frames = 0

    def prepare(self, frame: Frame) -> None:
        """Choose codec, size and format for frames like the first one.

        Raises
        ------
        SettingsError
            If the codec is unknown, has no such preset, or cannot hold such frames.
        """
        layout = frame.layout
        codec = choose_codec(self._path, self._settings, layout, alpha=frame.alpha is not None)
        size = self._encoded_size(frame, codec)
        if not self._live:  # which has to be played if it is cut off, and need not be fast
            codec = choose_encoder(codec, self._settings, size, layout, self._path)
        self.options = codec.all_options(self._settings)
        for name, value in codec.environment:
            os.environ.setdefault(name, value)
        if codec.even:
            size = self._even_size(size)
        self.codec, self._size, self._layout = codec, size, layout
        self._alpha = frame.alpha is not None
        if self._may_take_surfaces and not self._alpha:
            self.takes_surfaces = takes_surfaces(codec, self._settings, size, layout, self._path)
        self._time_base = frame.time_base or self._info.time_base

    def add_to(self, container: OutputContainer) -> VideoStream:
        """Add the stream to a container, after `prepare`.

        Raises
        ------
        SettingsError
            If the container cannot hold the codec.
        """
        codec, layout = self.codec, self._layout
        assert codec is not None
        assert layout is not None
        check_fits(codec, self._path, container)
        stream = cast(
            "VideoStream",
            container.add_stream(
                codec.encoder,
                rate=self._info.rate,
                options=self.options,
                hwaccel=accelerator() if self.takes_surfaces else None,
            ),
        )
        stream.width, stream.height = self._size
        self._pixel_format = codec.pixel_format(layout, alpha=self._alpha)
        if self.takes_surfaces:
            self._pixel_format = "nv12"
        stream.pix_fmt = self._pixel_format
        stream.codec_context.time_base = self._time_base
        if self._square is None:
            stream.codec_context.sample_aspect_ratio = self._info.sample_aspect_ratio
        stream.thread_type = "AUTO"
        # Otherwise every packet gets the average duration.
        stream.codec_context.flags |= av.codec.context.Flags.frame_duration
        self._colour = colour = codec.colour(layout, self._pixel_format)
        stream.colorspace, stream.color_range = colour.matrix, colour.range
        stream.color_primaries, stream.color_trc = colour.primaries, colour.transfer
        self.stream = stream
        return stream

    def encode(self, frame: Frame) -> Packets:
        """Encode a frame; return the packets that are complete, with their durations.

        Raises
        ------
        SettingsError, SinkError
            If it is not like the first one.
        """
        assert self.stream is not None
        self._check(frame)
        self._frames += 1
        return self._timed(self.stream.encode(self._picture(frame)))

    def finish(self) -> Packets:
        """Return the packets still inside the encoder."""
        assert self.stream is not None
        return self._timed(self.stream.encode(None))

    def _even_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return a size with its sides made even."""
        width, height = size
        if width % 2 or height % 2:
            logger.warning(
                "output '%s': %dx%d is made even by repeating the last column or row",
                self._path,
                width,
                height,
            )
        return width + width % 2, height + height % 2

    def _encoded_size(self, frame: Frame, codec: Codec) -> tuple[int, int]:
        """Choose the size: scaled if pixels are not square and the file cannot declare that.

        A matte keeps its size, so that its pixels match the picture's.
        """
        kind, aspect = CONTAINERS[self._path.suffix.lower()], self._info.sample_aspect_ratio
        if aspect == 1 or kind.says_aspect or codec.says_aspect or frame.format == "gray":
            return frame.size
        size = square_size(frame.size, aspect)
        if size != frame.size:
            self._square = size
            logger.warning(
                "output '%s': %dx%d is scaled to %dx%d, as its pixels are not square and such a "
                "file cannot say so",
                self._path,
                *frame.size,
                *size,
            )
        return size

    def _check(self, frame: Frame) -> None:
        """Check that a frame fits the file."""
        # Without its alpha, a frame would show what must stay hidden.
        if frame.alpha is not None and not self._alpha:
            message = (
                f"output '{self._path}' cannot become transparent: its first frame was not. "
                f"Write another file."
            )
            raise SettingsError(message, "background")
        if self._layout is not None:
            check_layout(frame, self._layout, self._path)

    def _picture(self, frame: Frame) -> av.VideoFrame:
        """Convert a frame for the encoder: even size, its pixel format, increasing time."""
        if self._square is not None:
            frame = scaled_to_square_pixels(frame, self._square)
        assert self.codec is not None
        if self.codec.even and (frame.layout.width % 2 or frame.layout.height % 2):
            frame = padded_to_even(frame)
        if (pts := frame.pts) is not None:
            if self._last_pts is not None and pts <= self._last_pts:
                pts = self._last_pts + 1
                frame = frame.shown_at(pts, frame.time_base, frame.duration)
            self._last_pts = self.end_pts = pts
            if frame.duration:
                self.end_pts, self._lengths[pts] = pts + frame.duration, frame.duration
                if len(self._lengths) > _MAX_DURATIONS:  # an encoder that changes times
                    del self._lengths[next(iter(self._lengths))]
        picture = self._surface(frame) or frame.to_av(self._pixel_format, self._colour)
        picture.pict_type = 0
        return picture

    def _surface(self, frame: Frame) -> av.VideoFrame | None:
        """Return a frame that the encoder reads where it is, or None."""
        is_fit = self.takes_surfaces and self._colour.means(frame.layout.colour, frame.size)
        return frame.encoded_as() if is_fit and isinstance(frame, EncoderFrame) else None

    def _timed(self, packets: Packets) -> Packets:
        """Set durations, as not every encoder passes on those of pictures."""
        for packet in packets:
            if self._frames == 1:  # x265 leaves this undefined for a single picture
                packet.dts = packet.pts
            packet.duration = self._lengths.pop(packet.pts, None) or packet.duration
        return packets
