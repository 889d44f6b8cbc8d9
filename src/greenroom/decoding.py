"""Opening and decoding media with FFmpeg, for sources and backgrounds alike."""

from __future__ import annotations

import errno
import os
import struct
import sys
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from greenroom.decoders import Decoder
from greenroom.demuxers import FILE_OPTIONS, HEAD_BYTES, PIPE_OPTIONS, names_others
from greenroom.frames import LIMITED, ONE_THREAD, UNSPECIFIED, Colour, Frame, Layout
from greenroom.timeline import with_played_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from greenroom.deinterlacing import Deinterlacer
    from greenroom.frames import Format, Plane

__all__ = [
    "STDIN",
    "UPRIGHT",
    "Orientation",
    "StandardInput",
    "as_file",
    "check_size",
    "choice_of",
    "decoded",
    "flattened",
    "media_errors",
    "open_container",
    "open_media",
    "orientation_of",
    "oriented",
    "reason_of",
    "video_stream",
    "why_unreadable",
]

STDIN: Final = "-"
"""The name that stands for standard input, or standard output."""

_BUFFER_BYTES: Final = 2**18


def open_media(media: str | Path | StandardInput) -> InputContainer:
    """Open a file or standard input that has video in it.

    Raises
    ------
    ValueError
        With a reason to be put into the caller's own error.
    """
    import av  # noqa: PLC0415 - importing greenroom stays light

    if not isinstance(media, StandardInput):
        reason = why_unreadable(Path(media))
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
    kind = names_others(_head_of(media))
    if kind is not None:
        return (
            f"it is {kind}, which names other files or addresses, and these are not opened; give "
            f"the video itself"
        )
    if getattr(error, "errno", None) == errno.EINVAL:  # what a demuxer that is not listed gives
        return "not an image or video of a kind that is taken; MP4 or Matroska, for example, are"
    return f"not an image or video that FFmpeg knows ({reason_of(error)})"


def _head_of(media: str | Path | StandardInput) -> bytes:
    if isinstance(media, StandardInput):
        return media.head
    if not Path(media).is_file():  # to look into a named pipe would wait for more of it
        return b""
    with Path(media).open("rb") as file:
        return file.read(HEAD_BYTES)


def video_stream(container: InputContainer) -> VideoStream:
    """Return the stream of video that is meant: the default one of those that can be decoded.

    If none says that it is the default one, it is the first. Cover art is not meant.

    Raises
    ------
    ValueError
        With a reason to be put into the caller's own error.
    """
    import av  # noqa: PLC0415 - importing greenroom stays light

    streams = _video_streams(container)
    default = av.stream.Disposition.default
    return next((stream for stream in streams if stream.disposition & default), streams[0])


def choice_of(container: InputContainer, stream: VideoStream) -> str | None:
    """Say which of several streams of video is taken; None if there is but one."""
    streams = _video_streams(container)
    if len(streams) == 1:
        return None
    return f"it has {len(streams)} videos in it: number {streams.index(stream) + 1} is taken"


def _video_streams(container: InputContainer) -> list[VideoStream]:
    import av  # noqa: PLC0415

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
    """Open something for reading, and nothing that it names (`greenroom.demuxers`).

    Tags that are not UTF-8 are no reason to fail.
    """
    import av  # noqa: PLC0415 - importing greenroom stays light

    # PyAV replaces what is not UTF-8 from 19 on, and has no option for it any more.
    lenient: Any = {}
    if int(av.__version__.partition(".")[0]) < 19:
        lenient = {"metadata_errors": "replace"}
    is_file = not isinstance(media, StandardInput)
    opened: Any = media if isinstance(media, StandardInput) else as_file(media)
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

    What a signal raises while this waits cannot pass through FFmpeg: FFmpeg is told that the
    input ends, and `check` raises it afterwards.

    Attributes
    ----------
    head : bytes
        How the input begins, as far as it has been read.
    """

    def __init__(self) -> None:
        if sys.stdin is None:
            message = "standard input is closed"
            raise ValueError(message)
        self._interruption: BaseException | None = None
        self._descriptor = sys.stdin.fileno()
        self.head = b""

    def read(self, size: int) -> bytes:
        """Return what has arrived, at most ``size`` bytes; nothing at the end."""
        if self._interruption is not None:  # FFmpeg tries again at an end
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
        """Raise what a signal raised."""
        if self._interruption is not None:
            raise self._interruption


def why_unreadable(path: Path) -> str | None:
    """Say why a path cannot be a readable file with something in it, if so."""
    try:
        if path.is_dir():
            return "it is a folder, where a file was expected"
        if not path.exists():
            return "there is no such file"
        if path.is_file():  # to look into a named pipe would take from what is in it
            if path.stat().st_size == 0:
                return "the file is empty"
            with path.open("rb"):
                pass
    except OSError as error:
        return str(error.strerror).lower()
    except ValueError:  # from Python, before the system is asked
        return "there is a null character in its name"
    return None


class Orientation(NamedTuple):
    """How decoded planes are to be turned: first transposed, then mirrored."""

    transpose: bool
    flip_x: bool
    flip_y: bool


UPRIGHT: Final = Orientation(transpose=False, flip_x=False, flip_y=False)


# FFmpeg numbers the kinds of what it puts beside a frame (AVFrameSideDataType): the display
# matrix, and more than there are by now.
_DISPLAY_MATRIX: Final = 6
# libswscale (9.5) ends the process when it is to read these.
_ABORTS: Final = ("yaf32be", "yaf32le")
_SIDE_DATA_KINDS: Final = 64
_GLANCE_PX: Final = 16


@contextmanager
def _converting(frame: av.VideoFrame) -> Iterator[None]:
    """Say which pixel format a frame has where libswscale does not know it."""
    name = frame.format.name
    try:
        if name in _ABORTS:
            reason = "FFmpeg has no conversion"
            raise ValueError(reason)
        yield
    except media_errors() as error:
        message = (
            f"its pixels are of a format that cannot be converted, {name} ({reason_of(error)}); "
            f"convert it to a usual one, such as yuv420p, first"
        )
        raise ValueError(message) from error


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Read the rotation flag that FFmpeg found, mirrored ones too.

    It is FFmpeg's display matrix: nine 32-bit integers in native byte order, row by row,
    which take a pixel's place (x, y, 1) to where it is shown. It is the same for all frames of
    a stream, and to be read once.

    Raises
    ------
    ValueError
        As `flattened`.
    """
    data: Any = _with_matrix_alone(frame).side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(transpose=False, flip_x=a < 0, flip_y=d < 0)


def _with_matrix_alone(frame: av.VideoFrame) -> av.VideoFrame:
    """Return a small copy of a frame, with nothing beside it but its display matrix.

    PyAV (18.1) frees the names of side data a second time, such as a colour profile's, once
    its `side_data` is asked for; it refuses to show any of it where one kind is new to it; and
    what it shows stays in memory until the garbage collector comes by.
    """
    import av  # noqa: PLC0415 - importing greenroom stays light

    with _converting(frame):
        small = frame.reformat(_GLANCE_PX, _GLANCE_PX, "gray", threads=ONE_THREAD)
    graph = av.filter.Graph()
    filters = [
        graph.add("sidedata", f"mode=delete:type={kind}")
        for kind in range(_SIDE_DATA_KINDS)
        if kind != _DISPLAY_MATRIX
    ]
    source = graph.add_buffer(
        width=small.width, height=small.height, format=small.format, time_base=Fraction(1, 25)
    )
    graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
    graph.push(small)
    glance = graph.pull()
    if not isinstance(glance, av.VideoFrame):
        message = "FFmpeg's filters gave no picture"
        raise TypeError(message)
    return glance


def oriented(frame: Frame, orientation: Orientation) -> Frame:
    """Turn a frame upright; a new frame in new memory unless it is upright already."""
    if orientation == UPRIGHT:
        return frame
    layout = frame.layout
    if orientation.transpose:
        # Which matrix players assume depends on the size before it was turned.
        colour = layout.colour.named(layout.size)
        layout = Layout(layout.height, layout.width, layout.format, colour)
    result = Frame.empty(layout, alpha=frame.alpha is not None)
    for target, plane in zip(result.all_planes, frame.all_planes, strict=True):
        target[:] = _turned(plane, orientation)
    return result.at(frame)


def _turned(plane: Plane, orientation: Orientation) -> Plane:
    if orientation.transpose:
        plane = plane.T
    if orientation.flip_x:
        plane = plane[:, ::-1]
    return plane[::-1] if orientation.flip_y else plane


def flattened(frame: av.VideoFrame, format: Format | None = None) -> Frame:  # noqa: A002 - the field's word
    """Take a decoded frame as it looks in front of black, if it has alpha; see `Frame.from_av`.

    Raises
    ------
    ValueError
        If FFmpeg does not convert its pixel format; with a reason to be put into the caller's
        own error.
    """
    with _converting(frame):
        return _flattened(frame, format)


def _flattened(frame: av.VideoFrame, format: Format | None) -> Frame:  # noqa: A002
    if not (frame.format.has_palette or any(part.is_alpha for part in frame.format.components)):
        return Frame.from_av(frame, format)
    has_rgb = frame.format.has_palette or frame.format.is_rgb
    name = "gbrap" if has_rgb else "yuva444p"
    cut_out = Frame.from_av(frame.reformat(format=name, threads=ONE_THREAD))
    result = _in_front_of_black(cut_out)
    if format in (None, result.format):
        return result
    colour = result.layout.colour
    if has_rgb:
        colour = Colour(UNSPECIFIED, LIMITED).named(result.size)
    return result.converted(Layout(*result.size, format, colour))


def _in_front_of_black(frame: Frame) -> Frame:
    alpha = frame.alpha
    if alpha is None or alpha.min() == 255:
        return frame.opaque()
    coverage = alpha.astype(np.uint16)
    planes: list[NDArray[np.uint8]] = []
    for plane, black in zip(frame.planes, frame.layout.samples(0, 0, 0), strict=True):
        blended = (plane * coverage + np.uint16(black) * (255 - coverage) + 127) // 255
        planes.append(blended.astype(np.uint8))
    return Frame(tuple(planes), frame.layout).at(frame)


def check_size(width: int, height: int, most_pixels_a_side: int) -> None:
    """Refuse pictures that are too large.

    Raises
    ------
    ValueError
        With a reason to be put into the caller's own error.
    """
    if max(width, height) > most_pixels_a_side:
        message = (
            f"it is too large, {width}x{height} pixels where at most {most_pixels_a_side} a side "
            f"are taken"
        )
        raise ValueError(message)


def decoded(
    container: InputContainer, stream: VideoStream, deinterlacer: Deinterlacer | None = None
) -> Iterator[av.VideoFrame]:
    """Decode every frame of a stream in order of presentation.

    Raises
    ------
    av.error.FFmpegError
        At damage that the decoder cannot go over.
    """
    decoder = Decoder(stream, deinterlacer)
    for packet in with_played_lengths(container, container.demux(stream)):
        yield from decoder.decode(packet)


def as_file(path: str | Path) -> str:
    """Keep FFmpeg from reading a file's name as a protocol or a pattern."""
    return f"file:{path}"


def media_errors() -> tuple[type[Exception], ...]:
    """Return what reading or writing media may raise, for an ``except`` clause.

    Not every error of FFmpeg is an OSError or a ValueError.
    """
    import av  # noqa: PLC0415 - importing greenroom stays light

    return OSError, ValueError, av.error.FFmpegError


def reason_of(error: Exception) -> str:
    """Say in a few words what FFmpeg or the operating system said."""
    said: str | None = getattr(error, "strerror", None)
    return (said.lower() if said else str(error)).rstrip(".")
