"""A video file that is written packet by packet, with the other streams of the source."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import av

from greenroom.media.decoding import MEDIA_ERRORS, decoded, open_container, video_stream
from greenroom.media.frame import fraction
from greenroom.media.paths import file_url
from greenroom.sinks.codecs import CONTAINERS, check_choice
from greenroom.sinks.encoders import check_encoder
from greenroom.sinks.muxer import HEADER_BYTES, Muxer
from greenroom.sinks.staging import Staging, check_free_space, unused_path
from greenroom.sinks.stream_copy import StreamCopier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings

    Packet = av.Packet[Any]

__all__ = ["VideoFile"]

logger = logging.getLogger(__name__)


class VideoFile:
    """An output file: it appears under its name when it is committed.

    Parameters
    ----------
    path : Path
        ``.mp4``, ``.m4v``, ``.mov``, ``.mkv`` or ``.webm``.
    settings : Settings
        Codec, whether to overwrite, and whether tags may tell the place of the recording.
    info : SourceInfo
        Facts about the source, and the file whose other streams are copied.
    live : bool
        Whether it is a live recording, which only the user may read, and which stays playable
        when it is cut off.
    room_bytes : int
        Free space needed to start a file.

    Raises
    ------
    SinkError, SettingsError
        If the file cannot be written, or the requested codec does not fit it, or needs a GPU
        that does not encode it.

    State: the open file, its last packet, and the first packet's times.
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
        # The first packet creates the file: the caller may be interrupted before it can abort.
        self._staging.check(path)
        check_choice(path, settings)
        check_encoder(settings)
        self._temporary: Path | None = None
        self._muxer: Muxer | None = None
        self._stream_copier: StreamCopier | None = None
        self._first: tuple[int, int] | None = None

    def open(self, add_video: Callable[[OutputContainer], VideoStream]) -> None:
        """Create the file under its temporary name, and write the header.

        Parameters
        ----------
        add_video : callable
            Adds the stream of the video to the container.
        """
        kind = CONTAINERS[self._path.suffix.lower()]
        self._temporary = temporary = self._staging.add(self._path)
        check_free_space(temporary, self._room_bytes)
        container = av.open(
            file_url(temporary),
            "w",
            format=kind.format,
            options=dict(kind.live_options if self._live else kind.options),
        )
        self._muxer = Muxer(container, temporary)
        stream = add_video(container)
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

    def mux(self, packets: Iterable[Packet]) -> None:
        """Write packets of the video, in decoding order, and those of other streams before."""
        assert self._muxer is not None
        for packet in packets:
            self._first = self._first or _times(packet)
            if self._stream_copier is not None and packet.dts is not None:
                self._stream_copier.mux_until(packet.dts * fraction(packet.time_base))
            self._muxer.mux(packet)

    def finish(self, last: list[Packet], end_pts: int) -> None:
        """Write the last packets, the rest of the other streams, and the trailer.

        Parameters
        ----------
        last : list of av.Packet
            The last packets of the video; may be empty.
        end_pts : int
            End of the last picture, in units of the packets' time base.
        """
        if self._muxer is None:
            message = "there are no frames to write"
            raise ValueError(message)
        if last:
            self._extend(last, end_pts)
        self.mux(last)
        if self._stream_copier is not None:
            self._stream_copier.mux_rest()
            self._stream_copier.close()
        self._muxer.close()
        self._muxer = None

    def commit(self) -> None:
        """Give the finished file its name.

        Raises
        ------
        SinkError
            If that fails. A live recording can still be kept.
        """
        self._staging.check(self._path)
        self._staging.commit()

    def abort(self) -> None:
        """Leave nothing behind."""
        self.close()
        self._staging.discard()

    def close(self) -> None:
        """Close the files, ignoring errors."""
        if self._stream_copier is not None:
            self._stream_copier.close()
        if self._muxer is not None:
            try:
                self._muxer.close()
            except MEDIA_ERRORS as error:
                logger.debug("closing '%s': %s", self._path, error)
            self._muxer = None

    def keep(self) -> Path | None:
        """Give a live recording a name after an error, with what was written so far.

        Returns
        -------
        Path or None
            Path of the recording: another name if the file's own is taken meanwhile. None, and
            no file, if nothing of it can be played.
        """
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

    def _extend(self, packets: list[Packet], end_pts: int) -> None:
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
            length = (end_pts - first[0]) - (decoded - first[1])
            packets[-1].duration = max(packets[-1].duration or 0, length)


def _times(packet: Packet) -> tuple[int, int] | None:
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
