"""The chroma key's loops over samples, in the core.

The picture is seen in cells of `CELL` x `CELL` samples. What is said of a sample's colour is
in its own units: *along* is the component of its chroma in the direction of the screen's
colour, *across* the one at a right angle to it.
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
"""So many numbers describe a cell."""
MAPS: Final = 8
"""So many tell what screen and person look like around it."""

_statistics = core.function("screen_statistics", "pn pn pn ii p p")
_coverage = core.function("screen_coverage", "pn pn ii pp p")
_changes = core.function("screen_changes", "pn pn ii pp p")
_add_changes = core.function("add_changes", "pn p pn ii")
_add_half_changes = core.function("add_half_changes", "pn p pn ii")


def statistics(luma: Plane, c_b: Plane, c_r: Plane, key: Floats, out: Floats) -> None:
    """Describe every cell.

    Parameters
    ----------
    luma, c_b, c_r : (h, w) uint8
        Planes of one size.
    key : (3,) float32
        kx, ky and length: a unit vector in (Cb, Cr) and the chroma's length.
    out : (STATISTICS, rows, columns) float32
        Written, for cells, those at the edges too: of the samples that look like the screen
        their number, the sums of Y, Cb, Cr (from 128) and of the square of along; number and sums
        of Y, Cb and Cr of those that are surely the person's; the most that a sample has of the
        screen's colour.
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
    """Find the matte.

    Parameters
    ----------
    c_b, c_r : (h, w) uint8
        Planes of one size.
    key : (4,) float32
    maps : (MAPS, rows, columns) float32
        Both of `ScreenModel`.
    out : (h, w) float32
        Written: the coverage, in 0..1.
    """
    height, width = shape = c_b.shape
    _coverage(
        *(core.plane(c_b), c_b.strides[0]),
        *(core.plane(c_r, shape), c_r.strides[0]),
        *shape,
        core.contiguous(key, "f", (4,)),
        core.contiguous(maps, "f", (MAPS, *_cells(height, width))),
        core.contiguous(out, "f", (height, width), writable=True),
    )


def changes(c_b: Plane, c_r: Plane, key: Floats, maps: Floats, out: Plane) -> None:
    """Find what takes the screen's colour out.

    Parameters
    ----------
    c_b, c_r, key, maps
        As `coverage` takes them.
    out : (3, h, w) uint8
        Written: what is to be added to Y, Cb and Cr, and 128.
    """
    height, width = shape = c_b.shape
    _changes(
        *(core.plane(c_b), c_b.strides[0]),
        *(core.plane(c_r, shape), c_r.strides[0]),
        *shape,
        core.contiguous(key, "f", (4,)),
        core.contiguous(maps, "f", (MAPS, *_cells(height, width))),
        core.contiguous(out, "B", (3, height, width), writable=True),
    )


def add(plane: Plane, change: Plane, out: Plane) -> None:
    """Add what `changes` found to a plane.

    Parameters
    ----------
    plane : (h, w) uint8
    change : (h, w) or ((h + 1) // 2, (w + 1) // 2) uint8
        What is to be added, and 128. Contiguous; at half the size it is interpolated.
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


def _cells(height: int, width: int) -> tuple[int, int]:
    return -(-height // CELL), -(-width // CELL)
