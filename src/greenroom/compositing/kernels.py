"""Loops over planes, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.jit import PLANE, READ_MATTE, READ_PLANE, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["over", "spill"]


@kernel(READ_PLANE, READ_PLANE, READ_MATTE, PLANE)
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


@kernel(READ_MATTE, READ_MATTE, READ_PLANE, READ_MATTE, types.boolean, PLANE)
def spill(  # noqa: PLR0913, PLR0917 - a kernel has no object to put them in
    light: NDArray[np.uint8],
    weight: NDArray[np.uint8],
    background: NDArray[np.uint8],
    matte: NDArray[np.uint8],
    only_lighter: bool,  # noqa: FBT001
    out: NDArray[np.uint8],
) -> None:
    """Move the person in a composite toward the light by a weight; only up where that is said.

    Of a composite ``a * person + (1 - a) * background`` it is ``a * (light - person)`` that is
    added, as if the person had been lit before.
    """
    height, width = matte.shape
    least = np.float32(0 if only_lighter else -255)
    one, half, unit = np.float32(1), np.float32(0.5), np.float32(1 / 255)
    for y in range(height):
        source, share, back, cover, target = (
            light[y],
            weight[y],
            background[y],
            matte[y],
            out[y],
        )
        for x in range(width):
            part = np.float32(cover[x]) * unit
            shown = np.float32(target[x])
            more = part * np.float32(source[x]) + (one - part) * np.float32(back[x]) - shown
            lit = shown + max(more, least) * np.float32(share[x]) * unit
            # Rounding of the composite may have left a little more than there was.
            target[x] = np.uint8(np.int32(min(max(lit, np.float32(0)), np.float32(255)) + half))
