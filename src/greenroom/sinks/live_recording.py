"""A recording of what is sent live, as a video with the times at which it was sent."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.errors import SinkError
from greenroom.sinks.packing import flattened
from greenroom.sinks.video import VideoSink
from greenroom.sources.base import SourceInfo

if TYPE_CHECKING:
    from greenroom.frames import Frame
    from greenroom.settings import Settings

__all__ = ["RecordingSink"]

logger = logging.getLogger(__name__)

# Live frames are stamped in microseconds, of the monotonic clock.
_TIME_BASE: Final = Fraction(1, 1_000_000)


class RecordingSink:
    """Writes what is sent into a video file of variable frame rate that begins at 0.

    Frames that come again, as a sink of a constant rate gets them, are left out: the one before
    is shown until the next. The file has its name once it is closed, so a recording that was cut
    off by a crash leaves no broken file under it. When it cannot be written any longer, as on a
    full disk, it is closed with what is there, and goes on in another file, ``NAME-2`` and so on.

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
        self._kept: list[Path] = []
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
            frame = flattened(frame)
        pts = round((time - self._first) / _TIME_BASE)
        try:
            self._sink.write(frame.shown_at(pts, _TIME_BASE, round(self._frame_s / _TIME_BASE)))
        except SinkError as error:
            if not self._keep():
                raise
            message = f"{error} What was recorded until then is in '{self.device}'."
            raise SinkError(message, self._path) from error
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
        sink.close()

    def abort(self) -> None:
        """See `Sink.abort`. The next frame begins the recording again."""
        sink = self._sink
        self._forget()
        if sink is not None:
            sink.abort()

    def readers(self) -> int | None:
        """See `LiveSink.readers`: a recording always wants frames."""
        return None

    def _create(self) -> VideoSink:
        path = self._path
        while path in self._kept:
            path = self._path.with_stem(f"{self._path.stem}-{len(self._kept) + 1}")
        self.device = str(path)
        return VideoSink(path, self._settings, self._info, live=True)

    def _keep(self) -> bool:
        """Close the file with what is in it; tell whether that is anything."""
        sink = self._sink
        self._forget()
        if sink is None or not sink.keep():
            return False
        self._kept.append(Path(self.device))
        return True

    def _forget(self) -> None:
        self._sink = self._first = self._last = None
