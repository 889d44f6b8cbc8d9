"""Colours on both sides of a soft edge, by which the compositor takes the old room out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EdgeColours"]


@dataclass(frozen=True, eq=False)
class EdgeColours:
    """What is mixed at the edges of one frame.

    Attributes
    ----------
    maps : (n, 3, h + 1, w + 1) float32, contiguous
        For each plane, at the corners of square cells: the person's sample, the room's, and
        the variance of the room's divided by that of the person's.
    cell_px : int
        Width of a cell, in pixels of the frame.
    """

    maps: NDArray[np.float32]
    cell_px: int
