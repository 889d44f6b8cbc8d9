"""Resizing of planes and mattes: loops compiled by numba.

All take views with any row padding, write into memory of the caller, and may run on any
thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from greenroom.jit import FLOATS, MATTE, PLANE, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["halve", "shrink", "upsample"]


@kernel(FLOATS, MATTE)
def upsample(coarse: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    """Enlarge values (h, w) in 0..1 to samples (H, W) in 0..255, bilinearly.

    Sample centres are aligned, edges are repeated. Every coarse row is stretched to full
    width once; a row of the result is the weighted mean of two of these.
    """
    coarse_height, coarse_width = coarse.shape
    height, width = out.shape
    left = np.empty(width, np.uint32)
    weight = np.empty(width, np.float32)
    for x in range(width):
        position = min(max((x + 0.5) * coarse_width / width - 0.5, 0.0), coarse_width - 1.0)
        left[x] = min(int(position), max(coarse_width - 2, 0))
        weight[x] = position - left[x]
    step = np.uint32(min(1, coarse_width - 1))
    rows = np.empty((2, width), np.float32)  # of odd and of even number
    held = np.full(2, -1, np.int64)
    for y in range(height):
        position = min(max((y + 0.5) * coarse_height / height - 0.5, 0.0), coarse_height - 1.0)
        top = min(int(position), max(coarse_height - 2, 0))
        bottom = min(top + 1, coarse_height - 1)
        for index in range(top, bottom + 1):
            if held[index & 1] != index:
                held[index & 1] = index
                row = rows[index & 1]
                source = coarse[index]
                for x in range(width):
                    value = source[left[x]]
                    value += (source[left[x] + step] - value) * weight[x]
                    row[x] = np.float32(255) * value + np.float32(0.5)  # so that it rounds
        lower = np.float32(position - top)
        first, second, target = rows[top & 1], rows[bottom & 1], out[y]
        for x in range(width):
            target[x] = np.uint8(np.int32(first[x] + (second[x] - first[x]) * lower))


@kernel(PLANE, MATTE)
def halve(plane: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Take the rounded mean of every 2x2 samples; the last row and column repeat if odd."""
    height, width = plane.shape
    out_height, out_width = out.shape
    pairs = width // 2
    sums = np.empty(width, np.uint16)  # contiguous, which the rows of a plane need not be
    for y in range(out_height):
        first, second = plane[2 * y], plane[min(2 * y + 1, height - 1)]
        for x in range(width):
            sums[x] = np.uint16(np.uint16(first[x]) + np.uint16(second[x]))
        target = out[y]
        for x in range(pairs):
            total = np.uint16(np.uint16(sums[2 * x] + sums[2 * x + 1]) + np.uint16(2))
            target[x] = np.uint8(total >> np.uint16(2))
        for x in range(pairs, out_width):
            target[x] = np.uint8((sums[width - 1] + np.uint16(1)) >> np.uint16(1))


# Weights of a triangle filter sum to this, so that sums of weighted samples fit 16 bits.
WEIGHT: Final = 256
HALF: Final = 2.0


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _triangle(length: int, places: NDArray[np.uint32], weights: NDArray[np.uint16]) -> None:
    """Fill in where each tap of a triangle filter reads, and its weight."""
    taps, out_length = places.shape
    scale = length / out_length
    for index in range(out_length):
        centre = (index + 0.5) * scale
        left = WEIGHT
        for tap in range(taps):
            if scale <= 1:
                place = int(np.floor(centre - 0.5)) + tap
                weight = max(0.0, 1.0 - abs(centre - (place + 0.5)))
            else:
                offset = (2 * tap + 1) / taps - 1
                place = int(np.floor(centre + offset * scale))
                weight = 2.0 * (1.0 - abs(offset)) / taps
            places[tap, index] = min(max(place, 0), length - 1)
            share = min(left, int(np.round(weight * WEIGHT)))
            weights[tap, index] = share
            left -= share
        weights[taps // 2, index] += left


@kernel(PLANE, FLOATS)
def shrink(plane: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Resize a plane with a triangle filter of at most seven taps each way.

    Where the result is smaller, the filter reaches over twice the area that a sample
    stands for, and the taps lie evenly in it; to a third of the size none is left out.
    Where it is larger, this is bilinear interpolation.
    """
    height, width = plane.shape
    out_height, out_width = out.shape
    scale = max(height / out_height, width / out_width)
    taps = 2 if scale <= 1 else 5 if scale <= HALF else 7
    rows = np.empty((taps, out_height), np.uint32)
    row_weights = np.empty((taps, out_height), np.uint16)
    columns = np.empty((taps, out_width), np.uint32)
    column_weights = np.empty((taps, out_width), np.uint16)
    _triangle(height, rows, row_weights)
    _triangle(width, columns, column_weights)
    sums = np.empty(width, np.uint16)
    wide = np.empty(width, np.int32)
    totals = np.empty(out_width, np.int32)
    share = np.float32(1.0 / (WEIGHT * WEIGHT))
    for y in range(out_height):
        sums[:] = 0
        for tap in range(taps):
            weight = row_weights[tap, y]
            if weight > 0:
                row = plane[rows[tap, y]]
                for x in range(width):
                    sums[x] = np.uint16(sums[x] + np.uint16(weight * np.uint16(row[x])))
        wide[:] = sums
        totals[:] = 0
        for tap in range(taps):
            column, column_weight = columns[tap], column_weights[tap]
            for x in range(out_width):
                totals[x] += np.int32(column_weight[x]) * wide[column[x]]
        target = out[y]
        for x in range(out_width):
            target[x] = np.float32(totals[x]) * share
