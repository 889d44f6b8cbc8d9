"""Video files, and video on standard input, as a source."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av

from greenroom.cuda.surfaces import SURFACE_FORMATS
from greenroom.errors import SourceError, TruncatedError
from greenroom.media.decoded_frames import UPRIGHT, flattened, orientation_of, oriented
from greenroom.media.decoders import Decoder
from greenroom.media.decoding import (
    STDIN,
    StandardInput,
    check_size,
    open_media,
    stream_choice,
    video_stream,
)
from greenroom.media.deinterlacing import Deinterlacer
from greenroom.media.frame import Frame, fraction
from greenroom.media.gpu_decoder import GpuDecoder
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.media.source_info import SourceInfo
from greenroom.media.surface_frame import SurfaceFrame, downloaded, surface_format
from greenroom.media.timeline import DecodingTimes, browser_duration_s, start_time_s
from greenroom.sources.frame_durations import seconds_of, with_durations
from greenroom.sources.source import Source
from greenroom.sources.video_packets import VideoPackets

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from greenroom.media.layout import Layout
    from greenroom.settings import Settings
    from greenroom.sources.video_packets import PacketPlace

__all__ = ["VideoSource"]

logger = logging.getLogger(__name__)

_HDR_TRANSFERS: Final = (16, 18)


class VideoSource(Source):
    """Decodes the video of anything that FFmpeg reads, as ``yuv420p``.

    The first picture or sound is at 0, as `greenroom.media.timeline.start_time_s` finds it; other
    than that time stamps are kept, and the last picture is shown for as long as the file says. The
    rotation flag is applied. A change of size in mid-stream is scaled to the first size. High
    dynamic range is tone-mapped to BT.709, the default one of several streams is taken, and
    interlaced video is deinterlaced, each of which is logged as a warning.

    Parameters
    ----------
    name : str
        Path of a file, or ``-`` for standard input.
    settings : Settings
        ``allow_truncated`` says whether a damaged file may end early, ``keep_interlaced``
        whether interlaced video stays so, and ``device`` whether a GPU may decode.

    Raises
    ------
    SourceError
        If it cannot be opened or has no video.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._reading = threading.Lock()
        self._closed = False
        self._orientation = UPRIGHT
        self._is_read = False
        self._layout: Layout | None = None
        self._found: list[str] = []
        self._said: set[str] = set()
        self._decoded_in = ""  # once it is closed
        self._allow_truncated = settings.allow_truncated
        try:
            self._input = StandardInput() if name == STDIN else None
            self._container = open_media(self._input or name)
        except ValueError as error:
            raise self._error(str(error)) from error
        try:
            self._stream = video_stream(self._container)
            check_size(self._stream.width, self._stream.height, MAX_SIDE_PX)
            self._uses_gpu = settings.device.is_nvidia and self._input is None
            self._keeps_fields = settings.keep_interlaced
            self._decoder = self._new_decoder()
        except ValueError as error:
            self._container.close()
            raise self._error(str(error)) from error
        self._warn_of_choice()
        self.info = _info(name, self._container, self._stream)
        self._decoding = self._pictures()
        try:
            self._first = self._decode_first()
        except BaseException:
            self.close()
            if self._input is not None:
                self._input.check()
            raise

    @property
    def decoder(self) -> str:
        """See `Source.decoder`."""
        decoder: Decoder | None = vars(self).get("_decoder")
        return self._decoded_in if decoder is None else decoder.places

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`.

        Raises
        ------
        TruncatedError
            If the file ends early or is damaged, unless ``allow_truncated``.
        """
        with self._reading:
            if not self._closed:
                self._log_found()
                # Standard input may be live, so no frame of it is delayed.
                frames = self._frames()
                if self._input is None:
                    frames = with_durations(frames, self._end_of_last)
                yield from frames

    def rewind(self) -> bool:
        """See `Source.rewind`: the decoder and its memory are reused.

        Not every container can seek to its start, or reports that it cannot: the time stamp of
        the first frame shows it.
        """
        begin = self._first_pts
        if self._input is not None or begin is None:
            return False
        with self._reading:
            if self._closed:
                return False
            self._decoding.close()
            self._decoding = self._pictures()
            try:
                self._container.seek(self._container.start_time or 0)
                self._decoder.restart()
                first = next(self._decoding, None)
            except (av.error.FFmpegError, TruncatedError) as error:
                logger.debug("input '%s' is opened anew: %s", self._name, error)
                return False
            if first is None or first.pts != begin:
                return False
            self._first = first
            return True

    def begin_at(self, place: PacketPlace) -> None:
        """Decode from a packet on, instead of from the first; before the first iteration.

        The first frame still decides about start time, layout and rotation.

        Parameters
        ----------
        place : PacketPlace
            A key frame, after which no picture depends on one before it, except for leading
            ones, which are decoded after and shown before it: these are left out.
        """
        with self._reading:
            self._layout = self.layout
            del self._first
            self._decoding.close()
            self._decoding = self._pictures_from(place)

    def packets(self) -> Iterator[av.Packet[VideoStream]]:
        """Yield the packets of the video, from the first on, without decoding them.

        Instead of the frames, and once. Times are those of the frames plus the start
        (``info.begin_s``).

        Raises
        ------
        TruncatedError
            As in `__iter__`, except for damage that only a decoder notices.
        """
        with self._reading:
            self._log_found()
            self._decoding.close()
            self._reopen()
            packets = self._begin()
            try:
                yield from packets
            except av.error.FFmpegError as error:
                self._stopped(error)
            packets.check_end()

    @property
    def layout(self) -> Layout:
        """Layout of all frames; before the first iteration."""
        return self._upright(self._first).layout

    @property
    def container_format(self) -> str:
        """FFmpeg's name of the file's format."""
        return self._container.format.name

    def _new_decoder(self) -> Decoder:
        """Return a decoder. Standard input may be live: no frame of it waits for a comparison."""
        shown = None if self._keeps_fields else Deinterlacer(self._warn_of_fields)
        if self._uses_gpu:
            return GpuDecoder(self._stream, shown, self._name)
        return Decoder(self._stream, shown)

    def _decode_first(self) -> av.VideoFrame:
        """Decode the first frame, which holds the rotation and the start time."""
        first = next(self._decoding, None)
        if first is None:
            reason = "there are no frames in it"
            raise self._error(reason)
        self._first_pts = first.pts
        self._begin_s = start_time_s(
            self._container,
            self._stream,
            first,
            with_sound=self.info.streams_from is not None,
        )
        self.info = replace(self.info, begin_s=self._begin_s)
        self._warn_of_hdr(first)
        try:
            self._orientation = orientation_of(first)
        except ValueError as error:
            raise self._error(str(error)) from error
        if self._orientation.transpose:
            self.info = replace(self.info, sample_aspect_ratio=1 / self.info.sample_aspect_ratio)
        return first

    def _frames(self) -> Iterator[Frame]:
        """Yield every frame in the layout of the first."""
        layout = self._layout
        first = [self._first] if hasattr(self, "_first") else []
        vars(self).pop("_first", None)  # frees it
        for number, picture in enumerate(chain(first, self._decoding)):
            frame = self._upright(picture)
            if layout is None:
                layout = frame.layout
            elif frame.layout != layout:
                frame = self._converted(frame, layout)
            yield self._timed(frame, number)

    def _upright(self, picture: av.VideoFrame) -> Frame:
        if self._orientation == UPRIGHT and surface_format(picture) in SURFACE_FORMATS:
            return SurfaceFrame.of(picture)
        try:
            return oriented(flattened(downloaded(picture), "yuv420p"), self._orientation)
        except ValueError as error:  # a pixel format that appears in mid-stream
            raise self._error(str(error)) from error

    def _end_of_last(self, last: Frame) -> Fraction | None:
        """Return when the last frame ends, which the container may have rounded to its ticks."""
        begin_s = seconds_of(last)
        length_s = (last.duration or 0) * (last.time_base or Fraction(0))
        end_s = self._packets.extents.last_end_s(begin_s + self._begin_s, length_s)
        if end_s is None:
            return None
        usual_s, length_s = 1 / self.info.rate, end_s - self._begin_s - begin_s
        is_usual = bool(last.time_base) and abs(length_s - usual_s) < (last.time_base or 0)
        return begin_s + (usual_s if is_usual else length_s)

    def close(self) -> None:
        """See `Source.close`; while a thread is reading, the file stays open."""
        self._closed = True
        if self._reading.acquire(blocking=False):
            try:
                self._decoding.close()  # it refers to self, and so to FFmpeg's memory,
                self._container.close()
            finally:
                self._decoded_in = self.decoder
                vars(self).pop("_decoder", None)  # as does the decoder's deinterlacer
                vars(self).pop("_first", None)
                vars(self).pop("_packets", None)  # whose callbacks refer to self
                self._reading.release()

    def _pictures(self) -> Generator[av.VideoFrame]:
        """Decode the video, and check whether any of it is missing."""
        packets = self._begin()
        yield from self._decoded_all(iter(packets))

    def _pictures_from(self, place: PacketPlace) -> Generator[av.VideoFrame]:
        """Decode the video from a packet on: after a seek, or after reading all before it."""
        packets = self._begin()
        try:
            found = packets.sought(place)
        except av.error.FFmpegError as error:
            logger.debug("input '%s' is read from its start: %s", self._name, error)
            found = None
        if found is None:
            self._reopen()
            found = islice(self._begin(), place.number, None)
        self._decoder.restart()
        first = place.pts
        yield from self._decoded_all(
            one for one in found if one.pts is None or first is None or one.pts >= first
        )

    def _begin(self) -> VideoPackets:
        """Begin to read the file."""
        self._times = DecodingTimes(self._container)
        self._packets = VideoPackets(
            self._container,
            self._stream,
            next(iter(self.info.files), None),
            on_damage=self._truncated,
            on_joined=self._warn_of_joining,
        )
        return self._packets

    def _reopen(self) -> None:
        """Open the file anew, as not every container can seek to its start."""
        self._container.close()
        try:
            self._container = open_media(self._name)
            self._stream = video_stream(self._container)
        except ValueError as error:
            raise self._error(str(error)) from error
        self._decoder = self._new_decoder()

    def _decoded_all(self, packets: Iterator[av.Packet[VideoStream]]) -> Iterator[av.VideoFrame]:
        """Decode packets, and check after the last one whether any are missing."""
        try:
            for packet in packets:
                yield from self._decoded(packet)
        except av.error.FFmpegError as error:
            self._stopped(error)
            yield from self._decoder.finish()
        self._packets.check_end()

    def _stopped(self, error: av.error.FFmpegError) -> None:
        self._truncated(f"reading stopped with '{error.strerror}'")

    def _decoded(self, packet: av.Packet[VideoStream]) -> list[av.VideoFrame]:
        try:
            self._times.see(packet)
            pictures = self._decoder.decode(packet)
        except av.error.InvalidDataError as error:
            self._truncated(f"a frame cannot be decoded, '{error.strerror}'")
            return []
        for picture in pictures:
            self._times.date(picture)
        return pictures

    def _truncated(self, reason: str) -> None:
        if not self._allow_truncated:
            message = (
                f"input '{self._name}' is damaged or cut off: {reason}. To convert what can be "
                f"decoded, allow truncated input (--allow-truncated)."
            )
            raise TruncatedError(message, self._name)
        self._warn(f"input '{self._name}': {reason}")

    def _timed(self, frame: Frame, number: int) -> Frame:
        time_base = self.info.time_base
        if frame.pts is not None:
            pts = frame.pts - round(self._begin_s / (frame.time_base or time_base))
            return frame.shown_at(pts, frame.time_base, frame.duration)
        pts = round(number / self.info.rate / time_base)
        return frame.shown_at(pts, time_base, frame.duration)

    def _converted(self, frame: Frame, layout: Layout) -> Frame:
        if frame.size != layout.size:
            logger.warning(
                "input '%s': the size changes from %dx%d to %dx%d and is scaled back",
                self._name,
                *layout.size,
                *frame.size,
            )
        return frame.converted(layout).at(frame)

    def _warn_of_choice(self) -> None:
        choice = stream_choice(self._container, self._stream)
        if choice is not None:
            self._warn(f"input '{self._name}': {choice}")

    def _warn_of_hdr(self, picture: av.VideoFrame) -> None:
        if picture.color_trc in _HDR_TRANSFERS:
            self._warn(
                f"input '{self._name}' has a high dynamic range: it is tone-mapped to BT.709"
            )

    def _warn_of_joining(self, before: int) -> None:
        self._warn_once(
            f"input '{self._name}' begins in the middle of a broadcast: its first "
            f"{before} pictures cannot be decoded and are left out"
        )

    def _warn_of_fields(self) -> None:
        self._warn_once(f"input '{self._name}' is interlaced: it is deinterlaced")

    def _warn(self, message: str) -> None:
        """Log a warning; those found at opening are logged when iteration starts."""
        if self._is_read:
            logger.warning(message)
        else:
            self._found.append(message)

    def _warn_once(self, message: str) -> None:
        """Log a warning, unless it was found before the file was opened anew."""
        if message not in self._said:
            self._said.add(message)
            self._warn(message)

    def _log_found(self) -> None:
        self._is_read = True
        for message in self._found:
            logger.warning(message)
        self._found.clear()

    def _error(self, reason: str) -> SourceError:
        return SourceError(f"input '{self._name}' cannot be read: {reason}.", self._name)


def _info(name: str, container: InputContainer, stream: VideoStream) -> SourceInfo:
    rate = _rate(stream)
    time_base = stream.time_base or 1 / rate
    frames = stream.frames or None
    if frames is None and container.duration:
        frames = round(container.duration / 1_000_000 * rate) or None
    if container.format.name == "gif":
        rate = 1 / browser_duration_s(1 / rate)
    is_file = name != STDIN and Path(name).is_file()  # which can be opened a second time
    return SourceInfo(
        name=name,
        rate=rate,
        time_base=fraction(time_base),
        frames=frames,
        sample_aspect_ratio=fraction(stream.sample_aspect_ratio or 1),
        files=(Path(name),) if is_file else (),
        streams_from=Path(name) if is_file else None,
    )


def _rate(stream: VideoStream) -> Fraction:
    """Return the average frame rate of a stream, or FFmpeg's guess."""
    average, guessed = stream.average_rate, stream.guessed_rate
    if average and guessed and fraction(average) * fraction(stream.time_base or 0) == 1:
        average = guessed  # DV: the average counts ticks
    return fraction(average or guessed or stream.base_rate or 25)
