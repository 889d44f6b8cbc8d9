"""Sink for video files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from greenroom.errors import GreenroomError
from greenroom.sinks.frame_encoder import FrameEncoder
from greenroom.sinks.muxer import HEADER_BYTES
from greenroom.sinks.sink import Sink
from greenroom.sinks.staging import writing
from greenroom.sinks.video_file import VideoFile

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.media.frame import Frame
    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings

__all__ = ["VideoSink"]

logger = logging.getLogger(__name__)


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
        self._file = VideoFile(path, settings, info, live=live, room_bytes=room_bytes)
        self._encoder = FrameEncoder(path, settings, info, live=live, surfaces=True)

    @property
    def encoder(self) -> str:
        """See `Sink.encoder`."""
        return "" if self._encoder.codec is None else self._encoder.codec.encoder

    @property
    def takes_surfaces(self) -> bool:
        """See `Sink.takes_surfaces`: after the first frame, which decides about the encoder."""
        return self._encoder.stream is not None and self._encoder.takes_surfaces

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        with writing(self._path):
            if self._encoder.stream is None:
                self._encoder.prepare(frame)
                self._file.open(self._encoder.add_to)
            self._file.mux(self._encoder.encode(frame))

    def close(self) -> None:
        """See `Sink.close`."""
        try:
            with writing(self._path):
                self._finish()
            self._file.commit()
        except BaseException:
            if not self._live:
                self.abort()
            raise

    def abort(self) -> None:
        """See `Sink.abort`."""
        self._file.abort()

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
            self._file.close()
        return self._file.keep()

    def _finish(self) -> None:
        last = [] if self._encoder.stream is None else self._encoder.finish()
        self._file.finish(last, self._encoder.end_pts)
