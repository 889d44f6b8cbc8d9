"""Resizing of planes for models' inputs, with an anti-aliasing filter.

A Gaussian filter where interpolation alone would skip samples, followed by cubic convolution [1]_.
The Gaussian's variance is the difference between those of a triangle that reaches to the next
sample of the result and of one that reaches to the next sample of the plane. Both steps are linear,
so each result is one weighted sum; the weights are computed once for each pair of lengths.

References
----------
.. [1] R. Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE TASSP 1981.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom import core
from greenroom.cuda import calls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["fill", "resized", "weights"]

# Filters with a smaller standard deviation, in samples, are skipped.
_MIN_SIGMA: Final = 0.3
# Radius of the filter in standard deviations.
_RADIUS_SIGMAS: Final = 1.5
# Slope of the interpolation kernel at a distance of one sample (a of Keys).
_SLOPE: Final = -0.75
# Cached tables of weights: regions change their size, and have three planes each.
_CACHED_TABLES: Final = 64

_resize = core.function("resize", "pni pp p")
_fill = core.function("fill", "pnipp pnipp pnipp ppp")


def resized(plane: Plane, shape: tuple[int, int]) -> Plane:
    """Return a plane (H, W) resized to a shape, in new memory; rows may be padded."""
    if calls.on_device(plane):
        return _resized_on_device(plane, shape)
    out = np.empty(shape, np.uint8)
    source, target = core.plane(plane), core.contiguous(out, "B", writable=True)
    down, across = (_table(*lengths) for lengths in zip(plane.shape, shape, strict=True))
    _resize(source, plane.strides[0], plane.shape[1], down.address, across.address, target)
    return out


def fill(planes: tuple[Plane, ...], matrix: Floats, limits: Floats, out: Floats) -> None:
    """Fill a network's input with a picture.

    Parameters
    ----------
    planes : three (H, W) uint8
        Of any sizes; rows may be padded. Read only.
    matrix : (3, 4) float32
        Maps their samples, and 1, to the channels.
    limits : (3, 2) float32
        Minimum and maximum of each channel.
    out : (h, w, 3) float32
        The result: as from `resized`, but without rounding before the matrix.
    """
    if calls.on_device(*planes, out):
        tables = [_numbers(plane.shape, out.shape[:2]) for plane in planes]
        calls.fill(planes, tables, matrix, limits, out)
        return
    first, second, third = planes
    height, width, _ = out.shape
    target = core.contiguous(out, "f", (height, width, 3), writable=True)
    by, ends = core.contiguous(matrix, "f", (3, 4)), core.contiguous(limits, "f", (3, 2))
    arguments: list[int] = []
    kept = []  # until the core has read them
    for plane in (first, second, third):
        arguments += [core.plane(plane), plane.strides[0], plane.shape[1]]
        down, across = _table(plane.shape[0], height), _table(plane.shape[1], width)
        kept += [down, across]
        arguments += [down.address, across.address]
    _fill(*arguments, by, ends, target)


def _resized_on_device(plane: Any, shape: tuple[int, int]) -> Plane:
    """Return a plane of a device resized, in new memory of the device."""
    out: Plane = plane.device.empty(shape)
    down, across = _numbers(plane.shape, shape)
    calls.resize(plane, down, across, out)
    return out


def _numbers(source: tuple[int, ...], target: tuple[int, ...]) -> tuple[NDArray[np.int32], ...]:
    """Return the tables of rows and columns."""
    return tuple([_table(*lengths).numbers for lengths in zip(source, target, strict=True)])


def weights(length: int, wanted: int) -> tuple[NDArray[np.int32], Floats]:
    """Return the weights that resample a row or column to another length.

    Parameters
    ----------
    length, wanted : int
        Number of samples before and after.

    Returns
    -------
    starts : (wanted,) int32
        Index of the first input sample of each output sample.
    weights : (taps, wanted) float32
        Weights of that sample and those after it. The first and last samples repeat beyond the
        ends.
    """
    sigma = math.sqrt(max(0.0, (length / wanted) ** 2 - 1) / 6)
    reach = math.ceil(_RADIUS_SIGMAS * sigma) if sigma > _MIN_SIGMA else 0
    offsets = np.arange(-reach, reach + 1)
    filters = np.exp(-0.5 * (offsets / sigma) ** 2) if reach else np.ones(1)
    filters /= filters.sum()
    places = (np.arange(wanted) + 0.5) * (length / wanted) - 0.5
    left = np.floor(places).astype(int)
    # With a filter, the outermost sample weighs at most 2 %, which is added to the one before.
    taps = min(2 + 2 * max(reach, 1), length)
    starts = np.clip(left - max(reach, 1), 0, length - taps)
    found = np.zeros((wanted, taps))
    rows = np.arange(wanted)
    for tap in range(-1, 3):
        cubic = _cubic(np.abs(places - left - tap))
        near = np.clip(left + tap, 0, length - 1)  # after the filter the ends repeat
        for offset, share in zip(offsets, filters, strict=True):
            at = _mirrored(near + offset, length)  # before it they are mirrored
            np.add.at(found, (rows, np.clip(at - starts, 0, taps - 1)), cubic * share)
    return starts.astype(np.int32), np.ascontiguousarray(found.T, np.float32)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the interpolation's kernel at distances from 0 to 2."""
    near = ((_SLOPE + 2) * distance - (_SLOPE + 3)) * distance**2 + 1
    far = _SLOPE * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, far)


def _mirrored(places: NDArray[np.int_], length: int) -> NDArray[np.int_]:
    """Reflect positions beyond the ends back inside."""
    if length == 1:
        return np.zeros_like(places)
    period = 2 * (length - 1)
    places = np.abs(places) % period
    return np.minimum(places, period - places)


class _Table:
    """`weights` in the core's layout, read only: shape, starts and weights."""

    def __init__(self, length: int, wanted: int) -> None:
        starts, found = weights(length, wanted)
        lengths = np.array(found.shape, np.int32)
        self.numbers = np.concatenate([lengths, starts, found.ravel().view(np.int32)])
        self.address = core.contiguous(self.numbers, "i", self.numbers.shape)


_table = lru_cache(_CACHED_TABLES)(_Table)
