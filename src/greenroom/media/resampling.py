"""Halving, shrinking and enlarging of planes, by the core, or by kernels for a device's.

All accept views with any row padding, write into the caller's memory, and may run on any
thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom import core
from greenroom.cuda import calls

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["halve", "shrink", "shrunk", "upsample"]

_upsample = core.function("upsample", "pii pii")
_shrink = core.function("shrink", "pnii pii")
_halve = core.function("halve", "pnii p")


def upsample(coarse: NDArray[np.float32], out: NDArray[np.uint8]) -> None:
    """Enlarge values (h, w) in 0..1 to samples (H, W) in 0..255, bilinearly.

    Sample centres are aligned, edges are repeated.
    """
    if calls.on_device(coarse, out):
        calls.upsample(coarse, out)
        return
    source, target = core.contiguous(coarse, "f"), core.contiguous(out, "B", writable=True)
    _upsample(source, *coarse.shape, target, *out.shape)


def halve(plane: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Take the rounded mean of every 2x2 samples; the last row and column repeat if odd."""
    if calls.on_device(plane, out):
        calls.halve(plane, out)
        return
    height, width = plane.shape
    source = core.plane(plane)
    target = core.contiguous(out, "B", ((height + 1) // 2, (width + 1) // 2), writable=True)
    _halve(source, plane.strides[0], height, width, target)


def shrink(plane: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Shrink a plane by area means to a grid that is not larger.

    Raises
    ------
    TypeError
        If the grid is larger.
    """
    if calls.on_device(plane, out):
        calls.shrink(plane, out)
        return
    source, target = core.plane(plane), core.contiguous(out, "f", writable=True)
    if any(length > most for length, most in zip(out.shape, plane.shape, strict=True)):
        message = f"a plane of {plane.shape} cannot be shrunk to {out.shape}"
        raise TypeError(message)
    _shrink(source, plane.strides[0], *plane.shape, target, *out.shape)


def shrunk(plane: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a plane at a size that is not larger, in new memory: `shrink`, rounded."""
    if calls.on_device(plane):
        return calls.shrunk(plane, shape)  # type: ignore[no-any-return]
    means = np.empty(shape, np.float32)
    shrink(plane, means)
    return np.rint(means).astype(np.uint8)
