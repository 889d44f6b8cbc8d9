"""Opening and decoding media with FFmpeg, for sources and backgrounds alike."""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from greenroom.frames import Frame, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from greenroom.frames import Plane

__all__ = [
    "PICTURE_SUFFIXES",
    "STDIN",
    "Orientation",
    "check_size",
    "decode_picture",
    "decoded",
    "flattened",
    "media_errors",
    "open_container",
    "open_media",
    "orientation_of",
    "oriented",
    "pictures_in",
    "reason_of",
    "why_unreadable",
]

STDIN: Final = "-"
"""The name that stands for standard input, or standard output."""

_BUFFER_BYTES: Final = 2**18
# EXIF is one segment of a JPEG, of at most 64 KiB, after few others.
_EXIF_BYTES: Final = 2**18

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def open_media(path: str | Path, *, format: str | None = None) -> InputContainer:  # noqa: A002 - the field's word
    """Open a file, a ``%04d`` pattern or standard input (``-``) that has video in it.

    Raises
    ------
    ValueError
        With a reason to be put into the caller's own error.
    """
    import av  # noqa: PLC0415 - importing greenroom stays light

    name = str(path)
    if name != STDIN and "%" not in name:
        reason = why_unreadable(Path(path))
        if reason is not None:
            raise ValueError(reason)
    stdin = _StandardInput() if name == STDIN else None
    try:
        container = open_container(stdin or _as_file(name), format)
    except (av.error.FFmpegError, OSError) as error:
        if stdin is not None:
            stdin.check()
        message = f"not an image or video that FFmpeg knows ({reason_of(error)})"
        raise ValueError(message) from error
    if stdin is not None:
        stdin.check()
    if not container.streams.video:
        container.close()
        message = "it has no video in it"
        raise ValueError(message)
    return container


def open_container(name: str | _StandardInput, format: str | None = None) -> InputContainer:  # noqa: A002
    """Open something for reading; tags that are not UTF-8 are no reason to fail."""
    import av  # noqa: PLC0415 - importing greenroom stays light

    # PyAV replaces what is not UTF-8 from 19 on, and has no option for it any more.
    lenient: Any = {}
    if int(av.__version__.partition(".")[0]) < 19:
        lenient = {"metadata_errors": "replace"}
    container: InputContainer = av.open(
        name, "r", format=format, buffer_size=_BUFFER_BYTES, **lenient
    )
    return container


class _StandardInput:
    """Standard input as FFmpeg reads it: whatever has arrived, without waiting for more.

    What a signal raises while this waits cannot pass through FFmpeg: FFmpeg is told that the
    input ends, and `check` raises it afterwards.
    """

    def __init__(self) -> None:
        self._interruption: BaseException | None = None
        self._descriptor = sys.stdin.fileno()

    def read(self, size: int) -> bytes:
        """Return what has arrived, at most ``size`` bytes; nothing at the end."""
        if self._interruption is not None:  # FFmpeg tries again at an end
            return b""
        try:
            return os.read(self._descriptor, size)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever opened it
            self._interruption = error
            return b""

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
        if path.is_file() and path.stat().st_size == 0:
            return "the file is empty"
        with path.open("rb"):
            pass
    except OSError as error:
        return str(error.strerror).lower()
    return None


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder by name, hidden files left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    )


class Orientation(NamedTuple):
    """How decoded planes are to be turned: first transposed, then mirrored."""

    transpose: bool
    flip_x: bool
    flip_y: bool


UPRIGHT: Final = Orientation(transpose=False, flip_x=False, flip_y=False)


# By the numbers of EXIF 2.3, section 4.6.5.
EXIF_ORIENTATIONS: Final = (
    UPRIGHT,
    Orientation(transpose=False, flip_x=True, flip_y=False),
    Orientation(transpose=False, flip_x=True, flip_y=True),
    Orientation(transpose=False, flip_x=False, flip_y=True),
    Orientation(transpose=True, flip_x=False, flip_y=False),
    Orientation(transpose=True, flip_x=True, flip_y=False),
    Orientation(transpose=True, flip_x=True, flip_y=True),
    Orientation(transpose=True, flip_x=False, flip_y=True),
)
_BY_DEGREES: Final = {-90: 6, 180: 3, -180: 3, 90: 8}


def orientation_of(frame: av.VideoFrame, path: Path | None = None) -> Orientation:
    """Read the rotation flag or EXIF orientation that FFmpeg found.

    It is FFmpeg's display matrix: nine 32-bit integers in native byte order, row by row,
    which take a pixel's place (x, y, 1) to where it is shown. It is the same for all frames of
    a stream, and to be read once: PyAV's view of such data and the frame hold on to each other
    until the garbage collector comes by.

    PyAV up to 18 refuses to show any of it where a kind is new to it, such as EXIF; then a
    picture's ``path`` is read, or the angle alone is taken.
    """
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        number = _BY_DEGREES.get(frame.rotation, 1)
        return EXIF_ORIENTATIONS[((path and _exif_orientation(path)) or number) - 1]
    if data is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(transpose=False, flip_x=a < 0, flip_y=d < 0)


def _exif_orientation(path: Path) -> int | None:
    """Find the orientation, 1 to 8, in a picture's EXIF: tag 0x0112 of TIFF's first directory."""
    with path.open("rb") as file:
        _, found, tiff = file.read(_EXIF_BYTES).partition(b"Exif\0\0")
    order = {b"MM\0*": ">", b"II*\0": "<"}.get(tiff[:4])
    if not found or order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, start)
        for place in range(start + 2, start + 2 + 12 * entries, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, place)
            if tag == 0x0112 and 1 <= value <= len(EXIF_ORIENTATIONS):
                return int(value)
    except struct.error:  # it ends too early
        pass
    return None


def oriented(frame: Frame, orientation: Orientation) -> Frame:
    """Turn a frame upright; a new frame in new memory unless it is upright already."""
    if orientation == UPRIGHT:
        return frame
    layout = frame.layout
    if orientation.transpose:
        layout = Layout(layout.height, layout.width, layout.format, layout.colour)
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


def flattened(frame: av.VideoFrame) -> Frame:
    """Take a decoded frame as it looks in front of black, if it has alpha."""
    if not (frame.format.has_palette or any(part.is_alpha for part in frame.format.components)):
        return Frame.from_av(frame)
    cut_out = Frame.from_av(frame.reformat(format="gbrap"))
    if cut_out.alpha is None or cut_out.alpha.min() == 255:
        return cut_out.opaque()
    coverage = cut_out.alpha.astype(np.uint16)
    planes: tuple[NDArray[np.uint8], ...] = tuple(
        ((plane * coverage + 127) // 255).astype(np.uint8) for plane in cut_out.planes
    )
    return Frame(planes, cut_out.layout).at(cut_out)


def decode_picture(path: Path, most_pixels_a_side: int) -> Frame:
    """Decode the first frame of a picture, upright, in front of black where it has alpha.

    Raises
    ------
    ValueError
        With a reason to be put into the caller's own error.
    """
    import av  # noqa: PLC0415 - importing greenroom stays light

    try:
        with open_media(path) as container:
            stream = container.streams.video[0]
            check_size(stream.width, stream.height, most_pixels_a_side)
            frame = next(decoded(container, stream), None)
    except av.error.FFmpegError as error:
        message = f"the picture is damaged ({reason_of(error)})"
        raise ValueError(message) from error
    if frame is None:
        message = "there is no picture in it"
        raise ValueError(message)
    check_size(frame.width, frame.height, most_pixels_a_side)
    upright = oriented(flattened(frame), orientation_of(frame, path))
    return replace(upright, pts=None, time_base=None, duration=None)


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


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Decode every frame of a stream in order of presentation.

    Raises
    ------
    av.error.FFmpegError
        At damage that the decoder cannot go over.
    """
    stream.thread_type = "AUTO"
    for packet in container.demux(stream):
        yield from packet.decode()


def _as_file(name: str) -> str:
    """Keep FFmpeg from reading a file's name as a protocol or a pattern."""
    return f"file:{name}"


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
