"""What a model finds in a frame, on the grids that the rest of the matting works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from greenroom.matting.grid_kernels import Seen, half_of, halve_part, place
from greenroom.matting.region import Box, doubled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

__all__ = ["Canvas", "Found", "halved", "put"]


class Found:
    """Coverage on the working grid, its mean on the half grid, and who is there.

    Parameters
    ----------
    coarse : (H, W) float32
        Coverage, 0 outside of the box. Kept.
    box : Box
        What the model looked at.
    half : (h, w) float32, optional
        Memory for the mean.
    """

    def __init__(self, coarse: Floats, box: Box, half: Floats | None = None) -> None:
        self.coarse = coarse
        self.half = np.empty(half_of(coarse.shape), np.float32) if half is None else half
        self._box = box
        self.seen: Seen = halve_part(coarse, box, self.half)

    @classmethod
    def everywhere(cls, coarse: Floats) -> Found:
        """Take coverage of a whole frame."""
        height, width = coarse.shape
        return cls(coarse, Box(0, 0, width, height))

    @property
    def extent(self) -> Box | None:
        """The box around all coverage of one half or more on the half grid, on the working grid."""
        if not self.seen.area:
            return None
        return doubled(*self.seen[1:5], self.coarse.shape)

    def weighted(self, weights: Floats) -> Found:
        """Multiply the coverage with weights on the half grid, in place."""
        height, width = self.coarse.shape
        size = width, height
        self.coarse *= np.asarray(cv2.resize(weights, size, interpolation=cv2.INTER_LINEAR))
        return Found(self.coarse, self._box, self.half)


class Canvas:
    """Memory for what is found, used again for each answer: one is over when the next is put.

    State: the memory, and where it is not 0.
    """

    def __init__(self) -> None:
        self._coarse: Floats = np.empty((0, 0), np.float32)
        self._half: Floats = np.empty((0, 0), np.float32)
        self._box = Box(0, 0, 0, 0)

    def put(self, answer: Floats, box: Box, shape: tuple[int, int]) -> Found:
        """Put an answer where it belongs on a working grid of a shape; elsewhere nobody is."""
        if self._coarse.shape != shape:
            self._coarse = np.zeros(shape, np.float32)
            self._half = np.empty(half_of(shape), np.float32)
        elif not box.holds(self._box):
            self._coarse[self._box.slices] = 0
        self._box = box
        put(answer, self._coarse[box.slices])
        return Found(self._coarse, box, self._half)


def put(answer: Floats, target: Floats) -> None:
    """Put an answer in its place on the working grid."""
    if answer.shape[0] > target.shape[0] and answer.shape[1] > target.shape[1]:
        size = target.shape[1], target.shape[0]
        target[...] = cv2.resize(answer, size, interpolation=cv2.INTER_AREA)
    else:
        place(np.ascontiguousarray(answer), target)


def halved(values: Floats) -> Floats:
    """Take the mean of every 2x2 samples; the last row and column repeat if odd."""
    return Found.everywhere(values).half
