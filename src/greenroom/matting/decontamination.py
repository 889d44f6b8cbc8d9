"""Colours of the person and of the room beside soft edges, for decontamination.

Where a matte is soft, the camera's sample is a mixture ``a * person + (1 - a) * room``. Blended
over another background, it would show the old room at the edge. Both colours are estimated here
at low resolution; `greenroom.compositing.composite` separates the mixture at full resolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom import core
from greenroom.compositing.edge_colours import EdgeColours
from greenroom.cuda import calls
from greenroom.media.pyramid import halved, reduced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.media.matte import Matte

__all__ = ["edge_colours", "edge_maps"]

# Number of cells along the shorter side of a frame, at least; and the width of a cell, which is a
# power of two.
_MIN_CELLS: Final = 45
_MIN_CELL_PX: Final = 4

_edge_colours = core.function("edge_colours", "pp iii p")


def edge_colours(frame: Frame, matte: Matte) -> EdgeColours:
    """Estimate the person's and the room's colours around the edges of a matte.

    The foreground estimation of [1]_, which takes both from blurred, weighted means and then
    adds the mixture's surplus, with three changes: weights rise steeply with coverage,
    so that mixed samples hardly count; means are taken of cells, 16 pixels wide at 1080p; and
    the surplus is divided by the variance of each side's colours, as in the Bayesian matting
    of [2]_.

    Parameters
    ----------
    frame : Frame
        Read only, not kept.
    matte : Matte
        Of the frame's size.

    Returns
    -------
    EdgeColours
        In new memory. Undefined far from edges.

    References
    ----------
    .. [1] M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021.
    .. [2] Y.-Y. Chuang, B. Curless, D. H. Salesin and R. Szeliski, "A Bayesian Approach to
       Digital Matting", CVPR 2001.
    """
    width, height = frame.size
    cell_px = _MIN_CELL_PX
    while min(frame.size) >= 2 * cell_px * _MIN_CELLS:
        cell_px *= 2
    half = cell_px // 2
    rows, columns = -(-height // half), -(-width // half)
    planes = _halved_to(frame, (rows, columns))
    return EdgeColours(edge_maps(planes, matte.reduced_to((rows, columns))), cell_px)


def edge_maps(planes: NDArray[np.uint8], matte: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the maps of small planes and their matte, over cells of 2x2 samples.

    Parameters
    ----------
    planes : (n, h, w) uint8
        Contiguous. Read only.
    matte : (h, w) uint8
        Contiguous. Read only.

    Returns
    -------
    (n, 3, rows + 1, columns + 1) float32
        In new memory: see `EdgeColours`.
    """
    if calls.on_device(planes, matte):
        return calls.edge_maps(planes, matte)  # type: ignore[no-any-return]
    count, height, width = planes.shape
    maps = np.empty((count, 3, (height + 1) // 2 + 1, (width + 1) // 2 + 1), np.float32)
    _edge_colours(
        core.contiguous(planes, "B", (count, height, width)),
        core.contiguous(matte, "B", (height, width)),
        *planes.shape,
        core.contiguous(maps, "f", maps.shape, writable=True),
    )
    return maps


def _halved_to(frame: Frame, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return all planes of a frame at the size of cells' halves."""
    planes = frame.half_planes
    count, height, width = planes.shape
    if (height, width) == shape:
        return planes
    if (height, width) == (2 * shape[0], 2 * shape[1]):  # all at once, one below the other
        (below,) = halved((planes.reshape(count * height, width),), 1)
        return below.reshape(count, *shape)
    out: Any = calls.empty((len(planes), *shape), planes)
    # Of a small frame even the half grid is too coarse.
    sources = frame.small_planes if planes.shape[1] < shape[0] else tuple(planes)
    for plane, target in zip(sources, out, strict=True):
        small = reduced(plane, shape)
        if frame.device is not None:
            calls.copy_plane(small, target)
        else:
            target[...] = small
    return out  # type: ignore[no-any-return]
