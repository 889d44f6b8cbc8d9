"""Resizing of planes and mattes: loops compiled by numba.

All take views with any row padding, write into memory of the caller, and may run on any
thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from greenroom.jit import MATTE, READ_FLOATS, READ_PLANE, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["halve", "upsample"]


# What is less than this rounds to 0 of 255.
_LEAST: Final = 0.4999 / 255


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _find_span(values: NDArray[np.float32], width: int, span: NDArray[np.int64]) -> None:
    """Tell from where to where a row is more than 0 when it is stretched to a width."""
    first, last = len(values), -1
    for x in range(len(values)):
        if values[x] >= _LEAST:
            first, last = min(first, x), x
    factor = width / len(values)
    span[0] = max(0, int((first - 0.5) * factor) - 1) if last >= 0 else width
    span[1] = min(width, int((last + 1.5) * factor) + 2) if last >= 0 else 0


# The two loops are functions of slices that start at 0: only these are vectorised.
@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _stretch(
    values: NDArray[np.float32],
    left: NDArray[np.uint32],
    step: int,
    weight: NDArray[np.float32],
    row: NDArray[np.float32],
) -> None:
    """Interpolate along a row, to 0..255 and a half more, so that cutting off rounds."""
    for x in range(len(row)):
        value = values[left[x]]
        value += (values[left[x] + step] - value) * weight[x]
        row[x] = np.float32(255) * value + np.float32(0.5)


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _interpolate(
    first: NDArray[np.float32], second: NDArray[np.float32], share: float, out: NDArray[np.uint8]
) -> None:
    for x in range(len(out)):
        out[x] = np.uint8(np.int32(first[x] + (second[x] - first[x]) * share))


@kernel(READ_FLOATS, MATTE)
def upsample(coarse: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    """Enlarge values (h, w) in 0..1 to samples (H, W) in 0..255, bilinearly.

    Sample centres are aligned, edges are repeated. Every coarse row is stretched to full
    width once; a row of the result is the weighted mean of two of these. What is left and
    right of all that rounds to more than 0, most of many a matte, is filled in.
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
    spans = np.empty((coarse_height, 2), np.int64)
    for index in range(coarse_height):
        _find_span(coarse[index], width, spans[index])
    rows = np.empty((2, width), np.float32)  # of odd and of even number
    held = np.full(2, -1, np.int64)
    for y in range(height):
        position = min(max((y + 0.5) * coarse_height / height - 0.5, 0.0), coarse_height - 1.0)
        top = min(int(position), max(coarse_height - 2, 0))
        bottom = min(top + 1, coarse_height - 1)
        for index in range(top, bottom + 1):
            if held[index & 1] != index:
                held[index & 1] = index
                start, stop = width, 0
                for near in range(max(index - 1, 0), min(index + 2, coarse_height)):
                    start, stop = min(start, spans[near, 0]), max(stop, spans[near, 1])
                if start < stop:
                    row = rows[index & 1]
                    _stretch(
                        coarse[index], left[start:stop], step, weight[start:stop], row[start:stop]
                    )
        lower = np.float32(position - top)
        start = min(spans[top, 0], spans[bottom, 0])
        stop = max(spans[top, 1], spans[bottom, 1], start)
        first, second, target = rows[top & 1], rows[bottom & 1], out[y]
        target[:start] = 0
        _interpolate(first[start:stop], second[start:stop], lower, target[start:stop])
        target[stop:] = 0


@kernel(READ_PLANE, MATTE)
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
