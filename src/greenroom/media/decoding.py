"""Opening and decoding media with FFmpeg, for sources and backgrounds alike."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av

from greenroom.media.decoders import Decoder
from greenroom.media.demuxers import FILE_OPTIONS, HEAD_BYTES, PIPE_OPTIONS, list_kind
from greenroom.media.paths import file_url, unreadable_reason
from greenroom.media.timeline import with_browser_durations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from greenroom.media.deinterlacing import Deinterlacer

__all__ = [
    "MEDIA_ERRORS",
    "STDIN",
    "StandardInput",
    "check_size",
    "decoded",
    "open_container",
    "open_media",
    "reason_of",
    "stream_choice",
    "video_stream",
]

STDIN: Final = "-"
"""Name of standard input and standard output on the command line."""

# FFmpeg's errors are not all an OSError or a ValueError.
MEDIA_ERRORS: Final = (OSError, ValueError, av.error.FFmpegError)
"""The exceptions that reading or writing media may raise."""

_BUFFER_BYTES: Final = 2**18


def open_media(media: str | Path | StandardInput) -> InputContainer:
    """Open a file or standard input and check that it contains video.

    Raises
    ------
    ValueError
        The message is a reason for the caller's own error.
    """
    if not isinstance(media, StandardInput):
        reason = unreadable_reason(Path(media))
        if reason is not None:
            raise ValueError(reason)
    try:
        container = open_container(media)
    except (av.error.FFmpegError, OSError) as error:
        if isinstance(media, StandardInput):
            media.check()
        raise ValueError(_why_not_opened(media, error)) from error
    try:
        video_stream(container)
    except ValueError:
        container.close()
        raise
    return container


def _why_not_opened(media: str | Path | StandardInput, error: Exception) -> str:
    kind = list_kind(_head_of(media))
    if kind is not None:
        return (
            f"it is {kind}, which names other files or addresses, and these are not opened; give "
            f"the video itself"
        )
    if getattr(error, "errno", None) == errno.EINVAL:  # a demuxer that is not on the list
        return "not an image or video of a kind that is taken; MP4 or Matroska, for example, are"
    return f"not an image or video that FFmpeg knows ({reason_of(error)})"


def _head_of(media: str | Path | StandardInput) -> bytes:
    if isinstance(media, StandardInput):
        return media.head
    if not Path(media).is_file():  # reading a named pipe would block, and consume it
        return b""
    with Path(media).open("rb") as file:
        return file.read(HEAD_BYTES)


def video_stream(container: InputContainer) -> VideoStream:
    """Select the default video stream among those that can be decoded.

    Without a default flag it is the first one. Cover art is ignored.

    Raises
    ------
    ValueError
        The message is a reason for the caller's own error.
    """
    streams = _video_streams(container)
    default = av.stream.Disposition.default
    return next((stream for stream in streams if stream.disposition & default), streams[0])


def stream_choice(container: InputContainer, stream: VideoStream) -> str | None:
    """Describe which of several video streams is used; None if there is only one."""
    streams = _video_streams(container)
    if len(streams) == 1:
        return None
    return f"it has {len(streams)} videos in it: number {streams.index(stream) + 1} is taken"


def _video_streams(container: InputContainer) -> list[VideoStream]:
    art = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    reason = "it has no video in it"
    streams: list[VideoStream] = []
    for stream in container.streams.video:
        if getattr(stream, "codec_context", None) is None:
            reason = "the codec of its video is not known"
        elif stream.disposition & art:
            reason = "it has no video in it, only a cover picture"
        else:
            streams.append(stream)
    if not streams:
        raise ValueError(reason)
    return streams


def open_container(media: str | Path | StandardInput) -> InputContainer:
    """Open a file or standard input with allow-listed demuxers (`greenroom.media.demuxers`).

    Tags that are not UTF-8 are accepted.
    """
    # PyAV replaces invalid UTF-8 by itself from 19 on, and has no option for it.
    lenient: Any = {}
    if int(av.__version__.partition(".")[0]) < 19:
        lenient = {"metadata_errors": "replace"}
    is_file = not isinstance(media, StandardInput)
    opened: Any = media if isinstance(media, StandardInput) else file_url(media)
    container: InputContainer = av.open(
        opened,
        "r",
        container_options=dict(FILE_OPTIONS if is_file else PIPE_OPTIONS),
        buffer_size=_BUFFER_BYTES,
        **lenient,
    )
    return container


class StandardInput:
    """Standard input as FFmpeg reads it: whatever has arrived, without waiting for more.

    An exception of a signal handler cannot pass through FFmpeg: the input ends for FFmpeg, and
    `check` raises the exception afterwards.

    Attributes
    ----------
    head : bytes
        The first bytes of the input, up to `HEAD_BYTES`.
    """

    def __init__(self) -> None:
        if sys.stdin is None:
            message = "standard input is closed"
            raise ValueError(message)
        self._interruption: BaseException | None = None
        self._descriptor = sys.stdin.fileno()
        self.head = b""

    def read(self, size: int) -> bytes:
        """Return the bytes that have arrived, up to ``size``; empty at the end."""
        if self._interruption is not None:  # FFmpeg retries at the end
            return b""
        try:
            data = os.read(self._descriptor, size)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever opened it
            self._interruption = error
            return b""
        if len(self.head) < HEAD_BYTES:
            self.head = (self.head + data)[:HEAD_BYTES]
        return data

    def check(self) -> None:
        """Raise the exception of a signal handler, if there was one."""
        if self._interruption is not None:
            raise self._interruption


def check_size(width: int, height: int, max_side_px: int) -> None:
    """Check that a picture is not too large.

    Raises
    ------
    ValueError
        The message is a reason for the caller's own error.
    """
    if max(width, height) > max_side_px:
        message = (
            f"it is too large, {width}x{height} pixels where at most {max_side_px} a side are taken"
        )
        raise ValueError(message)


def decoded(
    container: InputContainer, stream: VideoStream, deinterlacer: Deinterlacer | None = None
) -> Iterator[av.VideoFrame]:
    """Decode all frames of a stream in order of presentation.

    Raises
    ------
    av.error.FFmpegError
        At damage that the decoder cannot skip.
    """
    decoder = Decoder(stream, deinterlacer)
    for packet in with_browser_durations(container, container.demux(stream)):
        yield from decoder.decode(packet)


def reason_of(error: Exception) -> str:
    """Return the short message of an error of FFmpeg or the operating system."""
    said: str | None = getattr(error, "strerror", None)
    return (said.lower() if said else str(error)).rstrip(".")
