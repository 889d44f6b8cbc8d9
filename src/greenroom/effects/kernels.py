"""Loops over planes for the effects, compiled by numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from greenroom.jit import PLANE, READ_MATTE, READ_PLANE, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["enlarge", "scale_chroma", "tone_rgb"]

_OPTIONS = {"nogil": True, "fastmath": {"contract", "reassoc"}}
_TABLE = types.Array(types.float32, 1, "C", readonly=True)


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _weigh(share: float, sharp: bool, weights: Floats) -> None:  # noqa: FBT001 - numba has no keywords
    """Weigh four neighbours for a place between the middle two: linear, or Keys's cubic."""
    weights[0] = weights[3] = 0
    weights[1], weights[2] = 1 - share, share
    if sharp:
        # R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981: a = -1/2.
        for index in range(4):
            d = abs(share + 1 - index)
            near = (1.5 * d - 2.5) * d * d + 1
            far = ((-0.5 * d + 2.5) * d - 4) * d + 2
            weights[index] = near if d <= 1 else far


# These are functions of slices that start at 0: only such loops are vectorised.
@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _across(source: Floats, left: NDArray[np.uint32], weights: Floats, row: Floats) -> None:
    a, b, c, d = weights[0], weights[1], weights[2], weights[3]
    for x in range(len(row)):
        i = left[x]
        row[x] = (
            source[i] * a[x]
            + source[i + np.uint32(1)] * b[x]
            + source[i + np.uint32(2)] * c[x]
            + source[i + np.uint32(3)] * d[x]
        )


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _across_linear(source: Floats, left: NDArray[np.uint32], share: Floats, row: Floats) -> None:
    for x in range(len(row)):
        i = left[x] + np.uint32(1)
        value = source[i]
        row[x] = value + (source[i + np.uint32(1)] - value) * share[x]


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _down(  # noqa: PLR0913, PLR0917 - four rows at once
    a: Floats, b: Floats, c: Floats, d: Floats, weights: Floats, out: Plane
) -> None:
    wa, wb, wc, wd = weights[0], weights[1], weights[2], weights[3]
    for x in range(len(out)):
        value = a[x] * wa + b[x] * wb + c[x] * wc + d[x] * wd
        value = min(max(value, np.float32(0)), np.float32(255))
        out[x] = np.uint8(np.int32(value + np.float32(0.5)))


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _widen(source: Plane, target: Floats) -> None:
    for x in range(len(target)):
        target[x] = np.float32(source[x])


@kernel(READ_PLANE, types.float64, types.float64, types.float64, types.boolean, PLANE)
def enlarge(  # noqa: PLR0913, PLR0917 - a kernel has no object to put them in
    plane: Plane,
    left: float,
    top: float,
    scale: float,
    sharp: bool,  # noqa: FBT001
    out: Plane,
) -> None:
    """Show a part of a plane over all of another.

    Sample (x, y) of the result is what the plane has at ``left + (x + 0.5) * scale - 0.5`` and
    likewise down: linearly interpolated, or cubically where ``sharp``. Edges are repeated.
    """
    high, wide = plane.shape
    height, width = out.shape
    lefts = np.empty(width, np.uint32)
    columns = np.empty((4, width), np.float32)
    weights = np.empty(4, np.float32)
    for x in range(width):
        place = min(max(left + (x + 0.5) * scale - 0.5, 0.0), wide - 1.0)
        lefts[x] = min(int(place), max(wide - 2, 0))
        _weigh(place - lefts[x], sharp, weights)
        for index in range(4):
            columns[index, x] = weights[index]
    padded = np.empty(wide + 3, np.float32)  # one sample before, two behind
    rows = np.empty((4, width), np.float32)
    held = np.full(4, -9, np.int64)
    for y in range(height):
        place = min(max(top + (y + 0.5) * scale - 0.5, 0.0), high - 1.0)
        first = min(int(place), max(high - 2, 0)) - 1
        _weigh(place - first - 1, sharp, weights)
        for index in range(first, first + 4):
            needed = sharp or first < index < first + 3
            if needed and held[index & 3] != index:
                held[index & 3] = index
                _widen(plane[min(max(index, 0), high - 1)], padded[1 : wide + 1])
                padded[0] = padded[1]
                padded[wide + 1] = padded[wide + 2] = padded[wide]
                if sharp:
                    _across(padded, lefts, columns, rows[index & 3])
                else:
                    _across_linear(padded, lefts, columns[2], rows[index & 3])
        second, third = rows[(first + 1) & 3], rows[(first + 2) & 3]
        if sharp:
            _down(rows[first & 3], second, third, rows[(first + 3) & 3], weights, out[y])
        else:
            _down(second, second, third, third, weights, out[y])


@kernel(READ_PLANE, READ_MATTE, PLANE)
def scale_chroma(plane: Plane, gain: Plane, out: Plane) -> None:
    """Multiply what chroma differs from 128 by a gain in 64ths."""
    height, width = out.shape
    for y in range(height):
        source, factor, target = plane[y], gain[y], out[y]
        for x in range(width):
            colour = np.int16(np.int16(source[x]) - np.int16(128))
            scaled = np.int32(colour) * np.int32(factor[x]) + np.int32(32)
            moved = np.int32(128) + (scaled >> np.int32(6))
            target[x] = np.uint8(min(max(moved, np.int32(0)), np.int32(255)))


@kernel(READ_PLANE, READ_PLANE, READ_PLANE, _TABLE, _TABLE, _TABLE, PLANE, PLANE, PLANE)
def tone_rgb(  # noqa: PLR0913, PLR0917 - three planes at once: luma is made of all
    green: Plane,
    blue: Plane,
    red: Plane,
    coefficients: Floats,
    curve: Floats,
    gain: Floats,
    out_green: Plane,
    out_blue: Plane,
    out_red: Plane,
) -> None:
    """Move luma along a curve, and colour, which is what differs from luma, by a gain.

    Both tables have 256 entries, by luma rounded.
    """
    height, width = green.shape
    top, half = np.float32(255), np.float32(0.5)
    for y in range(height):
        for x in range(width):
            g, b, r = np.float32(green[y, x]), np.float32(blue[y, x]), np.float32(red[y, x])
            luma = coefficients[0] * g + coefficients[1] * b + coefficients[2] * r
            index = np.int32(luma + half)
            moved, factor = curve[index], gain[index]
            out_green[y, x] = np.uint8(min(max(moved + (g - luma) * factor, 0), top) + half)
            out_blue[y, x] = np.uint8(min(max(moved + (b - luma) * factor, 0), top) + half)
            out_red[y, x] = np.uint8(min(max(moved + (r - luma) * factor, 0), top) + half)
