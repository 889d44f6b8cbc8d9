"""Loops between planes and what networks take and give, compiled by numba."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from greenroom.jit import FLOATS, READ_FLOATS, READ_MATTE, kernel, types

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Planes = tuple[Plane, Plane, Plane]
    Floats = NDArray[np.float32]

__all__ = ["difference", "margin", "mixer"]

_PLANES: Any = types.UniTuple(READ_MATTE, 3)  # type: ignore[attr-defined]
_SAMPLES = {"float32": types.float32, "uint8": types.uint8}


@cache
def mixer(dtype: str, *, planar: bool) -> Callable[..., None]:
    """Return the loop that fills an input, compiled when it is first asked for.

    Parameters
    ----------
    dtype : str
        ``float32`` or ``uint8``.
    planar : bool
        Whether the target is (3, h, w), not (h, w, 3).

    Returns
    -------
    callable
        Of a tuple of three planes (h, w), a (3, 4) matrix that takes their samples to the channels,
        (3, 2) least and largest values, and the target. Real numbers are cut off, not
        rounded, where the target's are whole.
    """
    target = types.Array(_SAMPLES[dtype], 3, "C")
    compiled = kernel(_PLANES, READ_FLOATS, READ_FLOATS, target)
    return compiled(_mix_planar if planar else _mix)


def _mix(planes: Planes, matrix: Floats, limits: Floats, out: NDArray[Any]) -> None:
    first, second, third = planes
    height, width = first.shape
    low0, low1, low2 = limits[0, 0], limits[1, 0], limits[2, 0]
    high0, high1, high2 = limits[0, 1], limits[1, 1], limits[2, 1]
    for y in range(height):
        target = out[y]
        for x in range(width):
            a, b, c = np.float32(first[y, x]), np.float32(second[y, x]), np.float32(third[y, x])
            red = matrix[0, 0] * a + matrix[0, 1] * b + matrix[0, 2] * c + matrix[0, 3]
            green = matrix[1, 0] * a + matrix[1, 1] * b + matrix[1, 2] * c + matrix[1, 3]
            blue = matrix[2, 0] * a + matrix[2, 1] * b + matrix[2, 2] * c + matrix[2, 3]
            target[x, 0] = min(max(red, low0), high0)
            target[x, 1] = min(max(green, low1), high1)
            target[x, 2] = min(max(blue, low2), high2)


def _mix_planar(planes: Planes, matrix: Floats, limits: Floats, out: NDArray[Any]) -> None:
    first, second, third = planes
    height, width = first.shape
    for channel in range(3):
        from_a, from_b, from_c = matrix[channel, 0], matrix[channel, 1], matrix[channel, 2]
        offset, low, high = matrix[channel, 3], limits[channel, 0], limits[channel, 1]
        for y in range(height):
            target = out[channel, y]
            for x in range(width):
                a, b, c = np.float32(first[y, x]), np.float32(second[y, x]), np.float32(third[y, x])
                value = from_a * a + from_b * b + from_c * c + offset
                target[x] = min(max(value, low), high)


@cache
def margin() -> Callable[..., None]:
    """Return the loop that compares classes, compiled when it is first asked for.

    Returns
    -------
    callable
        Of logits (h, w, c) float32, of any strides; handicaps (2, c) float32, the first row
        0 for kept classes and the second for others, and far below every logit otherwise;
        and the distances (h, w) float32 to write: the best kept logit minus the best other
        one, NaN where any is no finite number.
    """
    logits = types.Array(types.float32, 3, "A", readonly=True)
    return kernel(logits, READ_FLOATS, FLOATS)(_margin)


def _margin(logits: Floats, handicaps: Floats, out: Floats) -> None:
    height, width, channels = logits.shape
    for y in range(height):
        for x in range(width):
            best, other, total = np.float32(-np.inf), np.float32(-np.inf), np.float32(0)
            for channel in range(channels):
                value = logits[y, x, channel]
                total += value
                best = max(best, value + handicaps[0, channel])
                other = max(other, value + handicaps[1, channel])
            # A maximum may pass over NaN; a sum does not.
            out[y, x] = best - other + (total - total)


@cache
def difference() -> Callable[..., None]:
    """Return the loop that compares a foreground with what the network saw.

    Returns
    -------
    callable
        Of a foreground (h, w, 3) RGB in 0..1, of any strides; a tuple of the three planes
        (h, w) that the network saw; the (3, 4) matrix from (red, green, blue, 1) to their
        samples; and the differences (3, h, w) float32 to write.
    """
    foreground = types.Array(types.float32, 3, "A", readonly=True)
    out = types.Array(types.float32, 3, "C")
    return kernel(foreground, _PLANES, READ_FLOATS, out)(_difference)


def _difference(foreground: Floats, planes: Planes, matrix: Floats, out: Floats) -> None:
    first, second, third = planes
    height, width = first.shape
    for y in range(height):
        for x in range(width):
            red, green, blue = foreground[y, x, 0], foreground[y, x, 1], foreground[y, x, 2]
            a = matrix[0, 0] * red + matrix[0, 1] * green + matrix[0, 2] * blue + matrix[0, 3]
            b = matrix[1, 0] * red + matrix[1, 1] * green + matrix[1, 2] * blue + matrix[1, 3]
            c = matrix[2, 0] * red + matrix[2, 1] * green + matrix[2, 2] * blue + matrix[2, 3]
            out[0, y, x] = a - np.float32(first[y, x])
            out[1, y, x] = b - np.float32(second[y, x])
            out[2, y, x] = c - np.float32(third[y, x])
