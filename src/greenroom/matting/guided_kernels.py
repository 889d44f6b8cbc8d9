"""Loops that find a guided filter's coefficients, compiled by numba, on the half grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from greenroom.jit import FLOATS, MATTE, READ_FLOATS, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["EDGE", "EMPTY", "FULL", "classify", "fit"]

EMPTY, FULL, EDGE = 0, 1, 2
"""What is known of a sample of the half grid: certainly 0, certainly 1, or neither."""


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _add_products(guide: Floats, matte: Floats, weight: float, sums: Floats) -> None:
    """Add a row to the sums of guide, matte, their product, and the guide's square."""
    for x in range(len(guide)):
        sums[0, x + 1] += weight * guide[x]
        sums[1, x + 1] += weight * matte[x]
        sums[2, x + 1] += weight * guide[x] * matte[x]
        sums[3, x + 1] += weight * guide[x] * guide[x]


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _add(row: Floats, weight: float, sums: Floats) -> None:
    for x in range(len(row)):
        sums[x + 1] += weight * row[x]


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _mirror(sums: Floats) -> None:
    """Fill in what is beside a row: the sample next to its end, as if mirrored there."""
    last = sums.shape[1] - 2
    for part in range(len(sums)):
        sums[part, 0] = sums[part, min(2, last)]
        sums[part, last + 1] = sums[part, max(last - 1, 1)]


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _fit_row(sums: Floats, flat: float, slopes: Floats, offsets: Floats) -> None:
    for x in range(len(slopes)):
        mean_guide = sums[0, x] + sums[0, x + 1] + sums[0, x + 2]
        mean = sums[1, x] + sums[1, x + 1] + sums[1, x + 2]
        both = sums[2, x] + sums[2, x + 1] + sums[2, x + 2]
        square = sums[3, x] + sums[3, x + 1] + sums[3, x + 2]
        slope = (both - mean_guide * mean) / (square - mean_guide * mean_guide + flat)
        slopes[x] = slope
        offsets[x] = mean - slope * mean_guide


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _sum_of_three(sums: Floats, row: Floats) -> None:
    for x in range(len(row)):
        row[x] = sums[x] + sums[x + 1] + sums[x + 2]


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _inside(y: int, height: int) -> int:
    """Return a row that is in the picture: those just outside are mirrored."""
    if y < 0:
        return min(1, height - 1)
    return y if y < height else max(height - 2, 0)


@kernel(READ_FLOATS, READ_FLOATS, types.float32, FLOATS, FLOATS)
def fit(guide: Floats, matte: Floats, flat: float, slopes: Floats, offsets: Floats) -> None:
    """Find the local linear models that take a guide to a matte, over windows of 3x3 samples.

    Each is the mean of those of all windows that a sample is in. Beyond its border the picture
    is mirrored, as OpenCV does by default.

    Parameters
    ----------
    guide, matte : (h, w) float32
        Read only.
    flat : float
        What is added to the guide's variance: a guide that varies less is flat.
    slopes, offsets : (h, w) float32
        Where the models go.
    """
    height, width = guide.shape
    ninth = np.float32(1 / 9)
    steep, lift = np.empty_like(guide), np.empty_like(guide)
    sums = np.empty((4, width + 2), np.float32)
    for y in range(height):
        sums[:] = 0
        for near in range(y - 1, y + 2):
            row = _inside(near, height)
            _add_products(guide[row], matte[row], ninth, sums)
        _mirror(sums)
        _fit_row(sums, flat, steep[y], lift[y])
    for y in range(height):
        sums[:2] = 0
        for near in range(y - 1, y + 2):
            row = _inside(near, height)
            _add(steep[row], ninth, sums[0])
            _add(lift[row], ninth, sums[1])
        _mirror(sums[:2])
        _sum_of_three(sums[0], slopes[y])
        _sum_of_three(sums[1], offsets[y])


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _classify_row(  # noqa: PLR0913, PLR0917
    slope: Floats, offset: Floats, guides: float, low: float, high: float, row: Bytes
) -> None:
    zero = np.float32(0)
    empty, full, edge = np.uint8(EMPTY), np.uint8(FULL), np.uint8(EDGE)
    for x in range(len(row)):
        least = offset[x] + min(guides * slope[x], zero)
        most = offset[x] + max(guides * slope[x], zero)
        kind = full if least >= high else edge
        row[x] = empty if most <= low else kind


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _join(above: Bytes, here: Bytes, below: Bytes, line: Bytes) -> None:
    edge = np.uint8(EDGE)
    for x in range(len(here)):
        same = (above[x] == here[x]) & (below[x] == here[x])
        line[x] = here[x] if same else edge


@kernel(READ_FLOATS, READ_FLOATS, types.float32, types.float32, types.float32, MATTE)
def classify(  # noqa: PLR0913, PLR0917
    slopes: Floats, offsets: Floats, guides: float, low: float, high: float, kinds: Bytes
) -> None:
    """Tell `EMPTY`, `FULL` and `EDGE` apart by a guided filter's coefficients.

    A sample is `EDGE` where those around it are not all of one kind.

    Parameters
    ----------
    slopes, offsets : (h, w) float32
        On the half grid.
    guides : float
        The largest value of a guide; the smallest is 0.
    low, high : float
        The coverage up to which the matte is 0, and from which it is 1.
    kinds : (h, w) uint8
        Where the result goes.
    """
    height, width = kinds.shape
    own = np.empty((height, width), np.uint8)
    for y in range(height):
        _classify_row(slopes[y], offsets[y], guides, low, high, own[y])
    line = np.empty(width + 2, np.uint8)
    for y in range(height):
        _join(own[max(y - 1, 0)], own[y], own[min(y + 1, height - 1)], line[1 : 1 + width])
        line[0], line[width + 1] = line[1], line[width]
        _join(line[:width], line[1 : width + 1], line[2:], kinds[y])
