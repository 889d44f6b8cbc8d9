"""A video file, or a stream on standard input."""

from __future__ import annotations

import logging
import threading
from bisect import insort
from dataclasses import replace
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.decoding import (
    STDIN,
    UPRIGHT,
    StandardInput,
    check_size,
    flattened,
    open_media,
    orientation_of,
    oriented,
    video_stream,
)
from greenroom.errors import SourceError, TruncatedError
from greenroom.frames import Frame, fraction
from greenroom.sources.base import SourceInfo

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from greenroom.frames import Layout
    from greenroom.settings import Settings

__all__ = ["VideoSource"]

logger = logging.getLogger(__name__)

MOST_PIXELS_A_SIDE: Final = 16384
# H.264 and HEVC show pictures at most so many places from where they are decoded.
_REORDERED: Final = 16
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
        self._closed = False
        self._orientation = UPRIGHT
        self._allow_truncated = settings.allow_truncated
        try:
            self._input = StandardInput() if name == STDIN else None
            self._container = open_media(self._input or name)
        except ValueError as error:
            raise self._error(str(error)) from error
        try:
            self._stream = video_stream(self._container)
            check_size(self._stream.width, self._stream.height, MOST_PIXELS_A_SIDE)
        except ValueError as error:
            self._container.close()
            raise self._error(str(error)) from error
        self._stream.thread_type = "AUTO"
        self.info = _info(name, self._container, self._stream)
        self._decoding = self._pictures()
        try:
            self._first = self._look()
        except BaseException:
            self.close()
            if self._input is not None:
                self._input.check()
            raise

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`.

        Raises
        ------
        TruncatedError
            If the file ends early or is damaged, unless ``allow_truncated``.
        """
        with self._reading:
            if not self._closed:
                yield from self._frames()

    def rewind(self) -> bool:
        """See `Rewindable.rewind`: its decoder and its memory are used again.

        Not every container can go back to where it began, nor says so: the first frame tells.
        """
        begin = self._first_pts
        if self._input is not None or begin is None:
            return False
        import av  # noqa: PLC0415 - importing greenroom stays light

        with self._reading:
            if self._closed:
                return False
            self._decoding.close()
            self._decoding = self._pictures()
            try:
                self._container.seek(self._container.start_time or 0)
                first = next(self._decoding, None)
            except (av.error.FFmpegError, TruncatedError) as error:
                logger.debug("input '%s' is opened anew: %s", self._name, error)
                return False
            if first is None or first.pts != begin:
                return False
            self._first = first
            return True

    def _look(self) -> av.VideoFrame:
        """Decode the first frame: how it is to be turned is known only then."""
        first = next(self._decoding, None)
        if first is None:
            reason = "there are no frames in it"
            raise self._error(reason)
        self._first_pts = first.pts
        self._warn_of_hdr(first)
        self._orientation = orientation_of(first)
        if self._orientation.transpose:
            self.info = replace(self.info, sample_aspect_ratio=1 / self.info.sample_aspect_ratio)
        return first

    def _frames(self) -> Iterator[Frame]:
        """Bring every frame into the layout of the first."""
        layout: Layout | None = None
        first = [self._first]
        del self._first  # it is not needed twice
        for number, picture in enumerate(chain(first, self._decoding)):
            frame = oriented(flattened(picture, "yuv420p"), self._orientation)
            if layout is None:
                layout = frame.layout
            elif frame.layout != layout:
                frame = self._converted(frame, layout)
            yield self._timed(frame, number)

    def close(self) -> None:
        """See `Source.close`; what a thread still waits to read from is left to it."""
        self._closed = True
        if self._reading.acquire(blocking=False):
            try:
                self._decoding.close()  # which holds on to this, and with it to FFmpeg's memory
                self._container.close()
            finally:
                self._reading.release()

    def _pictures(self) -> Generator[av.VideoFrame]:
        """Decode, and find out whether something is missing."""
        import av  # noqa: PLC0415 - importing greenroom stays light

        extent = _Extent()
        try:
            for packet in self._container.demux(self._stream):
                if packet.is_corrupt:
                    self._truncated("some of its data is missing or wrong")
                extent.add(packet)
                yield from self._decoded(packet)
        except av.error.FFmpegError as error:
            self._truncated(f"reading stopped with '{error.strerror}'")
        declared_s = _declared_end_s(self._stream)
        if declared_s is not None and extent.ends_before(declared_s):
            self._truncated(
                f"it ends after {float(extent.end_s):.2f} s, where its header says "
                f"{float(declared_s):.2f} s"
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


class _Extent:
    """The time that a stream's packets span, to find out whether the last ones are missing."""

    def __init__(self) -> None:
        self._times_s: list[Fraction] = []
        self._last_s = self._gap_s = Fraction(0)
        self._duration_s = Fraction(0)

    def add(self, packet: av.Packet[VideoStream]) -> None:
        """Take a packet; they come in the order of decoding."""
        if packet.pts is None:
            return
        time_base = fraction(packet.time_base)
        insort(self._times_s, packet.pts * time_base)
        if len(self._times_s) > _REORDERED:
            time_s = self._times_s.pop(0)
            self._gap_s = max(self._gap_s, self._times_s[0] - time_s)
        if self._times_s[-1] == packet.pts * time_base:
            self._duration_s = (packet.duration or 0) * time_base

    @property
    def end_s(self) -> Fraction:
        """When the last picture ends."""
        last = self._times_s[-1] if self._times_s else Fraction(0)
        return last + (self._duration_s or self._longest_s)

    @property
    def _longest_s(self) -> Fraction:
        """How long any picture is shown."""
        gaps = [second - first for first, second in pairwise(self._times_s)]
        return max([self._gap_s, *gaps])

    def ends_before(self, declared_s: Fraction) -> bool:
        """Whether at least one picture is missing before a declared end.

        Half the longest time between two is allowed for: some files do not say how long the
        last picture is shown.
        """
        return bool(self._times_s) and self.end_s < declared_s - self._longest_s / 2


def _info(name: str, container: InputContainer, stream: VideoStream) -> SourceInfo:
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
    rate = fraction(rate)
    time_base = stream.time_base or 1 / rate
    frames = stream.frames or None
    if frames is None and container.duration:
        frames = round(container.duration / 1_000_000 * rate) or None
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
