"""Loops that tell one person's samples from another's, compiled by numba.

The picture is seen in cells, each with the role of whoever is there: `NOBODY`, `MAIN` (the
person in front) or `OTHER`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from greenroom.jit import MATTE, READ_FLOATS, READ_MATTE, kernel, types

if TYPE_CHECKING:
    from collections.abc import Callable

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
    "dividing",
    "find_parts",
]

NOBODY: Final = 0
MAIN: Final = 1
OTHER: Final = 2
# Held to be someone else's, though it was never seen apart from the main person.
DOUBTED: Final = 3
# Someone's, but not said whose.
OPEN: Final = 4

# What `find_parts` tells of a part; at MAIN, OTHER and DOUBTED, how many of its cells had that
# role.
AREA, LEFT, TOP, RIGHT, BOTTOM = 0, 4, 5, 6, 7
COLUMNS: Final = 8

_WHOLE: Final = types.Array(types.int32, 2, "C")
# Costs of a way are whole numbers; what costs more than this is as far as can be.
_MOST: Final = 8191
# Differences between cells side by side up to which there is no edge: noise, in 8-bit levels.
_NOISE: Final = 3


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _root(parents: Whole, run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _find_runs(cells: NDArray[np.float32], least: float, runs: Whole, parents: Whole) -> int:
    """Write row, start and end of every run of cells of a row; join those that touch."""
    height, width = cells.shape
    count = before = before_end = 0
    for y in range(height):
        first = count
        x = 0
        while x < width:
            if cells[y, x] < least:
                x += 1
                continue
            runs[count, 0], runs[count, 1] = y, x
            while x < width and cells[y, x] >= least:
                x += 1
            runs[count, 2], parents[count] = x, count
            while before < before_end and runs[before, 2] < runs[count, 1]:
                before += 1
            above = before
            while above < before_end and runs[above, 1] <= x:
                one, two = _root(parents, above), _root(parents, count)
                parents[max(one, two)] = min(one, two)
                above += 1
            count += 1
        before, before_end = first, count
    return count


@kernel(READ_FLOATS, types.float32, READ_MATTE, _WHOLE, _WHOLE)
def find_parts(
    cells: NDArray[np.float32], least: float, past: Grid, labels: Whole, parts: Whole
) -> None:
    """Label what hangs together, corners included, of the cells of at least some coverage.

    Parameters
    ----------
    cells : (h, w) float32
        Coverage.
    least : float
        From this on a cell is somebody's.
    past : (h, w) uint8
        The roles of the frame before.
    labels : (h, w) int32
        Written: 0, or the number of the part from 1 on.
    parts : (count, COLUMNS) int32
        Written, a row for each part: the columns above. Row 0 holds how many there are.
    """
    height, width = cells.shape
    most = height * (width // 2 + 1)
    runs = np.empty((most, 3), np.int32)
    parents = np.empty(most, np.int32)
    count = _find_runs(cells, least, runs, parents)
    numbers = np.empty(count, np.int32)
    labels[:] = 0
    found = 0
    for run in range(count):
        y, start, end = runs[run]
        root = _root(parents, run)
        if root == run:
            found += 1
            numbers[run] = found
            parts[found] = 0
            parts[found, LEFT], parts[found, TOP] = start, y
        part = parts[numbers[root]]
        part[AREA] += end - start
        part[LEFT], part[RIGHT] = min(part[LEFT], start), max(part[RIGHT], end)
        part[BOTTOM] = y + 1
        for x in range(start, end):
            labels[y, x] = numbers[root]
            if past[y, x] != NOBODY:
                part[past[y, x]] += 1
    parts[0, 0] = found


@numba.njit(nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _neighbour(y: int, x: int, step: int) -> tuple[int, int]:
    return y + (step == 0) - (step == 1), x + (step == 2) - (step == 3)


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _difference(planes: NDArray[np.uint8], y: int, x: int, other_y: int, other_x: int) -> int:
    total = 0
    for plane in range(planes.shape[0]):
        step = abs(np.int32(planes[plane, y, x]) - np.int32(planes[plane, other_y, other_x]))
        if step > _NOISE:
            total += int(step) - _NOISE
    return total


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _begins(roles: Grid, costs: Grid, y: int, x: int) -> bool:
    """Whether a way begins at a cell: not deep inside, where nothing is in doubt."""
    if not NOBODY < roles[y, x] < OPEN:
        return False
    if costs[y, x] > 0:
        return True
    for step in range(4):
        near_y, near_x = _neighbour(y, x, step)
        if 0 <= near_y < roles.shape[0] and 0 <= near_x < roles.shape[1]:
            near = roles[near_y, near_x]
            if near == OPEN or (near != NOBODY and costs[near_y, near_x] > 0):
                return True
    return False


@cache
def dividing() -> Callable[[NDArray[np.uint8], Grid, Grid], None]:
    """Return the loop that decides whose open cells are, compiled when it is first asked for.

    It gives every open cell, and those whose role is in doubt, to who reaches it most easily.
    A way costs 1 and the difference of colour for every step, so that it stays on one side of
    an edge of the picture: the image foresting transform [1]_ with additive costs, from all
    cells with a role at once.

    Returns
    -------
    callable
        Of the picture (n, h, w) uint8; of how much in doubt the role of each cell is, which is
        what a way from it costs at its beginning, (h, w) uint8; and of the roles (h, w) uint8,
        read and written: `NOBODY` is no way, `OPEN` waits for a role.

    References
    ----------
    .. [1] A. X. Falcao, J. Stolfi and R. de Alencar Lotufo, "The Image Foresting Transform:
       Theory, Algorithms, and Applications", IEEE PAMI 26(1), 2004.
    """
    return kernel(types.Array(types.uint8, 3, "C"), MATTE, MATTE)(_divide)


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _begin_ways(costs: Grid, roles: Grid, reached: Whole, heads: Whole, entries: Whole) -> int:
    """Write how far every cell is reached at the beginning; list from where ways go on."""
    height, width = roles.shape
    used = 0
    for y in range(height):
        for x in range(width):
            cost = np.int32(costs[y, x])
            reached[y, x] = cost if NOBODY < roles[y, x] < OPEN else _MOST
            if _begins(roles, costs, y, x):
                entries[used, 0], entries[used, 1] = y * width + x, heads[cost]
                heads[cost] = used
                used += 1
    return used


def _divide(planes: NDArray[np.uint8], costs: Grid, roles: Grid) -> None:
    height, width = roles.shape
    reached = np.empty((height, width), np.int32)
    heads = np.full(_MOST, -1, np.int32)  # of a list of entries for each cost
    entries = np.empty((5 * height * width, 2), np.int32)  # each a place, and the next entry
    used = _begin_ways(costs, roles, reached, heads, entries)
    for cost in range(_MOST):
        while heads[cost] >= 0:
            place = entries[heads[cost], 0]
            heads[cost] = entries[heads[cost], 1]
            y, x = place // width, place % width
            if reached[y, x] != cost:
                continue
            for step in range(4):
                near_y, near_x = _neighbour(y, x, step)
                inside = 0 <= near_y < height and 0 <= near_x < width
                if not inside or roles[near_y, near_x] == NOBODY:
                    continue
                total = min(cost + 1 + _difference(planes, y, x, near_y, near_x), _MOST - 1)
                if total < reached[near_y, near_x]:
                    reached[near_y, near_x] = total
                    roles[near_y, near_x] = roles[y, x]
                    entries[used, 0], entries[used, 1] = near_y * width + near_x, heads[total]
                    heads[total] = used
                    used += 1
