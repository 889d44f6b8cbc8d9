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

from greenroom.jit import FLOATS, FLOATS3, PLANE, kernel, types

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
# A sample with less of it, as a share of the key's chroma, is surely the person's own.
_OWN: Final = 0.05
# Up to so many times as much of the screen may be in a sample of which the person's part
# has the opposite colour, as skin has in front of green.
_OPPOSITE: Final = 4.0
# What colours of the person may have along the key's direction, as a share of across.
_ALLOWED: Final = 0.3


@cache
def statistics() -> Callable[..., None]:
    """Return the loop that describes every cell, compiled when it is first asked for.

    Returns
    -------
    callable
        Of the planes Y, Cb and Cr (h, w) uint8; the key (kx, ky, length) float32, a unit
        vector in (Cb, Cr) and the chroma's length; and a (rows, columns, 10) float32 array to
        write: of the samples that look like the screen their number, the sums of Y, Cb, Cr
        (from 128) and of the square of along; number and sums of Y, Cb and Cr of those that
        are surely the person's; the most that a sample has of the screen's colour.
    """
    return kernel(PLANE, PLANE, PLANE, types.Array(types.float32, 1, "C"), FLOATS3)(_statistics)


def _statistics(luma: Plane, c_b: Plane, c_r: Plane, key: Floats, out: NDArray[Any]) -> None:
    height, width = luma.shape
    k_x, k_y, length = key[0], key[1], key[2]
    least, own = np.float32(_WEAKEST) * length, np.float32(_OWN) * length
    widest, acceptance = np.float32(_WIDEST), np.float32(_ACCEPTANCE)
    out[:] = 0
    for y in range(height):
        for column in range(out.shape[1]):
            cell = out[y // CELL, column]
            most = cell[9] if y % CELL else np.float32(-255)
            for x in range(column * CELL, min(width, column * CELL + CELL)):
                light = np.float32(luma[y, x])
                b, r = np.float32(c_b[y, x]) - 128, np.float32(c_r[y, x]) - 128
                along, across = b * k_x + r * k_y, abs(r * k_x - b * k_y)
                amount = along - acceptance * across
                most = max(most, amount)
                if along > least and across < widest * along:
                    cell[0] += 1
                    cell[1] += light
                    cell[2] += b
                    cell[3] += r
                    cell[4] += along * along
                elif amount < own:
                    cell[5] += 1
                    cell[6] += light
                    cell[7] += b
                    cell[8] += r
            cell[9] = most


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


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _row(maps: NDArray[np.float32], y: int, row: Floats) -> None:
    """Interpolate maps of cells between two rows of cells, for one row of samples."""
    rows, columns, count = maps.shape
    place = np.float32((y + 0.5) / CELL - 0.5)
    upper = int(np.floor(place))
    share = place - np.float32(upper)
    first, second = max(0, upper), min(rows - 1, upper + 1)
    for column in range(columns):
        for number in range(count):
            value = maps[first, column, number]
            row[column, number] = value + (maps[second, column, number] - value) * share


@cache
def coverage() -> Callable[..., None]:
    """Return the loop that finds the matte, compiled when it is first asked for.

    Returns
    -------
    callable
        Of the planes Cb and Cr (h, w) uint8, the key and the maps of `Surroundings`, and the
        coverage (h, w) float32 to write, in 0..1.
    """
    key = types.Array(types.float32, 1, "C")
    return kernel(PLANE, PLANE, key, FLOATS3, FLOATS)(_coverage)


def _coverage(c_b: Plane, c_r: Plane, key: Floats, maps: NDArray[Any], out: Floats) -> None:
    height, width = c_b.shape
    columns, count = maps.shape[1], maps.shape[2]
    row = np.empty((columns, count), np.float32)
    k_x, k_y, margin = key[0], key[1], key[3]
    for y in range(height):
        _row(maps, y, row)
        # From the middle of one cell to that of the next.
        for column in range(-1, columns):
            left, right = row[max(column, 0)], row[min(column + 1, columns - 1)]
            middle = column * CELL + CELL // 2
            for x in range(max(0, middle), min(width, middle + CELL)):
                at = (np.float32(x - middle) + np.float32(0.5)) / np.float32(CELL)
                share = _share(
                    np.float32(c_b[y, x]) - np.float32(128),
                    np.float32(c_r[y, x]) - np.float32(128),
                    k_x,
                    k_y,
                    left[0] + (right[0] - left[0]) * at,
                    left[1] + (right[1] - left[1]) * at,
                    left[2] + (right[2] - left[2]) * at,
                    left[3] + (right[3] - left[3]) * at,
                    margin,
                )
                out[y, x] = np.float32(1) - share * (left[4] + (right[4] - left[4]) * at)


@cache
def changes() -> Callable[..., None]:
    """Return the loop that takes the screen's colour out, compiled when first asked for.

    Returns
    -------
    callable
        Of what `coverage` takes, and a (3, h, w) uint8 array to write: what is to be added
        to Y, Cb and Cr, and 128.
    """
    key = types.Array(types.float32, 1, "C")
    out = types.Array(types.uint8, 3, "C")
    return kernel(PLANE, PLANE, key, FLOATS3, out)(_changes)


def _changes(c_b: Plane, c_r: Plane, key: Floats, maps: NDArray[Any], out: NDArray[Any]) -> None:
    height, width = c_b.shape
    columns, count = maps.shape[1], maps.shape[2]
    row = np.empty((columns, count), np.float32)
    k_x, k_y, margin = key[0], key[1], key[3]
    half, most = np.float32(128.5), np.float32(255)
    for y in range(height):
        _row(maps, y, row)
        for column in range(-1, columns):
            left, right = row[max(column, 0)], row[min(column + 1, columns - 1)]
            middle = column * CELL + CELL // 2
            for x in range(max(0, middle), min(width, middle + CELL)):
                at = (np.float32(x - middle) + np.float32(0.5)) / np.float32(CELL)
                b = np.float32(c_b[y, x]) - np.float32(128)
                r = np.float32(c_r[y, x]) - np.float32(128)
                share = _share(
                    b,
                    r,
                    k_x,
                    k_y,
                    left[0] + (right[0] - left[0]) * at,
                    left[1] + (right[1] - left[1]) * at,
                    left[2] + (right[2] - left[2]) * at,
                    left[3] + (right[3] - left[3]) * at,
                    margin,
                )
                share *= left[4] + (right[4] - left[4]) * at
                # The screen's part, and the person's own colour in its place.
                light = share * (left[5] + (right[5] - left[5]) * at)
                by_b = share * (left[6] + (right[6] - left[6]) * at)
                by_r = share * (left[7] + (right[7] - left[7]) * at)
                b, r = b + by_b, r + by_r
                along, across = b * k_x + r * k_y, abs(r * k_x - b * k_y)
                spill = max(np.float32(0), along - np.float32(_ALLOWED) * across)
                by_b, by_r = by_b - spill * k_x, by_r - spill * k_y
                out[0, y, x] = np.uint8(min(max(light + half, np.float32(0)), most))
                out[1, y, x] = np.uint8(min(max(by_b + half, np.float32(0)), most))
                out[2, y, x] = np.uint8(min(max(by_r + half, np.float32(0)), most))
