"""The small grids in NumPy, for tests of the loops over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

SHAPES: Final = [(1, 1), (1, 6), (7, 1), (2, 2), (8, 10), (9, 11), (27, 48), (33, 2), (40, 75)]
"""Shapes of a working grid: odd ones, single rows and columns, and several vectors wide."""


def enlarged(values: Floats | Doubles, shape: tuple[int, int]) -> Doubles:
    """Enlarge the half grid bilinearly to a working grid, samples' centres aligned."""
    result = values.astype(np.float64)
    for axis, length in enumerate(shape):
        count = result.shape[axis]
        places = np.clip((np.arange(length) + 0.5) / 2 - 0.5, 0, count - 1)
        low = np.minimum(places.astype(int), max(count - 2, 0))
        high = np.minimum(low + 1, count - 1)
        share = (places - low).reshape([-1 if one == axis else 1 for one in range(2)])
        result = np.take(result, low, axis) * (1 - share) + np.take(result, high, axis) * share
    return result


def halved(values: Floats | Doubles) -> Doubles:
    """Take the mean of every 2x2 samples; the last row and column repeat if odd."""
    height, width = values.shape
    padded = np.pad(values.astype(np.float64), ((0, height % 2), (0, width % 2)), mode="edge")
    blocks = padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2)
    return np.asarray(blocks.mean(axis=(1, 3)))


def mean3(values: Doubles) -> Doubles:
    """Take the mean of every 3x3 samples, as OpenCV does."""
    return np.asarray(cv2.blur(values, (3, 3)))


def window(reach: int) -> NDArray[np.uint8]:
    """Return a square with so many samples on each side of the middle."""
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)


def somebody(shape: tuple[int, int], seed: int, kind: str = "some") -> Floats:
    """Draw coverage: of somebody with a soft edge, of everybody, of nobody, or all over."""
    rng = np.random.default_rng(seed)
    if kind == "nobody":
        return np.zeros(shape, np.float32)
    if kind == "everybody":
        return np.ones(shape, np.float32)
    if kind == "noise":
        return rng.random(shape, np.float32)
    height, width = shape
    y, x = np.mgrid[:height, :width]
    middle, radius = rng.random(2) * shape, 0.1 + 0.4 * rng.random()
    distance = np.hypot((y - middle[0]) / height, (x - middle[1]) / width)
    matte = np.clip((radius - distance) * 6 + 0.5, 0, 1)
    return np.where(matte < 0.02, 0, matte).astype(np.float32)
