"""A recording of what is sent live, as a video with the times at which it was sent."""

from __future__ import annotations

import logging
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from greenroom.errors import SinkError
from greenroom.media.source_info import SourceInfo
from greenroom.sinks.muxer import HEADER_BYTES
from greenroom.sinks.packing import over_cover_colour
from greenroom.sinks.sink import LiveSink
from greenroom.sinks.staging import unused_path
from greenroom.sinks.video_sink import VideoSink

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

__all__ = ["RecordingSink"]

logger = logging.getLogger(__name__)

# Live frames are stamped in microseconds, of the monotonic clock.
_TIME_BASE: Final = Fraction(1, 1_000_000)
# After an error another file is begun where there is room for this, or for half of the largest
# that was kept, whichever is less: a disk that stays full is not strewn with small files.
_ROOM_BYTES: Final = 4 << 20


class RecordingSink(LiveSink):
    """Writes what is sent into a video file of variable frame rate that begins at 0.

    Frames that come again, as a sink of a constant rate gets them, are left out: the one before
    is shown until the next. The file has its name once it is closed, so a recording that was cut
    off by a crash leaves no broken file under it. Only the user may read it. When it cannot be
    written any longer, as on a full disk, it is closed with what is there, and goes on in another
    file, ``NAME-2`` or the first such name that is free, once there is room for it.

    Parameters
    ----------
    path : Path
        ``.mp4``, ``.m4v``, ``.mov``, ``.mkv`` or ``.webm``.
    settings : Settings
        Codec, quality, preset and whether to overwrite.
    rate : Fraction
        Frames a second to be expected; how long the last frame is shown.

    Raises
    ------
    SinkError, ExistsError
        If there can be no such file.
    """

    paced = False
    always = True

    def __init__(self, path: Path, settings: Settings, rate: Fraction) -> None:
        self.name = f"file:{path}"
        self.device = str(path)
        self._path = path
        self._settings = settings
        self._info = SourceInfo(str(path), rate=rate, time_base=_TIME_BASE)
        self._frame_s = 1 / rate
        self._has_kept = False
        self._largest_bytes = 0  # of those that were kept
        self._sink: VideoSink | None = self._create()
        self._first: Fraction | None = None
        self._last: Fraction | None = None
        self._alpha = False

    def write(self, frame: Frame) -> None:
        """See `Sink.write`.

        A recording whose first frame was opaque stays so: what can be seen through later is put in
        front of the cover's colour, as a device would show it.

        Raises
        ------
        SettingsError
            If the first frame can be seen through and the file cannot.
        SinkError
            If it cannot be written: then it says what was kept.
        """
        if frame.pts is None or frame.time_base is None:
            return  # it is of no time, so there is none at which to show it
        time = frame.pts * frame.time_base
        if self._last is not None and time <= self._last:
            return
        if self._sink is None:
            self._sink = self._create()
        if self._first is None:
            self._first, self._alpha = time, frame.alpha is not None
        if not self._alpha:
            frame = over_cover_colour(frame)
        pts = round((time - self._first) / _TIME_BASE)
        try:
            self._sink.write(frame.shown_at(pts, _TIME_BASE, round(self._frame_s / _TIME_BASE)))
        except SinkError as error:
            self._keep(error)
        self._last = time

    def close(self) -> None:
        """See `Sink.close`. Without any frame there is no file."""
        sink, was_empty = self._sink, self._first is None
        self._forget()
        if sink is None:
            return
        if was_empty:
            logger.warning("output '%s' is not written: no frame came", self._path)
            sink.abort()
            return
        try:
            sink.close()
        except SinkError as error:
            self._sink = sink
            self._keep(error)

    def abort(self) -> None:
        """See `Sink.abort`: what was recorded is kept all the same.

        The next frame begins another recording.
        """
        with suppress(SinkError):
            self._keep()

    def readers(self) -> int | None:
        """See `LiveSink.readers`: a recording always wants frames."""
        return None

    def _create(self) -> VideoSink:
        path, settings = self._path, self._settings
        if self._has_kept:  # what is there was not meant to be replaced
            path, settings = unused_path(path), settings.changed(overwrite=False)
        self.device = str(path)
        room_bytes = max(HEADER_BYTES, min(_ROOM_BYTES, self._largest_bytes // 2))
        return VideoSink(path, settings, self._info, live=True, room_bytes=room_bytes)

    def _keep(self, error: SinkError | None = None) -> None:
        """Close the file with what is in it, and say so where an error is to be told.

        Raises
        ------
        SinkError
            The error.
        """
        sink, was_empty = self._sink, self._first is None and error is None
        self._forget()
        if sink is None:
            return
        if was_empty:
            sink.abort()
            return
        kept = sink.keep()
        if kept is not None:
            self._has_kept = True
            self._largest_bytes = max(self._largest_bytes, _size(kept))
        if error is None:
            return
        if kept is None:
            raise error
        message = f"{error} What was recorded until then is in '{kept}'."
        raise SinkError(message, self._path) from error

    def _forget(self) -> None:
        self._sink = self._first = self._last = None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # whoever frees space may have moved it already
        return 0
