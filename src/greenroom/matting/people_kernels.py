"""Core functions that tell one person's cells from another's.

Every cell has a role: `NOBODY`, `MAIN` (the main person) or `OTHER`.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grid = NDArray[np.uint8]
    Whole = NDArray[np.int32]

__all__ = [
    "AREA",
    "BOTTOM",
    "COLUMNS",
    "DOUBTED",
    "LEFT",
    "MAIN",
    "NOBODY",
    "OPEN",
    "OTHER",
    "RIGHT",
    "TOP",
    "divide",
    "find_parts",
    "is_clear",
]

NOBODY: Final = 0
MAIN: Final = 1
OTHER: Final = 2
# Probably someone else's, but never seen apart from the main person.
DOUBTED: Final = 3
# Foreground without a role yet.
OPEN: Final = 4

# Columns of `find_parts`; columns MAIN, OTHER and DOUBTED count a part's cells that had that role.
AREA, LEFT, TOP, RIGHT, BOTTOM = 0, 4, 5, 6, 7
COLUMNS: Final = 8

_INT32: Final = np.dtype(np.int32).char

_find_parts = core.function("find_parts", "pii f ppp")
_is_clear = core.function("is_clear", "pii fdfi p")
_divide = core.function("divide", "piii pp")


def find_parts(
    cells: NDArray[np.float32], least: float, past: Grid, labels: Whole, parts: Whole
) -> None:
    """Label the connected components, by edges and corners, of cells of at least some coverage.

    Parameters
    ----------
    cells : (h, w) float32
        Coverage.
    least : float
        Coverage from which a cell is foreground.
    past : (h, w) uint8
        The roles of the frame before.
    labels : (h, w) int32
        Written: 0, or the number of the part from 1 on.
    parts : (count, COLUMNS) int32
        Written, a row for each part: the columns above. Row 0 holds their number. There must be
        room for one part in every 2x2 cells, and row 0.
    """
    shape = height, width = cells.shape
    most = ((height + 1) // 2) * ((width + 1) // 2) + 1
    if len(parts) < most:
        message = f"parts of {height}x{width} cells need {most} rows, not {len(parts)}"
        raise TypeError(message)
    _find_parts(
        core.contiguous(cells, "f"),
        height,
        width,
        least,
        core.contiguous(past, "B", shape),
        core.contiguous(labels, _INT32, shape, writable=True),
        core.contiguous(parts, _INT32, (len(parts), COLUMNS), writable=True),
    )


def is_clear(
    cells: NDArray[np.float32], least: float, speck: float, haze: float, reach: int
) -> bool:
    """Whether there are people, and no haze far from them.

    Parameters
    ----------
    cells : (h, w) float32
        Coverage.
    least, speck : float
        Coverage and number of connected cells, corners included, that make a person.
    haze : float
        Coverage above this is haze. Every other cell of every other row is checked.
    reach : int
        Distance from people up to which haze is allowed, in cells that are checked.
    """
    clear = ctypes.c_int32()
    _is_clear(
        core.contiguous(cells, "f"),
        *cells.shape,
        least,
        speck,
        haze,
        reach,
        ctypes.addressof(clear),
    )
    return bool(clear.value)


def divide(planes: NDArray[np.uint8], costs: Grid, roles: Grid) -> None:
    """Give open and doubtful cells the role that reaches them by the cheapest path.

    Every step costs 1 and the difference of colour, so that paths stay on one side of an edge of
    the picture: the image foresting transform [1]_ with additive costs, from all cells with a
    role at once.

    Parameters
    ----------
    planes : (n, h, w) uint8
        The picture.
    costs : (h, w) uint8
        Doubt about the role of each cell: the initial cost of paths from it.
    roles : (h, w) uint8
        Read and written: no path leads through `NOBODY`, and `OPEN` is given a role.

    References
    ----------
    .. [1] A. X. Falcao, J. Stolfi and R. de Alencar Lotufo, "The Image Foresting Transform:
       Theory, Algorithms, and Applications", IEEE PAMI 26(1), 2004.
    """
    height, width = shape = roles.shape
    _divide(
        core.contiguous(planes, "B", (len(planes), *shape)),
        len(planes),
        height,
        width,
        core.contiguous(costs, "B", shape),
        core.contiguous(roles, "B", shape, writable=True),
    )
