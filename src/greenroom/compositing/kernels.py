"""Loops over planes, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.jit import MATTE, PLANE, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["over"]


@kernel(PLANE, PLANE, MATTE, PLANE)
def over(
    foreground: NDArray[np.uint8],
    background: NDArray[np.uint8],
    matte: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Blend two planes: ``(matte * foreground + (255 - matte) * background) / 255``, rounded."""
    height, width = matte.shape
    for y in range(height):
        front, back, cover, target = foreground[y], background[y], matte[y], out[y]
        for x in range(width):
            # Division by 255 as in J. Blinn, "Three Wrongs Make a Right", 1995: exact, and
            # no step is over 16 bits.
            share = np.uint16(cover[x])
            total = np.uint16(share * np.uint16(front[x])) + np.uint16(
                np.uint16(np.uint16(255) - share) * np.uint16(back[x])
            )
            total = np.uint16(np.uint16(total) + np.uint16(128))
            target[x] = np.uint8(
                np.uint16(total + np.uint16(total >> np.uint16(8))) >> np.uint16(8)
            )
