"""Colours on both sides of a soft edge, by which the compositor removes the old room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EdgeColours"]


@dataclass(frozen=True, eq=False)
class EdgeColours:
    """The two colours that are mixed at the edges of one frame.

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
