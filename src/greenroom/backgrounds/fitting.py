"""Fitting a picture into a frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from greenroom.media.frame import Frame
from greenroom.settings import Fit

if TYPE_CHECKING:
    from greenroom.media.frame import Plane
    from greenroom.media.layout import Layout

__all__ = ["fitted"]


def fitted(picture: Frame, layout: Layout, fit: Fit) -> Frame:
    """Fit a picture into a layout, converting its format and colour.

    ``cover`` fills the frame and crops the rest, ``contain`` shows all of the picture
    on black, ``stretch`` ignores its proportions, ``tile`` repeats it at its own size
    from the upper left corner.

    Returns
    -------
    Frame
        Of the layout. May share memory with the picture.
    """
    if fit is Fit.STRETCH:
        return picture.converted(layout)
    if fit is Fit.TILE:
        return _tiled(picture, layout)
    if fit is Fit.CONTAIN:
        return _contained(picture, layout)
    return _covering(picture, layout)


def _covering(picture: Frame, layout: Layout) -> Frame:
    width, height = picture.size
    scale = max(layout.width / width, layout.height / height)
    kept = min(width, layout.width / scale), min(height, layout.height / scale)
    return _cut(picture, kept).converted(layout)


def _contained(picture: Frame, layout: Layout) -> Frame:
    width, height = picture.size
    scale = min(layout.width / width, layout.height / height)
    inner = replace(
        layout,
        width=_even(width * scale, layout.width),
        height=_even(height * scale, layout.height),
    )
    result = Frame.filled(layout, (0, 0, 0))
    left, top = _even_offset(layout.width - inner.width), _even_offset(layout.height - inner.height)
    scaled = picture.converted(inner)
    for target, plane in zip(result.planes, scaled.planes, strict=True):
        x, y = _place(left, top, target, layout)
        target[y : y + plane.shape[0], x : x + plane.shape[1]] = plane
    return result


def _tiled(picture: Frame, layout: Layout) -> Frame:
    width, height = picture.size
    own = replace(layout, width=_even(width, 1 << 16), height=_even(height, 1 << 16))
    tile = picture.converted(own)
    result = Frame.empty(layout)
    for target, plane in zip(result.planes, tile.planes, strict=True):
        rows = -(-target.shape[0] // plane.shape[0])
        columns = -(-target.shape[1] // plane.shape[1])
        target[:] = np.tile(plane, (rows, columns))[: target.shape[0], : target.shape[1]]
    return result


def _cut(picture: Frame, size: tuple[float, float]) -> Frame:
    """Cut the middle out of a picture, at even places so that chroma stays where it is."""
    width, height = (max(1, round(length)) for length in size)
    if (width, height) == picture.size:
        return picture
    left = _even_offset(picture.layout.width - width)
    top = _even_offset(picture.layout.height - height)
    layout = replace(picture.layout, width=width, height=height)

    def part(plane: Plane, shape: tuple[int, int]) -> Plane:
        x, y = _place(left, top, plane, picture.layout)
        return plane[y : y + shape[0], x : x + shape[1]]

    planes = tuple(
        part(plane, shape) for plane, shape in zip(picture.planes, layout.plane_shapes, strict=True)
    )
    return Frame(planes, layout)


def _place(left: int, top: int, plane: Plane, layout: Layout) -> tuple[int, int]:
    """Convert an even offset in a frame to an offset in one of its planes."""
    if plane.shape == layout.plane_shapes[0]:
        return left, top
    return left // 2, top // 2


def _even_offset(length: int) -> int:
    """Half of a length, rounded down to an even number."""
    return length // 4 * 2


def _even(length: float, most: int) -> int:
    """Round to an even number from 2 on, or to all there is."""
    return min(most, max(2, round(length / 2) * 2))
