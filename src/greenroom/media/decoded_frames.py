"""Decoded frames made ours: upright, in front of black, in pixels that the engine knows."""

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
    except MEDIA_ERRORS as error:
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
