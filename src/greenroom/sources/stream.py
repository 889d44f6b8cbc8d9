"""Network streams and FFmpeg's test pictures as sources."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import av

from greenroom.errors import (
    CameraError,
    CameraForbiddenError,
    CameraFormatError,
    CameraMissingError,
)
from greenroom.media.decoding import reason_of
from greenroom.media.demuxers import forbidden_filter, stream_options
from greenroom.sources.live_decoder import LiveDecoder, LiveInput
from greenroom.sources.realtime import RealTimeSource
from greenroom.specs import SOURCE_KINDS

if TYPE_CHECKING:
    from greenroom.media.clock import Clock
    from greenroom.settings import Settings
    from greenroom.sources.source import Source

__all__ = ["stream_source", "test_source"]


# Timeout for opening, and time without a frame after which a stream counts as lost.
_OPEN_S: Final = 10.0
_SILENCE_S: Final = 5.0
_OPTIONS: Final = {
    # Probe at most a second or a megabyte before the first frame.
    "analyzeduration": "1000000",
    "probesize": "1000000",
    "fpsprobesize": "0",
}
_RTSP: Final = {"rtsp_flags": "prefer_tcp", "reorder_queue_size": "16"}


def stream_source(address: str, settings: Settings, clock: Clock) -> Source:
    """Open a stream; stored videos on a server are played in real time.

    Raises
    ------
    CameraError
        The subclass says why it cannot be opened.
    """
    name = f"stream '{_without_password(address)}'"
    scheme = "file" if _is_sdp_file(address) else address.partition(":")[0]
    options = _OPTIONS | stream_options(scheme)
    if address.lower().startswith("rtsp"):
        options |= _RTSP
    target = address
    if _is_sdp_file(address):
        target = f"file:{address}"
    asked = LiveInput(
        name,
        target,
        options=options,
        open_s=_OPEN_S,
        silence_s=_SILENCE_S,
        keeps_interlaced=settings.keep_interlaced,
    )

    def opened(*, keeps_time: bool = False) -> LiveDecoder:
        return LiveDecoder(
            asked, clock, lambda error: _stream_error(error, name, address), keeps_time=keeps_time
        )

    source = opened()
    if not (source.is_finite or source.is_segmented):
        return source
    source.close()
    return RealTimeSource(lambda: opened(keeps_time=True), clock, loop=settings.loop)


def test_source(name: str, clock: Clock) -> RealTimeSource:
    """Play test pictures that FFmpeg draws, such as ``lavfi:testsrc2=size=1280x720:rate=30``.

    Raises
    ------
    CameraError
        If FFmpeg does not understand it, or a filter could read files.
    """
    graph = name.partition(":")[2]
    reaching = forbidden_filter(graph)
    if reaching is not None:
        message = (
            f"test picture '{graph}' is not drawn: the filter '{reaching}' is not known, or could "
            "read files. Such as: lavfi:testsrc2=size=1280x720:rate=30"
        )
        raise CameraFormatError(message, name)
    asked = LiveInput(f"test picture '{graph}'", graph, format="lavfi")

    def explain(error: Exception) -> CameraError:
        message = (
            f"test picture '{graph}' is not known to FFmpeg: {reason_of(error)}. Such as: "
            "lavfi:testsrc2=size=1280x720:rate=30"
        )
        return CameraFormatError(message, name)

    return RealTimeSource(
        lambda: LiveDecoder(asked, clock, explain, keeps_time=True), clock, loop=False
    )


def _is_sdp_file(name: str) -> bool:
    return name.lower().endswith(SOURCE_KINDS["stream"].suffix) and Path(name).is_file()


def _without_password(address: str) -> str:
    """Return an address without user name and password, for messages.

    Raises
    ------
    CameraFormatError
        If it is not an address; the message does not repeat it.
    """
    try:
        parts = urlsplit(address)
    except ValueError as error:
        message = (
            f"what begins with '{address.partition(':')[0]}:' is no address: {error}. Such as: "
            f"rtsp://192.168.1.20:554/stream1"
        )
        raise CameraFormatError(message, "") from error
    if "@" not in parts.netloc:
        return address
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host))


def _stream_error(error: Exception, name: str, address: str) -> CameraError:
    """Make the error for a stream that could not be opened."""
    shown = _without_password(address)
    if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
        message = (
            f"{name} asks for a name and a password that are right. Put them into the address: "
            f"{re.sub('//', '//NAME:PASSWORD@', shown, count=1)}"
        )
        return CameraForbiddenError(message, shown)
    if isinstance(error, av.error.HTTPNotFoundError):
        message = f"{name} is not on that server. See what address the camera's own page tells."
        return CameraMissingError(message, shown)
    if isinstance(error, ValueError) and not isinstance(error, av.error.FFmpegError):
        message = f"{name} cannot be shown: {error}. Give the address of a stream with video in it."
        return CameraFormatError(message, shown)
    if isinstance(error, av.error.InvalidDataError | av.error.ArgumentError):
        message = f"{name} is nothing that FFmpeg knows as video. Is it the address of a web page?"
        return CameraFormatError(message, shown)
    reason = reason_of(error)
    if isinstance(error, av.error.ExitError):
        reason = f"nothing came for {_OPEN_S:g} s"
    elif getattr(error, "errno", None) == errno.EIO:  # FFmpeg's only sign of an unknown host name
        reason = "the name is not known, or what it sends is no video"
    message = (
        f"{name} cannot be reached: {reason}. See whether its address and port are right and the "
        "camera is on."
    )
    return CameraMissingError(message, shown)
