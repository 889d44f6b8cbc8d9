"""What a model finds in a frame, on the grids that the rest of the matting works on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from greenroom.matting import grid_kernels
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
        Coverage, 0 outside of the box.
    half : (h, w) float32
        Its mean.
    box : Box
        What the model looked at.
    seen : Seen
        Who is there.

    All are kept.
    """

    def __init__(self, coarse: Floats, half: Floats, box: Box, seen: Seen) -> None:
        self.coarse = coarse
        self.half = half
        self.box = box
        self.seen = seen

    @classmethod
    def everywhere(cls, coarse: Floats) -> Found:
        """Take coverage of a whole frame."""
        height, width = coarse.shape
        half = np.empty(half_of(coarse.shape), np.float32)
        box = Box(0, 0, width, height)
        return cls(coarse, half, box, halve_part(coarse, box, half))

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
        self.seen = halve_part(self.coarse, self.box, self.half)
        return self


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
        coarse, half = self._coarse, self._half
        if _is_larger(answer, coarse[box.slices]):
            put(answer, coarse[box.slices])
            seen = halve_part(coarse, box, half)
        else:
            seen = grid_kernels.put(np.ascontiguousarray(answer), coarse, box, half)
        return Found(coarse, half, box, seen)


def put(answer: Floats, target: Floats) -> None:
    """Put an answer in its place on the working grid."""
    if _is_larger(answer, target):
        size = target.shape[1], target.shape[0]
        target[...] = cv2.resize(answer, size, interpolation=cv2.INTER_AREA)
    else:
        place(np.ascontiguousarray(answer), target)


def _is_larger(answer: Floats, target: Floats) -> bool:
    return bool(answer.shape[0] > target.shape[0] and answer.shape[1] > target.shape[1])


def halved(values: Floats) -> Floats:
    """Take the mean of every 2x2 samples; the last row and column repeat if odd."""
    return Found.everywhere(values).half
