"""Loops of the chroma key over samples, compiled by numba.

The picture is seen in cells of `CELL` x `CELL` samples. What is said of a sample's colour is
in its own units: *along* is the component of its chroma in the direction of the screen's
colour, *across* the one at a right angle to it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np

from greenroom.jit import FLOATS, FLOATS3, READ_FLOATS3, READ_PLANE, kernel, types

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["CELL", "changes", "coverage", "statistics"]

CELL: Final = 8
# A screen has at least this share of the key's chroma where its light is weak, ...
_WEAKEST: Final = 0.4
# ... and so much of it at most across the key's direction: 19 degrees.
_WIDEST: Final = 0.35
# Along minus this share of across is how much of the screen's colour a sample has at least:
# other strong colours have none of it (K. Jack, Video Demystified, "chroma keying").
_ACCEPTANCE: Final = 0.6
# A sample with less of it, as a share of the key's chroma, is the person's own, the light that
# the screen throws on them included; samples of soft edges with that little are few.
_OWN: Final = 0.25
# Up to so many times as much of the screen may be in a sample of which the person's part
# has the opposite colour, as skin has in front of green.
_OPPOSITE: Final = 4.0
# What colours of the person may have along the key's direction, as a share of across.
_ALLOWED: Final = 0.3


# Loops over one row are functions of slices that start at 0: only these are vectorised.
@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _add_row(luma: Plane, c_b: Plane, c_r: Plane, key: Floats, sums: Floats) -> None:
    """Add a row of samples, each to its column, to what `statistics` counts."""
    k_x, k_y, length = key[0], key[1], key[2]
    least, own = np.float32(_WEAKEST) * length, np.float32(_OWN) * length
    none, one = np.float32(0), np.float32(1)
    for x in range(len(luma)):
        light = np.float32(luma[x])
        b, r = np.float32(c_b[x]) - np.float32(128), np.float32(c_r[x]) - np.float32(128)
        along, across = b * k_x + r * k_y, abs(r * k_x - b * k_y)
        amount = along - np.float32(_ACCEPTANCE) * across
        screen = one if (along > least) & (across < np.float32(_WIDEST) * along) else none
        person = one if amount < own else none
        sums[0, x] += screen
        sums[1, x] += screen * light
        sums[2, x] += screen * b
        sums[3, x] += screen * r
        sums[4, x] += screen * along * along
        sums[5, x] += person
        sums[6, x] += person * light
        sums[7, x] += person * b
        sums[8, x] += person * r
        sums[9, x] = max(sums[9, x], amount)


@cache
def statistics() -> Callable[..., None]:
    """Return the loop that describes every cell, compiled when it is first asked for.

    Returns
    -------
    callable
        Of the planes Y, Cb and Cr (h, w) uint8; the key (kx, ky, length) float32, a unit
        vector in (Cb, Cr) and the chroma's length; and a (10, rows, columns) float32 array to
        write: of the samples that look like the screen their number, the sums of Y, Cb, Cr
        (from 128) and of the square of along; number and sums of Y, Cb and Cr of those that
        are surely the person's; the most that a sample has of the screen's colour.
    """
    key = types.Array(types.float32, 1, "C", readonly=True)
    return kernel(READ_PLANE, READ_PLANE, READ_PLANE, key, FLOATS3)(_statistics)


def _statistics(luma: Plane, c_b: Plane, c_r: Plane, key: Floats, out: NDArray[Any]) -> None:
    height, width = luma.shape
    count, rows, columns = out.shape
    sums = np.empty((count, width), np.float32)
    for row in range(rows):
        sums[:] = 0
        sums[count - 1] = -255
        for y in range(row * CELL, min(height, row * CELL + CELL)):
            _add_row(luma[y], c_b[y], c_r[y], key, sums)
        out[:, row] = 0
        out[count - 1, row] = -255
        for number in range(count - 1):
            for x in range(width):
                out[number, row, x // CELL] += sums[number, x]
        for column in range(columns):
            for x in range(column * CELL, min(width, column * CELL + CELL)):
                out[count - 1, row, column] = max(out[count - 1, row, column], sums[count - 1, x])


@numba.njit(nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _share(  # noqa: PLR0913, PLR0917 - a sample, the key and the maps at its place
    b: np.float32,
    r: np.float32,
    k_x: np.float32,
    k_y: np.float32,
    per_b: np.float32,
    per_r: np.float32,
    offset: np.float32,
    inverse: np.float32,
    margin: np.float32,
) -> np.float32:
    """Return how much of a sample is the screen's, 0 to 1."""
    along, across = b * k_x + r * k_y, abs(r * k_x - b * k_y)
    sure = (along - np.float32(_ACCEPTANCE) * across) * inverse * np.float32(_OPPOSITE)
    share = min(b * per_b + r * per_r + offset, sure)
    share = (share - margin) / (np.float32(1) - np.float32(2) * margin)
    return min(max(share, np.float32(0)), np.float32(1))


@cache
def coverage() -> Callable[..., None]:
    """Return the loop that finds the matte, compiled when it is first asked for.

    Returns
    -------
    callable
        Of the planes Cb and Cr (h, w) uint8; the key of `Surroundings`; its maps, stretched
        to the width of the planes, (rows, 8, w or more) float32; and the coverage (h, w)
        float32 to write, in 0..1.
    """
    key = types.Array(types.float32, 1, "C", readonly=True)
    return kernel(READ_PLANE, READ_PLANE, key, READ_FLOATS3, FLOATS)(_coverage)


def _coverage(c_b: Plane, c_r: Plane, key: Floats, maps: NDArray[Any], out: Floats) -> None:
    for y in range(len(c_b)):
        upper, lower, share = _rows_around(y, len(maps))
        _cover_row(c_b[y], c_r[y], key, maps[upper], maps[lower], share, out[y])


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _rows_around(y: int, rows: int) -> tuple[int, int, np.float32]:
    """Tell between which rows of cells a row of samples is, and how near to the second."""
    place = (y + 0.5) / CELL - 0.5
    upper = int(np.floor(place))
    return max(0, upper), min(rows - 1, upper + 1), np.float32(place - upper)


@numba.njit(nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _mixed(first: np.float32, second: np.float32, share: np.float32) -> np.float32:
    return first + (second - first) * share


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _cover_row(  # noqa: PLR0913, PLR0917 - kernels take bare arrays
    c_b: Plane,
    c_r: Plane,
    key: Floats,
    upper: Floats,
    lower: Floats,
    at: np.float32,
    out: NDArray[np.float32],
) -> None:
    k_x, k_y, margin = key[0], key[1], key[3]
    for x in range(len(out)):
        share = _share(
            np.float32(c_b[x]) - np.float32(128),
            np.float32(c_r[x]) - np.float32(128),
            k_x,
            k_y,
            _mixed(upper[0, x], lower[0, x], at),
            _mixed(upper[1, x], lower[1, x], at),
            _mixed(upper[2, x], lower[2, x], at),
            _mixed(upper[3, x], lower[3, x], at),
            margin,
        )
        out[x] = np.float32(1) - share * _mixed(upper[4, x], lower[4, x], at)


@cache
def changes() -> Callable[..., None]:
    """Return the loop that takes the screen's colour out, compiled when first asked for.

    Returns
    -------
    callable
        Of what `coverage` takes, and a (h, 3, w) uint8 array to write: what is to be added
        to Y, Cb and Cr, and 128.
    """
    key = types.Array(types.float32, 1, "C", readonly=True)
    out = types.Array(types.uint8, 3, "C")
    return kernel(READ_PLANE, READ_PLANE, key, READ_FLOATS3, out)(_changes)


def _changes(c_b: Plane, c_r: Plane, key: Floats, maps: NDArray[Any], out: NDArray[Any]) -> None:
    for y in range(len(c_b)):
        upper, lower, share = _rows_around(y, len(maps))
        _change_row(c_b[y], c_r[y], key, maps[upper], maps[lower], share, out[y])


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _change_row(  # noqa: PLR0913, PLR0917 - kernels take bare arrays
    c_b: Plane,
    c_r: Plane,
    key: Floats,
    upper: Floats,
    lower: Floats,
    at: np.float32,
    out: Plane,
) -> None:
    k_x, k_y, margin = key[0], key[1], key[3]
    for x in range(out.shape[1]):
        b = np.float32(c_b[x]) - np.float32(128)
        r = np.float32(c_r[x]) - np.float32(128)
        share = _share(
            b,
            r,
            k_x,
            k_y,
            _mixed(upper[0, x], lower[0, x], at),
            _mixed(upper[1, x], lower[1, x], at),
            _mixed(upper[2, x], lower[2, x], at),
            _mixed(upper[3, x], lower[3, x], at),
            margin,
        )
        share *= _mixed(upper[4, x], lower[4, x], at)
        # The screen's part, and the person's own colour in its place.
        light = share * _mixed(upper[5, x], lower[5, x], at)
        by_b = share * _mixed(upper[6, x], lower[6, x], at)
        by_r = share * _mixed(upper[7, x], lower[7, x], at)
        b, r = b + by_b, r + by_r
        along, across = b * k_x + r * k_y, abs(r * k_x - b * k_y)
        spill = max(np.float32(0), along - np.float32(_ALLOWED) * across)
        out[0, x] = _biased(light)
        out[1, x] = _biased(by_b - spill * k_x)
        out[2, x] = _biased(by_r - spill * k_y)


@numba.njit(nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _biased(value: np.float32) -> np.uint8:
    """Round a change to 8 bits, 128 for none."""
    value = min(max(value + np.float32(128.5), np.float32(0)), np.float32(255))
    return np.uint8(np.int32(value))
