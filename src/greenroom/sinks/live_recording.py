"""Recording of the live output as a video of variable frame rate."""

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

# Live frames have time stamps in microseconds of the monotonic clock.
_TIME_BASE: Final = Fraction(1, 1_000_000)
# After an error another file is started only with this much free space, or half the largest kept
# file, whichever is less: a disk that stays full does not fill with small files.
_RESTART_BYTES: Final = 4 << 20


class RecordingSink(LiveSink):
    """Writes the live output to a video file of variable frame rate that begins at 0.

    Repeated frames are skipped: the one before is shown until the next. The file gets its name
    when it is closed, so a crash leaves no broken file under that name. Only the user may read
    it. After an error, as on a full disk, the file is closed with what was recorded, and the
    recording continues in another one, ``NAME-2`` or the next unused name, once there is space.

    Parameters
    ----------
    path : Path
        ``.mp4``, ``.m4v``, ``.mov``, ``.mkv`` or ``.webm``.
    settings : Settings
        Codec, quality, preset and whether to overwrite.
    rate : Fraction
        Expected frames a second; the last frame is shown for one period.

    Raises
    ------
    SinkError, ExistsError
        If the file cannot be written.
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

        A recording whose first frame was opaque stays opaque: later transparent frames are
        composited over the cover's colour, as for a device.

        Raises
        ------
        SettingsError
            If the first frame has alpha and the file cannot carry it.
        SinkError
            If it cannot be written; the message names the file that was kept.
        """
        if frame.pts is None or frame.time_base is None:
            return  # without a time stamp it cannot be placed
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
        """See `Sink.close`. Without frames there is no file."""
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
        """See `Sink.abort`: what was recorded is kept.

        The next frame starts another recording.
        """
        with suppress(SinkError):
            self._keep()

    def readers(self) -> int | None:
        """See `LiveSink.readers`: a recording always wants frames."""
        return None

    def _create(self) -> VideoSink:
        path, settings = self._path, self._settings
        if self._has_kept:  # the kept file must not be replaced
            path, settings = unused_path(path), settings.changed(overwrite=False)
        self.device = str(path)
        room_bytes = max(HEADER_BYTES, min(_RESTART_BYTES, self._largest_bytes // 2))
        return VideoSink(path, settings, self._info, live=True, room_bytes=room_bytes)

    def _keep(self, error: SinkError | None = None) -> None:
        """Close and keep the file; raise the error, if any, with its name.

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
    except OSError:  # the user may have moved it to free space
        return 0
