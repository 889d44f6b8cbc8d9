"""A model's coverage on the working grid and the half grid of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from greenroom.matting import grid_kernels
from greenroom.matting.grid_kernels import ForegroundStats, half_of, halve_part, place
from greenroom.matting.region import GridBox, doubled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["Detection", "DetectionBuffer", "halved", "put"]


class Detection:
    """Coverage on the working grid, its mean on the half grid, and statistics of it.

    Parameters
    ----------
    coarse : (H, W) float32
        Coverage, 0 outside of the box.
    half : (h, w) float32
        Its mean.
    box : GridBox
        The part that the model looked at.
    stats : ForegroundStats
        Of the coverage.

    All are kept.
    """

    def __init__(self, coarse: Floats, half: Floats, box: GridBox, stats: ForegroundStats) -> None:
        self.coarse = coarse
        self.half = half
        self.box = box
        self.stats = stats

    @classmethod
    def everywhere(cls, coarse: Floats) -> Detection:
        """Take coverage of a whole frame."""
        height, width = coarse.shape
        half = np.empty(half_of(coarse.shape), np.float32)
        box = GridBox(0, 0, width, height)
        return cls(coarse, half, box, halve_part(coarse, box, half))

    @property
    def extent(self) -> GridBox | None:
        """The box around all coverage of one half or more on the half grid, on the working grid."""
        if not self.stats.area:
            return None
        return doubled(*self.stats[1:5], self.coarse.shape)

    def weighted(self, weights: Floats) -> Detection:
        """Multiply the coverage with weights on the half grid, in place."""
        height, width = self.coarse.shape
        size = width, height
        self.coarse *= np.asarray(cv2.resize(weights, size, interpolation=cv2.INTER_LINEAR))
        self.stats = halve_part(self.coarse, self.box, self.half)
        return self


class DetectionBuffer:
    """Memory for detections; each `put` overwrites the last detection.

    State: the memory, and the box outside of which it is 0.
    """

    def __init__(self) -> None:
        self._coarse: Floats = np.empty((0, 0), np.float32)
        self._half: Floats = np.empty((0, 0), np.float32)
        self._box = GridBox(0, 0, 0, 0)

    def put(self, answer: Floats, box: GridBox, shape: tuple[int, int]) -> Detection:
        """Place an answer in a box of a working grid of a shape; elsewhere coverage is 0."""
        if self._coarse.shape != shape:
            self._coarse = np.zeros(shape, np.float32)
            self._half = np.empty(half_of(shape), np.float32)
        elif not box.holds(self._box):
            self._coarse[self._box.slices] = 0
        self._box = box
        coarse, half = self._coarse, self._half
        if _is_larger(answer, coarse[box.slices]):
            put(answer, coarse[box.slices])
            stats = halve_part(coarse, box, half)
        else:
            stats = grid_kernels.put(np.ascontiguousarray(answer), coarse, box, half)
        return Detection(coarse, half, box, stats)


def put(answer: Floats, target: Floats) -> None:
    """Resize an answer into a part of the working grid."""
    if _is_larger(answer, target):
        size = target.shape[1], target.shape[0]
        target[...] = cv2.resize(answer, size, interpolation=cv2.INTER_AREA)
    else:
        place(np.ascontiguousarray(answer), target)


def _is_larger(answer: Floats, target: Floats) -> bool:
    return bool(answer.shape[0] > target.shape[0] and answer.shape[1] > target.shape[1])


def halved(values: Floats) -> Floats:
    """Take the mean of every 2x2 samples; the last row and column repeat if odd."""
    return Detection.everywhere(values).half
