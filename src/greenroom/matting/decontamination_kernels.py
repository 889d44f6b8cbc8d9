"""Loops over small planes that find the colours on both sides of an edge, compiled by numba.

All the inner ones are over slices that start at 0, which are vectorised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from greenroom.jit import FLOATS3, READ_FLOATS3, READ_MATTE, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Plane = NDArray[np.uint8]

__all__ = ["gather", "settle"]

# Division is IEEE's; Python's, which may raise, would keep a loop from being vectorised.
_OPTIONS: Final = {
    "nogil": True,
    "fastmath": {"contract", "reassoc"},
    "error_model": "numpy",
}
# How much the wider neighbourhood counts beside the near one, in surely known samples; and
# the whole picture beside that.
_WIDE: Final = np.float32(0.8)
_WHOLE: Final = np.float32(0.02)
# What is taken, with this little weight, where there is no person, or no room, at all.
_MIDDLE: Final = np.float32(128)
_SOME: Final = np.float32(1e-3)
# Variance of a camera's noise, in squared 8-bit levels, with what compression leaves.
_NOISE: Final = np.float32(20)
# How much more or less one side may be trusted than the other: below the least, noise would
# be amplified where little is covered.
_LEAST_DOUBT: Final = np.float32(0.1)
_MOST_DOUBT: Final = np.float32(8)


@numba.njit(inline="always", **_OPTIONS)  # type: ignore[untyped-decorator]
def _weigh(cover: Plane, person: Floats, room: Floats) -> None:
    """Weigh samples by how surely they are of one side: the eighth power of coverage."""
    for x in range(len(cover)):
        share = np.float32(cover[x]) * np.float32(1 / 255)
        rest = np.float32(1) - share
        share *= share
        share *= share
        rest *= rest
        rest *= rest
        person[x] = share * share
        room[x] = rest * rest


@numba.njit(inline="always", **_OPTIONS)  # type: ignore[untyped-decorator]
def _add(weights: Floats, samples: Plane, total: Floats) -> None:
    for x in range(len(total)):
        total[x] += weights[x] * np.float32(samples[x])


@numba.njit(inline="always", **_OPTIONS)  # type: ignore[untyped-decorator]
def _add_squares(weights: Floats, samples: Plane, total: Floats) -> None:
    for x in range(len(total)):
        total[x] += weights[x] * np.float32(samples[x]) * np.float32(samples[x])


@numba.njit(inline="always", **_OPTIONS)  # type: ignore[untyped-decorator]
def _add_weights(weights: Floats, total: Floats) -> None:
    for x in range(len(total)):
        total[x] += weights[x]


@numba.njit(inline="always", **_OPTIONS)  # type: ignore[untyped-decorator]
def _pair(values: Floats, out: Floats) -> None:
    for x in range(len(out)):
        out[x] = values[2 * x] + values[2 * x + 1]


@kernel(types.Array(types.uint8, 3, "C", readonly=True), READ_MATTE, FLOATS3)
def gather(planes: NDArray[np.uint8], matte: Plane, sums: Floats) -> None:
    """Sum up the person's and the room's samples over cells of 2x2.

    Parameters
    ----------
    planes : (n, h, w) uint8
    matte : (h, w) uint8
    sums : ((h + 1) // 2, 2 * (n + 2), (w + 1) // 2 + 1) float32
        For each row of cells, of the person and then of the room: weights, weighted samples
        of every plane, and weighted squares of the first plane. The last cell is repeated.
    """
    count, height, width = planes.shape
    rows, channels, columns = sums.shape
    weights = np.empty((2, width), np.float32)
    totals = np.empty((channels, 2 * (columns - 1)), np.float32)
    for row in range(rows):
        totals[:] = 0
        for y in range(2 * row, min(2 * row + 2, height)):
            _weigh(matte[y], weights[0], weights[1])
            for side in range(2):
                first = side * (count + 2)
                weight = weights[side]
                _add_weights(weight, totals[first, :width])
                for index in range(count):
                    _add(weight, planes[index, y], totals[first + 1 + index, :width])
                _add_squares(weight, planes[0, y], totals[first + 1 + count, :width])
        for channel in range(channels):
            _pair(totals[channel], sums[row, channel, :-1])
            sums[row, channel, -1] = sums[row, channel, -2]


# Rows below hold every channel, one behind the other, so that each loop is long.


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _to_corners(upper: Floats, lower: Floats, width: int, out: Floats) -> None:
    """Sum the four cells around every corner; beyond the border cells repeat."""
    right, low_right, inner = upper[1:], lower[1:], out[1:]
    for x in range(len(inner)):
        inner[x] = upper[x] + right[x] + lower[x] + low_right[x]
    for x in range(0, len(out), width):
        out[x] = np.float32(2) * (upper[x] + lower[x])


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _add_rows(first: Floats, second: Floats, third: Floats, out: Floats) -> None:
    for x in range(len(out)):
        out[x] = first[x] + second[x] + third[x]


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _add_row(row: Floats, total: Floats) -> None:
    for x in range(len(total)):
        total[x] += row[x]


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _add_columns(rows: Floats, width: int, out: Floats) -> None:
    """Sum every corner with those two to its left and right; beyond the border they repeat."""
    middle, right, inner = rows[2:], rows[4:], out[2:]
    for x in range(len(right)):
        inner[x] = rows[x] + middle[x] + right[x]
    for start in range(0, len(rows), width):
        last = width - 1
        for x in (0, min(1, last), max(last - 1, 0), last):
            out[start + x] = (
                rows[start + max(x - 2, 0)] + rows[start + x] + rows[start + min(x + 2, last)]
            )


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _invert(weights: Floats, more: float, out: Floats) -> None:
    for x in range(len(out)):
        out[x] = np.float32(1) / (weights[x] + more)


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _average(  # noqa: PLR0913, PLR0917 - a kernel has no object to put them in
    near: Floats, far: Floats, near_inverse: Floats, far_inverse: Floats, rest: float, out: Floats
) -> None:
    """Take the mean near a corner, of a wider neighbourhood where little is near."""
    for x in range(len(out)):
        wide = (far[x] + rest) * far_inverse[x]
        out[x] = (near[x] + _WIDE * wide) * near_inverse[x]


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _compare(
    person: Floats, person_squares: Floats, room: Floats, room_squares: Floats, out: Floats
) -> None:
    """Divide the room's variance by the person's."""
    for x in range(len(out)):
        varied = max(room_squares[x] - room[x] * room[x], np.float32(0)) + _NOISE
        plain = max(person_squares[x] - person[x] * person[x], np.float32(0)) + _NOISE
        out[x] = min(max(varied / plain, _LEAST_DOUBT), _MOST_DOUBT)


@kernel(READ_FLOATS3, types.Array(types.float32, 4, "C"))
def settle(sums: Floats, maps: Floats) -> None:
    """Make the maps of every plane from the sums over cells.

    Parameters
    ----------
    sums : (h, 2 * (n + 2), w + 1) float32
        As `gather` makes them.
    maps : (n, 3, h + 1, w + 1) float32
        At the corners of cells: the person's colour, the room's, and, for the first plane,
        how much less the room's is to be trusted.
    """
    height, channels, width = sums.shape
    count = maps.shape[0]
    near = np.empty((height + 1, channels * width), np.float32)
    totals = np.zeros((channels, width), np.float32)
    for y in range(height + 1):
        upper, lower = sums[max(y - 1, 0)], sums[min(y, height - 1)]
        _to_corners(upper.reshape(-1), lower.reshape(-1), width, near[y])
    for y in range(height):
        _add_row(sums[y].reshape(-1), totals.reshape(-1))
    whole = np.zeros(channels, np.float32)  # numba takes seconds to compile sums along an axis
    for channel in range(channels):
        for x in range(width - 1):
            whole[channel] += totals[channel, x]
    inverses = np.empty((2, width), np.float32)
    rows = np.empty(channels * width, np.float32)
    far = np.empty((channels, width), np.float32)
    squares = np.empty((2, width), np.float32)
    for y in range(height + 1):
        _add_rows(near[max(y - 2, 0)], near[y], near[min(y + 2, height)], rows)
        _add_columns(rows, width, far.reshape(-1))
        close = near[y].reshape(channels, width)
        for side in range(2):
            first = side * (count + 2)
            _invert(close[first], _WIDE, inverses[0])
            _invert(far[first], _WHOLE, inverses[1])
            for index in range(count + 1):
                channel = first + 1 + index
                middle = _MIDDLE if index < count else _MIDDLE * _MIDDLE
                rest = _WHOLE * (whole[channel] + _SOME * middle) / (whole[first] + _SOME)
                out = maps[index, side, y] if index < count else squares[side]
                _average(close[channel], far[channel], inverses[0], inverses[1], rest, out)
        _compare(maps[0, 0, y], squares[0], maps[0, 1, y], squares[1], maps[0, 2, y])
