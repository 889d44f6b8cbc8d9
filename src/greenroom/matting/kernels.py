"""Loops over mattes, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.jit import FLOATS, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["follow"]


@kernel(FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, types.float32, types.float32)
def follow(  # noqa: PLR0913, PLR0917 - a kernel has no object to put them in
    coarse: NDArray[np.float32],
    luma: NDArray[np.float32],
    change: NDArray[np.float32],
    steady: NDArray[np.float32],
    reference: NDArray[np.float32],
    gain: float,
    noise: float,
) -> None:
    """Move a steadied matte and its reference picture toward a new frame's.

    They move by ``gain`` of the difference where the picture changes by no more than
    ``noise``, all the way where it changes by twice that or more, linearly in between.
    """
    height, width = coarse.shape
    one = np.float32(1)
    for y in range(height):
        for x in range(width):
            moving = min(max(change[y, x] / noise - one, np.float32(0)), one)
            share = gain + (one - gain) * moving
            steady[y, x] += share * (coarse[y, x] - steady[y, x])
            reference[y, x] += share * (luma[y, x] - reference[y, x])
