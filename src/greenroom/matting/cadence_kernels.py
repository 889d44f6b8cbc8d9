"""Loops that tell movement from noise, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.jit import FLOATS3, MATTE, READ_FLOATS3, READ_MATTE, READ_PLANE, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["BINS", "BLOCK", "compare", "judge"]

BLOCK: Final = 8
"""Samples of a block in each direction."""
BINS: Final = 8
"""Into so many levels brightness is divided: a camera's noise is not the same at all."""

_NOISE = types.Array(types.float32, 1, "C", readonly=True)
_COUNTS = types.Array(types.int64, 2, "C")

# What noise alone, normally distributed, does not do in hours: the mean square of n differences
# is over its expectation by so many times its root of n, or their mean off by so many of its
# standard deviations. And a change of brightness that nobody sees, in 8-bit levels.
_SQUARES: Final = 10.0
_SIGMAS: Final = 6.0
_LIGHT: Final = 1.5


@kernel(READ_PLANE, READ_MATTE, FLOATS3)
def compare(plane: Bytes, reference: Bytes, found: Floats) -> None:
    """Measure by how much the blocks of a plane differ from another's.

    Parameters
    ----------
    plane, reference : (H, W) uint8
        What is compared.
    found : (3, h, w) float32
        Where it goes, for every block, partial ones too: the mean of the differences, their
        variance, and the mean of the reference.
    """
    height, width = plane.shape
    _, rows, columns = found.shape
    sums, squares = np.empty(width, np.int32), np.empty(width, np.int32)
    levels = np.empty(width, np.int32)
    for block_y in range(rows):
        top = block_y * BLOCK
        bottom = min(top + BLOCK, height)
        sums[:] = 0
        squares[:] = 0
        levels[:] = 0
        for y in range(top, bottom):
            new, old = plane[y], reference[y]
            for x in range(width):
                change = np.int32(new[x]) - np.int32(old[x])
                sums[x] += change
                squares[x] += change * change
                levels[x] += np.int32(old[x])
        for block_x in range(columns):
            left = block_x * BLOCK
            right = min(left + BLOCK, width)
            total, square, level = 0.0, 0.0, 0.0
            for x in range(left, right):
                total += sums[x]
                square += squares[x]
                level += levels[x]
            count = (bottom - top) * (right - left)
            mean = total / count
            found[0, block_y, block_x] = mean
            found[1, block_y, block_x] = square / count - mean * mean
            found[2, block_y, block_x] = level / count


@kernel(
    READ_FLOATS3, types.int64, types.int64, _NOISE, types.float32, types.float32, MATTE, _COUNTS
)
def judge(  # noqa: PLR0913, PLR0917
    found: Floats,
    height: int,
    width: int,
    noise: Floats,
    most: float,
    share: float,
    moved: Bytes,
    counts: NDArray[np.int64],
) -> None:
    """Tell which blocks differ by more than noise.

    Parameters
    ----------
    found : (3, h, w) float32
        From `compare`.
    height, width : int
        Of the plane.
    noise : (BINS,) float32
        The variance of the difference of two samples by noise, by their brightness.
    most : float
        What it is at the most.
    share : float
        Of this share of the noise, blocks are counted that differ by less.
    moved : (h, w) uint8
        Where 1 goes for blocks that differ and 0 for others.
    counts : (BINS, 2) int64
        Where it goes how many blocks of each brightness there are, and how many of them differ by
        less than that share.
    """
    counts[:] = 0
    rows, columns = moved.shape
    for y in range(rows):
        high = min(BLOCK, height - y * BLOCK)
        for x in range(columns):
            count = high * min(BLOCK, width - x * BLOCK)
            mean, variance = abs(found[0, y, x]), found[1, y, x]
            number = int(found[2, y, x]) * BINS // 256
            expected = min(noise[number], most)
            counts[number, 0] += 1
            counts[number, 1] += variance < share * noise[number]
            is_noise = variance <= expected * (1 + _SQUARES / np.sqrt(count))
            is_light = mean <= max(_LIGHT, _SIGMAS * np.sqrt(expected / count))
            moved[y, x] = 0 if is_noise and is_light else 1
