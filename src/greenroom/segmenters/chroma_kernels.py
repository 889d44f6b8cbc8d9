"""Chroma key kernels of the core.

Statistics are per cell of `CELL` x `CELL` samples. *Along* is the component of a sample's chroma in
the direction of the screen's colour, *across* the perpendicular one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from greenroom import core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["CELL", "MAPS", "STATISTICS", "add", "changes", "coverage", "statistics"]

CELL: Final = 8
STATISTICS: Final = 10
"""Number of statistics per cell."""
MAPS: Final = 8
"""Number of maps in a `ScreenModel`."""

_statistics = core.function("screen_statistics", "pn pn pn ii p p")
_coverage = core.function("screen_coverage", "pn pn ii pp p")
_changes = core.function("screen_changes", "pn pn ii pp p")
_add_changes = core.function("add_changes", "pn p pn ii")
_add_half_changes = core.function("add_half_changes", "pn p pn ii")


def statistics(luma: Plane, c_b: Plane, c_r: Plane, key: Floats, out: Floats) -> None:
    """Compute the statistics of every cell.

    Parameters
    ----------
    luma, c_b, c_r : (h, w) uint8
        Planes of one size.
    key : (3,) float32
        kx, ky and length: a unit vector in (Cb, Cr) and the chroma's length.
    out : (STATISTICS, rows, columns) float32
        Written, including partial cells at the edges. Of the samples similar to the screen: count,
        sums of Y, Cb and Cr (minus 128), sum of the squares of along. Of definite foreground
        samples: count, sums of Y, Cb and Cr. Then the maximum of along.
    """
    height, width = shape = luma.shape
    _statistics(
        *(core.plane(luma), luma.strides[0]),
        *(core.plane(c_b, shape), c_b.strides[0]),
        *(core.plane(c_r, shape), c_r.strides[0]),
        *shape,
        core.contiguous(key, "f", (3,)),
        core.contiguous(out, "f", (STATISTICS, *_cells(height, width)), writable=True),
    )


def coverage(c_b: Plane, c_r: Plane, key: Floats, maps: Floats, out: Floats) -> None:
    """Compute the matte.

    Parameters
    ----------
    c_b, c_r : (h, w) uint8
        Planes of one size.
    key : (4,) float32
    maps : (MAPS, rows, columns) float32
        Both from `ScreenModel`.
    out : (h, w) float32
        Written: the coverage, in 0..1.
    """
    _coverage(
        *_screen(c_b, c_r, key, maps),
        core.contiguous(out, "f", c_b.shape, writable=True),
    )


def changes(c_b: Plane, c_r: Plane, key: Floats, maps: Floats, out: Plane) -> None:
    """Compute the differences that remove the screen's colour.

    Parameters
    ----------
    c_b, c_r, key, maps
        As in `coverage`.
    out : (3, h, w) uint8
        Written: differences of Y, Cb and Cr, with 128 added.
    """
    _changes(
        *_screen(c_b, c_r, key, maps),
        core.contiguous(out, "B", (3, *c_b.shape), writable=True),
    )


def add(plane: Plane, change: Plane, out: Plane) -> None:
    """Add a difference plane from `changes` to a plane.

    Parameters
    ----------
    plane : (h, w) uint8
    change : (h, w) or ((h + 1) // 2, (w + 1) // 2) uint8
        Difference with 128 added. Contiguous; at half the size it is interpolated.
    out : (h, w) uint8
        Where the result goes.
    """
    shape = height, width = plane.shape
    is_half = change.shape != shape
    size = ((height + 1) // 2, (width + 1) // 2) if is_half else shape
    (_add_half_changes if is_half else _add_changes)(
        *(core.plane(plane), plane.strides[0]),
        core.contiguous(change, "B", size),
        *(core.plane(out, shape, writable=True), out.strides[0]),
        *shape,
    )


def _screen(c_b: Plane, c_r: Plane, key: Floats, maps: Floats) -> tuple[int, ...]:
    """Return the arguments for a frame's chroma and the screen's model."""
    height, width = shape = c_b.shape
    return (
        *(core.plane(c_b), c_b.strides[0]),
        *(core.plane(c_r, shape), c_r.strides[0]),
        *shape,
        core.contiguous(key, "f", (4,)),
        core.contiguous(maps, "f", (MAPS, *_cells(height, width))),
    )


def _cells(height: int, width: int) -> tuple[int, int]:
    return -(-height // CELL), -(-width // CELL)
