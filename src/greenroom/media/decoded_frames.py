"""Decoded frames turned upright, flattened over black and converted to the engine's formats."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import av
import numpy as np

from greenroom.media.colour import LIMITED, UNSPECIFIED, Colour
from greenroom.media.decoding import MEDIA_ERRORS, reason_of
from greenroom.media.frame import ONE_THREAD, Frame
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from greenroom.media.frame import Plane
    from greenroom.media.layout import Format

__all__ = ["UPRIGHT", "Orientation", "flattened", "orientation_of", "oriented"]


class Orientation(NamedTuple):
    """Rotation of decoded planes: transposed first, then mirrored."""

    transpose: bool
    flip_x: bool
    flip_y: bool


UPRIGHT: Final = Orientation(transpose=False, flip_x=False, flip_y=False)


# FFmpeg's kinds of side data (AVFrameSideDataType): the display matrix, and an upper bound.
_DISPLAY_MATRIX: Final = 6
_SIDE_DATA_KINDS: Final = 64
# libswscale (9.5) aborts the process when it reads these.
_ABORTING_FORMATS: Final = ("yaf32be", "yaf32le")
_THUMBNAIL_PX: Final = 16


@contextmanager
def _converting(frame: av.VideoFrame) -> Iterator[None]:
    """Name the pixel format in the error when libswscale does not support it."""
    name = frame.format.name
    try:
        if name in _ABORTING_FORMATS:
            reason = "FFmpeg has no conversion"
            raise ValueError(reason)
        yield
    except MEDIA_ERRORS as error:
        message = (
            f"its pixels are of a format that cannot be converted, {name} ({reason_of(error)}); "
            f"convert it to a usual one, such as yuv420p, first"
        )
        raise ValueError(message) from error


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the rotation or mirroring in a frame's display matrix.

    FFmpeg's display matrix has nine 32-bit integers in native byte order, row by row, which map
    a pixel's position (x, y, 1) to where it is shown. It is the same for all frames of a stream
    and needs to be read only once.

    Raises
    ------
    ValueError
        As `flattened`.
    """
    data: Any = _with_display_matrix_only(frame).side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(transpose=False, flip_x=a < 0, flip_y=d < 0)


def _with_display_matrix_only(frame: av.VideoFrame) -> av.VideoFrame:
    """Return a small copy of a frame whose only side data is the display matrix.

    PyAV (18.1) frees the names of side data, such as a colour profile's, twice when `side_data`
    is read; it raises if one kind is unknown to it; and what it returns stays in memory until the
    garbage collector runs.
    """
    with _converting(frame):
        small = frame.reformat(_THUMBNAIL_PX, _THUMBNAIL_PX, "gray", threads=ONE_THREAD)
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
    """Return a frame turned upright, in new memory unless it is upright already."""
    if orientation == UPRIGHT:
        return frame
    layout = frame.layout
    if orientation.transpose:
        # The matrix that players assume depends on the size before rotation.
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


def flattened(frame: av.VideoFrame, format: Format | None = None) -> Frame:
    """Convert a decoded frame, alpha composited over black; see `Frame.from_av`.

    Raises
    ------
    ValueError
        If FFmpeg cannot convert its pixel format. The message is a reason for the caller's own
        error.
    """
    with _converting(frame):
        if not (frame.format.has_palette or any(part.is_alpha for part in frame.format.components)):
            return Frame.from_av(frame, format)
        has_rgb = frame.format.has_palette or frame.format.is_rgb
        name = "gbrap" if has_rgb else "yuva444p"
        result = _over_black(Frame.from_av(frame.reformat(format=name, threads=ONE_THREAD)))
        if format in (None, result.format):
            return result
        colour = result.layout.colour
        if has_rgb:
            colour = Colour(UNSPECIFIED, LIMITED).named(result.size)
        return result.converted(Layout(*result.size, format, colour))


def _over_black(frame: Frame) -> Frame:
    alpha = frame.alpha
    if alpha is None or alpha.min() == 255:
        return frame.opaque()
    coverage = alpha.astype(np.uint16)
    planes: list[NDArray[np.uint8]] = []
    for plane, black in zip(frame.planes, frame.layout.samples(0, 0, 0), strict=True):
        blended = (plane * coverage + np.uint16(black) * (255 - coverage) + 127) // 255
        planes.append(blended.astype(np.uint8))
    return Frame(tuple(planes), frame.layout).at(frame)
