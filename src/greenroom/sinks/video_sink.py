"""Sink for video files."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import av

from greenroom.errors import GreenroomError, SettingsError
from greenroom.media.colour import Colour
from greenroom.media.decoding import MEDIA_ERRORS, decoded, open_container, video_stream
from greenroom.media.frame import fraction
from greenroom.media.paths import file_url
from greenroom.media.shapes import padded_to_even, scaled_to_square_pixels, square_size
from greenroom.sinks.codecs import CONTAINERS, check_choice, check_fits, choose_codec
from greenroom.sinks.encoders import check_encoder, choose_encoder
from greenroom.sinks.muxer import HEADER_BYTES, Muxer
from greenroom.sinks.sink import Sink, check_layout
from greenroom.sinks.staging import Staging, check_free_space, unused_path, writing
from greenroom.sinks.stream_copy import StreamCopier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from av.video.stream import VideoStream

    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings
    from greenroom.sinks.codecs import Codec

__all__ = ["VideoSink"]

logger = logging.getLogger(__name__)

# Durations kept for pictures inside the encoder; none looks further ahead.
_MAX_DURATIONS = 1000


class VideoSink(Sink):
    """Encodes frames into a video file, with the sound and subtitles of the source.

    Parameters
    ----------
    path : Path
        ``.mp4``, ``.m4v``, ``.mov``, ``.mkv`` or ``.webm``.
    settings : Settings
        Codec, quality, preset and whether to overwrite.
    info : SourceInfo
        Facts about the source: rate, time base, aspect, and the file whose other streams are
        copied.
    live : bool
        Whether it is a live recording, which is kept after an error (see `keep`) and which only
        the user may read.
    room_bytes : int
        Free space needed to start a file.

    Raises
    ------
    SinkError, SettingsError
        If the file cannot be written, or the codec is unknown, does not fit the container, or
        needs a GPU that does not encode it. Later errors are raised from the first frame on.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        info: SourceInfo,
        *,
        live: bool = False,
        room_bytes: int = HEADER_BYTES,
    ) -> None:
        self._path = path
        self._live = live
        self._room_bytes = room_bytes
        self._settings = settings
        self._info = info
        self._staging = Staging(overwrite=settings.overwrite, inputs=info.files, private=live)
        # The first frame creates the file: the caller may be interrupted before it can abort.
        self._staging.check(path)
        check_choice(path, settings)
        check_encoder(settings)
        self._temporary: Path | None = None
        self._muxer: Muxer | None = None
        self._stream: VideoStream | None = None
        self._stream_copier: StreamCopier | None = None
        self._even = self._alpha = False
        self._square: tuple[int, int] | None = None
        self._layout: Layout | None = None
        self._colour = Colour()
        self._last_pts: int | None = None
        self._end_pts = 0
        self._lengths: dict[int | None, int] = {}
        self._first: tuple[int, int] | None = None
        self._frames = 0

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        with writing(self._path):
            if self._stream is None:
                self._stream = self._open(frame)
            self._check(frame)
            self._frames += 1
            picture = self._picture(frame, self._stream)
            self._mux(self._stream.encode(picture))

    def close(self) -> None:
        """See `Sink.close`."""
        try:
            with writing(self._path):
                self._finish()
            self._staging.check(self._path)  # if it fails, a recording is kept
            self._staging.commit()
        except BaseException:
            if not self._live:
                self.abort()
            raise

    def abort(self) -> None:
        """See `Sink.abort`."""
        self._close_muxer()
        self._staging.discard()

    def keep(self) -> Path | None:
        """Finish a live recording after an error, with what was written so far.

        Returns
        -------
        Path or None
            Path of the recording: another name if the file's own is taken meanwhile. None, and
            no file, if nothing of it can be played.
        """
        try:
            with writing(self._path):
                self._finish()
        except GreenroomError as error:  # other errors are converted to it
            logger.debug("'%s' is kept without its end: %s", self._path, error)
            self._close_muxer()
        kept = None
        if self._temporary is not None and _can_be_played(self._temporary):
            kept = self._path if self._settings.overwrite else unused_path(self._path)
            try:
                self._temporary.replace(kept)
            except OSError as error:  # a full disk may even prevent renaming
                logger.warning("'%s' could not get the name '%s': %s", self._temporary, kept, error)
                kept = self._temporary
                self._staging.leave(self._path)
        self._staging.discard()
        return kept

    def _close_muxer(self) -> None:
        """Close the files, ignoring errors."""
        if self._stream_copier is not None:
            self._stream_copier.close()
        if self._muxer is not None:
            try:
                self._muxer.close()
            except MEDIA_ERRORS as error:
                logger.debug("closing '%s': %s", self._path, error)
            self._muxer = None

    def _open(self, frame: Frame) -> VideoStream:
        kind = CONTAINERS[self._path.suffix.lower()]
        self._layout, self._alpha = frame.layout, frame.alpha is not None
        codec = choose_codec(self._path, self._settings, self._layout, alpha=self._alpha)
        size = self._encoded_size(frame, codec)
        if not self._live:  # which has to be played if it is cut off, and need not be fast
            codec = choose_encoder(codec, self._settings, size, self._layout, self._path)
        options = codec.all_options(self._settings)
        self._temporary = temporary = self._staging.add(self._path)
        for name, value in codec.environment:
            os.environ.setdefault(name, value)
        check_free_space(temporary, self._room_bytes)
        container = av.open(
            file_url(temporary),
            "w",
            format=kind.format,
            options=dict(kind.live_options if self._live else kind.options),
        )
        self._muxer = Muxer(container, temporary)
        check_fits(codec, self._path, container)
        stream = cast(
            "VideoStream",
            container.add_stream(codec.encoder, rate=self._info.rate, options=options),
        )
        self._describe(stream, codec, frame, size)
        if self._info.streams_from is not None:
            self._stream_copier = StreamCopier(
                self._info.streams_from,
                self._muxer,
                self._info,
                keep_location=self._settings.keep_location,
            )
            self._stream_copier.describe(stream)
        # Fail now, not when the encoder gives its first packet much later.
        self._muxer.begin()
        return stream

    def _describe(
        self, stream: VideoStream, codec: Codec, frame: Frame, size: tuple[int, int]
    ) -> None:
        """Set the stream's size, format, time and colour."""
        self._even = codec.even
        width, height = size
        if codec.even:
            if width % 2 or height % 2:
                logger.warning(
                    "output '%s': %dx%d is made even by repeating the last column or row",
                    self._path,
                    width,
                    height,
                )
            width, height = width + width % 2, height + height % 2
        stream.width, stream.height = width, height
        stream.pix_fmt = codec.pixel_format(frame.layout, alpha=self._alpha)
        stream.codec_context.time_base = frame.time_base or self._info.time_base
        if self._square is None:
            stream.codec_context.sample_aspect_ratio = self._info.sample_aspect_ratio
        stream.thread_type = "AUTO"
        # Otherwise every packet gets the average duration.
        stream.codec_context.flags |= av.codec.context.Flags.frame_duration
        self._colour = colour = codec.colour(frame.layout, stream.pix_fmt)
        stream.colorspace, stream.color_range = colour.matrix, colour.range
        stream.color_primaries, stream.color_trc = colour.primaries, colour.transfer

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

    def _picture(self, frame: Frame, stream: VideoStream) -> av.VideoFrame:
        """Convert a frame for the encoder: even size, its pixel format, increasing time."""
        if self._square is not None:
            frame = scaled_to_square_pixels(frame, self._square)
        if self._even and (frame.layout.width % 2 or frame.layout.height % 2):
            frame = padded_to_even(frame)
        if (pts := frame.pts) is not None:
            if self._last_pts is not None and pts <= self._last_pts:
                pts = self._last_pts + 1
                frame = replace(frame, pts=pts)
            self._last_pts = self._end_pts = pts
            if frame.duration:
                self._end_pts, self._lengths[pts] = pts + frame.duration, frame.duration
                if len(self._lengths) > _MAX_DURATIONS:  # an encoder that changes times
                    del self._lengths[next(iter(self._lengths))]
        picture = frame.to_av(stream.pix_fmt, self._colour)
        picture.pict_type = 0
        return picture

    def _mux(self, packets: Iterable[av.Packet[VideoStream]]) -> None:
        assert self._muxer is not None
        for packet in packets:
            if self._frames == 1:  # x265 leaves this undefined for a single picture
                packet.dts = packet.pts
            self._first = self._first or _times(packet)
            # Not every encoder passes on the durations of pictures.
            packet.duration = self._lengths.pop(packet.pts, None) or packet.duration
            if self._stream_copier is not None and packet.dts is not None:
                self._stream_copier.mux_until(packet.dts * fraction(packet.time_base))
            self._muxer.mux(packet)

    def _extend_last(self, packets: Sequence[av.Packet[VideoStream]]) -> None:
        """Set the last packet's duration in MP4 and MOV, to end with the last picture.

        Their durations are differences of decoding times, and the last packet decoded need not be
        the last one shown. If the last pictures are longer than the first, it would be decoded
        long before it is shown, and its duration, which the movie header counts from display,
        would be too long. So its decoding delay is limited to that of the first packet.
        """
        first = self._first or _times(packets[0])
        last = _times(packets[-1])
        if first and last and CONTAINERS[self._path.suffix.lower()].format in ("mp4", "mov"):
            decoded = max(last[1], last[0] - (first[0] - first[1]))
            packets[-1].dts = decoded
            length = (self._end_pts - first[0]) - (decoded - first[1])
            self._lengths[last[0]] = max(self._lengths.get(last[0], 0), length)

    def _finish(self) -> None:
        if self._stream is None or self._muxer is None:
            message = "there are no frames to write"
            raise ValueError(message)
        packets = list(self._stream.encode(None))
        if packets:
            self._extend_last(packets)
        self._mux(packets)
        if self._stream_copier is not None:
            self._stream_copier.mux_rest()
            self._stream_copier.close()
        self._muxer.close()
        self._muxer = None


def _times(packet: av.Packet[VideoStream]) -> tuple[int, int] | None:
    """Return the presentation and decoding time of a packet, or None if one is missing."""
    return None if packet.pts is None or packet.dts is None else (packet.pts, packet.dts)


def _can_be_played(path: Path) -> bool:
    """Whether at least the first frame of a video can be decoded."""
    try:
        with open_container(path) as container:
            return next(decoded(container, video_stream(container)), None) is not None
    except MEDIA_ERRORS as error:
        logger.debug("'%s' cannot be played: %s", path, error)
        return False
