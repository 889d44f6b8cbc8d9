"""A video file, or a stream on standard input."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.decoding import STDIN, check_size, open_media, orientation_of, oriented
from greenroom.errors import SourceError, TruncatedError
from greenroom.frames import Frame, fraction
from greenroom.sources.base import SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from greenroom.decoding import Orientation
    from greenroom.frames import Layout
    from greenroom.settings import Settings

__all__ = ["VideoSource"]

logger = logging.getLogger(__name__)

MOST_PIXELS_A_SIDE: Final = 16384
# A stream that ends this much before the end that its header names is cut off.
MISSING_S: Final = 0.5
_HDR_TRANSFERS: Final = (16, 18)


class VideoSource:
    """Decodes the video of anything that FFmpeg reads, as ``yuv420p``.

    Time stamps are kept as they are. The rotation flag is applied. A change of size in
    mid-stream is scaled to the first size. High dynamic range is tone-mapped to BT.709,
    which is logged as a warning.

    Parameters
    ----------
    name : str
        Path of a file, or ``-`` for standard input.
    settings : Settings
        ``allow_truncated`` says whether a damaged file may end early.

    Raises
    ------
    SourceError
        If it cannot be opened or has no video.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        self._name = name
        self._reading = threading.Lock()
        self._allow_truncated = settings.allow_truncated
        try:
            self._container = open_media(name)
        except ValueError as error:
            raise self._error(str(error)) from error
        try:
            self._stream = _video_stream(self._container)
            check_size(self._stream.width, self._stream.height, MOST_PIXELS_A_SIDE)
        except ValueError as error:
            self._container.close()
            raise self._error(str(error)) from error
        self.info = _info(name, self._container, self._stream)

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`.

        Raises
        ------
        TruncatedError
            If the file ends early or is damaged, unless ``allow_truncated``.
        """
        with self._reading:
            yield from self._frames()

    def _frames(self) -> Iterator[Frame]:
        """Decode every frame and bring it into the layout of the first."""
        layout: Layout | None = None
        orientation: Orientation | None = None
        number = 0
        for picture in self._pictures():
            if orientation is None:
                self._warn_of_hdr(picture)
                orientation = orientation_of(picture)
            frame = oriented(Frame.from_av(picture, "yuv420p"), orientation)
            if layout is None:
                layout = frame.layout
            elif frame.layout != layout:
                frame = self._converted(frame, layout)
            yield self._timed(frame, number)
            number += 1
        if number == 0:
            reason = "there are no frames in it"
            raise self._error(reason)

    def close(self) -> None:
        """See `Source.close`; what a thread still waits to read from is left to it."""
        if self._reading.acquire(blocking=False):
            self._container.close()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Decode, and find out whether something is missing."""
        import av  # noqa: PLC0415 - importing greenroom stays light

        self._stream.thread_type = "AUTO"
        end_s: Fraction | None = None
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:
                    self._truncated("some of its data is missing or wrong")
                if packet.pts is not None:
                    end = packet.pts + (packet.duration or 0)
                    end_s = max(end_s or Fraction(0), end * fraction(packet.time_base))
                yield from self._decoded(packet)
        except av.error.FFmpegError as error:
            self._truncated(f"reading stopped with '{error.strerror}'")
        declared_s = _declared_end_s(self._stream)
        if declared_s is not None and end_s is not None and end_s < declared_s - MISSING_S:
            self._truncated(
                f"it ends after {float(end_s):.1f} s, where its header says "
                f"{float(declared_s):.1f} s"
            )

    def _decoded(self, packet: av.Packet[VideoStream]) -> list[av.VideoFrame]:
        import av  # noqa: PLC0415

        try:
            return packet.decode()
        except av.error.InvalidDataError as error:
            self._truncated(f"a frame cannot be decoded, '{error.strerror}'")
            return []

    def _truncated(self, reason: str) -> None:
        if not self._allow_truncated:
            message = (
                f"input '{self._name}' is damaged or cut off: {reason}. To convert what can be "
                f"decoded, allow truncated input (--allow-truncated)."
            )
            raise TruncatedError(message, self._name)
        logger.warning("input '%s': %s", self._name, reason)

    def _timed(self, frame: Frame, number: int) -> Frame:
        if frame.pts is not None:
            return frame
        time_base = self.info.time_base
        return replace(frame, pts=round(number / self.info.rate / time_base), time_base=time_base)

    def _converted(self, frame: Frame, layout: Layout) -> Frame:
        if frame.size != layout.size:
            logger.warning(
                "input '%s': the size changes from %dx%d to %dx%d and is scaled back",
                self._name,
                *layout.size,
                *frame.size,
            )
        return frame.converted(layout).at(frame)

    def _warn_of_hdr(self, picture: av.VideoFrame) -> None:
        if picture.color_trc in _HDR_TRANSFERS:
            logger.warning(
                "input '%s' has a high dynamic range: it is tone-mapped to BT.709", self._name
            )

    def _error(self, reason: str) -> SourceError:
        return SourceError(f"input '{self._name}' cannot be read: {reason}.", self._name)


def _video_stream(container: InputContainer) -> VideoStream:
    """Return the first stream that moves; cover art is not meant."""
    import av  # noqa: PLC0415

    art = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    for stream in container.streams.video:
        if not stream.disposition & art:
            return stream
    message = "it has no video in it, only a cover picture"
    raise ValueError(message)


def _info(name: str, container: InputContainer, stream: VideoStream) -> SourceInfo:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
    rate = fraction(rate)
    time_base = stream.time_base or 1 / rate
    frames = stream.frames or None
    if frames is None and container.duration:
        frames = round(container.duration / 1_000_000 * rate) or None
    return SourceInfo(
        name=name,
        rate=rate,
        time_base=fraction(time_base),
        frames=frames,
        sample_aspect_ratio=fraction(stream.sample_aspect_ratio or 1),
        streams_from=None if name == STDIN else Path(name),
    )


def _declared_end_s(stream: VideoStream) -> Fraction | None:
    """Say when a stream ends according to its header, where the header speaks of the stream."""
    time_base = fraction(stream.time_base or 0)
    start_s = (stream.start_time or 0) * time_base
    if stream.duration and time_base:
        return start_s + stream.duration * time_base
    tag = stream.metadata.get("DURATION", "")
    parts = tag.split(":")
    try:
        hours, minutes, seconds = (Fraction(part) for part in parts)
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds
