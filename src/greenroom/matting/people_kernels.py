"""Loops that tell one person's samples from another's, compiled by numba.

The picture is seen in cells, each with the role of whoever is there: `NOBODY`, `MAIN` (the
person in front) or `OTHER`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from greenroom.jit import FLOATS, MATTE, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grid = NDArray[np.uint8]

__all__ = [
    "AREA",
    "BOTTOM",
    "COLUMNS",
    "LEFT",
    "MAIN",
    "NOBODY",
    "OPEN",
    "OTHER",
    "RIGHT",
    "TOP",
    "divide",
    "find_parts",
]

NOBODY: Final = 0
MAIN: Final = 1
OTHER: Final = 2
# Someone's, but not said whose.
OPEN: Final = 3

# What `find_parts` tells of a part; at MAIN and OTHER, how many of its cells had that role.
AREA, LEFT, TOP, RIGHT, BOTTOM = 0, 3, 4, 5, 6
COLUMNS: Final = 7

# Costs of a way are whole numbers; what costs more than this is as far as can be.
_MOST: Final = 8191
# Differences between cells side by side up to which there is no edge: noise, in 8-bit levels.
_NOISE: Final = 3


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _root(parents: NDArray[np.int32], run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@kernel(FLOATS, types.float32, MATTE, types.Array(types.int32, 2, "C"), types.Array(types.int32, 2, "C"))
def find_parts(
    cells: NDArray[np.float32],
    least: float,
    past: Grid,
    labels: NDArray[np.int32],
    parts: NDArray[np.int32],
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
    rows, starts, ends = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    parents = np.empty(most, np.int32)
    count = 0
    before, before_end = 0, 0  # the runs of the row above
    for y in range(height):
        first = count
        above = before
        x = 0
        while x < width:
            if cells[y, x] < least:
                labels[y, x] = 0
                x += 1
                continue
            start = x
            while x < width and cells[y, x] >= least:
                x += 1
            rows[count], starts[count], ends[count], parents[count] = y, start, x, count
            while above < before_end and ends[above] < start:
                above += 1
            other = above
            while other < before_end and starts[other] <= x:
                one, two = _root(parents, other), _root(parents, count)
                parents[max(one, two)] = min(one, two)
                other += 1
            count += 1
        before, before_end = first, count
    numbers = np.zeros(count + 1, np.int32)
    found = 0
    for run in range(count):
        root = _root(parents, run)
        if root == run:
            found += 1
            numbers[run] = found
            parts[found] = 0
            parts[found, LEFT], parts[found, TOP] = starts[run], rows[run]
        number, y = numbers[root], rows[run]
        part = parts[number]
        part[AREA] += ends[run] - starts[run]
        part[LEFT], part[RIGHT] = min(part[LEFT], starts[run]), max(part[RIGHT], ends[run])
        part[BOTTOM] = y + 1
        for x in range(starts[run], ends[run]):
            labels[y, x] = number
            if past[y, x] == MAIN:
                part[MAIN] += 1
            elif past[y, x] == OTHER:
                part[OTHER] += 1
    parts[0, 0] = found


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _difference(planes: NDArray[np.uint8], y: int, x: int, other_y: int, other_x: int) -> int:
    total = 0
    for plane in range(planes.shape[0]):
        step = abs(np.int32(planes[plane, y, x]) - np.int32(planes[plane, other_y, other_x]))
        total += max(step - _NOISE, 0)
    return total


@kernel(types.Array(types.uint8, 3, "C"), types.Array(types.int32, 2, "C"), MATTE)
def divide(planes: NDArray[np.uint8], costs: NDArray[np.int32], roles: Grid) -> None:
    """Give every open cell, and those whose role is in doubt, to who reaches it most easily.

    A way costs 1 and the difference of colour for every step, so that it stays on one side of
    an edge of the picture: the image foresting transform [1]_ with additive costs, from all
    cells with a role at once.

    Parameters
    ----------
    planes : (n, h, w) uint8
        The picture.
    costs : (h, w) int32
        How much in doubt the role of a cell is: what a way from it costs at its beginning.
    roles : (h, w) uint8
        Read and written: `NOBODY` is no way, `OPEN` waits for a role.

    References
    ----------
    .. [1] A. X. Falcao, J. Stolfi and R. de Alencar Lotufo, "The Image Foresting Transform:
       Theory, Algorithms, and Applications", IEEE PAMI 26(1), 2004.
    """
    height, width = roles.shape
    reached = np.full((height, width), _MOST, np.int32)
    heads = np.full(_MOST, -1, np.int32)  # of a list of entries for each cost
    places = np.empty(5 * height * width, np.int32)
    following = np.empty(5 * height * width, np.int32)
    used = 0
    for y in range(height):
        for x in range(width):
            if roles[y, x] not in (MAIN, OTHER):
                continue
            cost = min(costs[y, x], _MOST - 1)
            reached[y, x] = cost
            # Deep inside, where nothing is in doubt, no way begins.
            begins = cost > 0
            for step in range(4):
                near_y, near_x = y + (step == 0) - (step == 1), x + (step == 2) - (step == 3)
                if 0 <= near_y < height and 0 <= near_x < width:
                    near = roles[near_y, near_x]
                    begins |= near == OPEN or (near != NOBODY and costs[near_y, near_x] > 0)
            if begins:
                places[used], following[used] = y * width + x, heads[cost]
                heads[cost] = used
                used += 1
    for cost in range(_MOST):
        while heads[cost] >= 0:
            entry = heads[cost]
            heads[cost] = following[entry]
            y, x = places[entry] // width, places[entry] % width
            if reached[y, x] != cost:
                continue
            for step in range(4):
                near_y, near_x = y + (step == 0) - (step == 1), x + (step == 2) - (step == 3)
                if not (0 <= near_y < height and 0 <= near_x < width):
                    continue
                if roles[near_y, near_x] == NOBODY:
                    continue
                total = min(cost + 1 + _difference(planes, y, x, near_y, near_x), _MOST - 1)
                if total < reached[near_y, near_x]:
                    reached[near_y, near_x] = total
                    roles[near_y, near_x] = roles[y, x]
                    places[used], following[used] = near_y * width + near_x, heads[total]
                    heads[total] = used
                    used += 1
