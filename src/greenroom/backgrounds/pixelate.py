"""The camera's own background, in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.backgrounds.background import Background
from greenroom.backgrounds.softened import Softened
from greenroom.media.frame import Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Plane
    from greenroom.media.matte import Matte

__all__ = ["Pixelate"]

# Side of a block at full strength, as a share of the frame's shorter side.
_FULL_STRENGTH: Final = 0.2
# Minimum side of a block, in pixels, for 4:2:0 chroma.
_MIN_BLOCK_PX: Final = 4


class Pixelate(Background):
    """The camera's background in blocks, computed without the person's colours.

    A block is a mean of the room that `Blur` of the same strength shows, not of the room itself:
    blocks of that, which the camera's movement shifts, can be put together to a sharp picture.

    Its cover is a plain colour: blocks of the room are made from the camera's pixels.

    Parameters
    ----------
    strength : float
        Of `Softened`.
    """

    def __init__(self, strength: float) -> None:
        self._softened = Softened(strength)
        self._share = strength * _FULL_STRENGTH

    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:
        """See `Background.render`."""
        block_px = max(_MIN_BLOCK_PX, self._share * min(frame.size))
        size = tuple(max(1, round(length / block_px)) for length in frame.size)
        result = Frame.empty(frame.layout)
        for grid, target in zip(self._softened.grids(frame, matte), result.planes, strict=True):
            blocks = cv2.resize(grid, size, interpolation=cv2.INTER_AREA)
            _fill(np.rint(blocks).astype(np.uint8), target)
        return result

    def reset(self) -> None:
        """See `Background.reset`."""
        self._softened.reset()


def _fill(blocks: NDArray[np.uint8], out: Plane) -> None:
    """Enlarge blocks to a plane, as evenly as whole samples allow."""
    rows, columns = (
        np.arange(length) * count // length
        for length, count in zip(out.shape, blocks.shape, strict=True)
    )
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        out[start:end] = blocks[rows[start]][columns]
