"""Loops that make a model's input from planes, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.jit import FLOATS, FLOATS3, MATTE, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["mix"]


@kernel(MATTE, MATTE, MATTE, FLOATS, FLOATS3)
def mix(
    first: NDArray[np.uint8],
    second: NDArray[np.uint8],
    third: NDArray[np.uint8],
    matrix: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Turn three planes (h, w) into channels (h, w, 3) by a (3, 4) matrix, cut to 0..1."""
    height, width = first.shape
    low, high = np.float32(0), np.float32(1)
    for y in range(height):
        target = out[y]
        for x in range(width):
            a, b, c = np.float32(first[y, x]), np.float32(second[y, x]), np.float32(third[y, x])
            red = matrix[0, 0] * a + matrix[0, 1] * b + matrix[0, 2] * c + matrix[0, 3]
            green = matrix[1, 0] * a + matrix[1, 1] * b + matrix[1, 2] * c + matrix[1, 3]
            blue = matrix[2, 0] * a + matrix[2, 1] * b + matrix[2, 2] * c + matrix[2, 3]
            target[x, 0] = min(max(red, low), high)
            target[x, 1] = min(max(green, low), high)
            target[x, 2] = min(max(blue, low), high)
