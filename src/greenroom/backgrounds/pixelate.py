"""The camera's own background, in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.backgrounds.base import Background
from greenroom.backgrounds.blur import clearness
from greenroom.frames import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.frames import Matte, Plane

    Floats = NDArray[np.float32]

__all__ = ["Pixelate"]

# Side of a block at full strength, as a share of the frame's shorter side.
FULL_STRENGTH: Final = 0.1
# A block is at least so wide, in pixels: a sample of 4:2:0 chroma is two.
_LEAST_BLOCK_PX: Final = 4
# The weight of the blocks around, for a block that has no background in it, and of all the
# background for one that has none around either.
_NEAR: Final = 1e-3
_FAR: Final = 1e-6
# How far blocks around count: a standard deviation, in blocks.
_NEAR_SIGMA: Final = 1.5


class Pixelate(Background):
    """What is behind the person, in blocks; the person's own colours stay out of them.

    A block is the mean of the background in it, weighted by how little it is covered. One that
    the person covers takes its colour from the blocks around.

    Its cover is a plain colour: blocks of the room are made from the camera's pixels.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:  # noqa: ARG002
        """See `Background.render`."""
        block_px = max(_LEAST_BLOCK_PX, self.strength * FULL_STRENGTH * min(frame.size))
        width, height = (max(1, round(length / block_px)) for length in frame.size)
        result = Frame.empty(frame.layout)
        weight = clearness(matte.reduced_to(frame.half_planes[0].shape))
        weights = _with_others(_means(weight, width, height))
        for half, target in zip(frame.half_planes, result.planes, strict=True):
            colours = _with_others(_means(weight * half, width, height)) / weights
            _fill(np.rint(np.clip(colours, 0, 255)).astype(np.uint8), target)
        return result


def _means(values: Floats, width: int, height: int) -> Floats:
    """Take the mean of every block."""
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA))


def _with_others(blocks: Floats) -> Floats:
    """Add a little of the blocks around to every block, and a trace of all of them."""
    side = 2 * round(2 * _NEAR_SIGMA) + 1
    kernel = cv2.getGaussianKernel(side, _NEAR_SIGMA, cv2.CV_32F)
    near = cv2.sepFilter2D(blocks, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    everywhere = max(float(blocks.mean()), 1e-6)
    return np.asarray(blocks + _NEAR * near + _FAR * everywhere, np.float32)


def _fill(blocks: Plane, out: Plane) -> None:
    """Enlarge blocks to a plane, as evenly as whole samples allow."""
    rows, columns = (
        np.arange(length) * count // length
        for length, count in zip(out.shape, blocks.shape, strict=True)
    )
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        out[start:end] = blocks[rows[start]][columns]
