"""Image pyramid of a frame: small planes for analysis.

The *working grid* is the size of the planes after halving until the shorter side is below 512
pixels, and scaling by two thirds if it is still 384 or more: 480x270 for 1080p, 640x360 for 720p,
428x320 for 640x480. The *half grid* has one sample for every 2x2 of it.
"""

from __future__ import annotations

from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from greenroom import core
from greenroom.media.resampling import halve, shrunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

__all__ = ["Pyramid", "crop", "halved", "halvings_to", "pyramid", "reduced", "working_size"]

# Minimum shorter side of the working grid, for larger frames.
_MIN_SIDE_PX: Final = 256
# Shorter side from which the halved planes are scaled by two thirds.
_TWO_THIRDS_FROM_PX: Final = 384

_pyramid = core.function("pyramid", "pnii pn pn ii ii ii ppp")


class Pyramid(NamedTuple):
    """Small planes of one frame, in shared memory. Read only.

    Attributes
    ----------
    small : tuple of (h, w) uint8, contiguous
        On the working grid; of 4:2:0, chroma on the half grid. The frame's own planes, where the
        working grid is the frame's and they are contiguous.
    halves : (planes, h, w) uint8, contiguous
        All planes on the half grid.
    glance : (h, w) uint8, contiguous
        The first at an eighth of the working grid's size.
    halvings : int
        Number of halvings from the frame to the working grid.
    """

    small: tuple[Plane, ...]
    halves: NDArray[np.uint8]
    glance: Plane
    halvings: int


def halvings_to(size: tuple[int, int], least: tuple[int, int]) -> int:
    """Return how often a size (width, height) can be halved without falling below ``least``."""
    (width, height), times = size, 0
    while width >= 2 * least[0] and height >= 2 * least[1]:
        width, height, times = width // 2, height // 2, times + 1
    return times


def working_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (width, height) of the working grid for a frame's (width, height)."""
    times = halvings_to(size, (_MIN_SIDE_PX, _MIN_SIDE_PX))
    width, height = (-(-length >> times) for length in size)
    if min(width, height) < _TWO_THIRDS_FROM_PX:
        return width, height
    # Multiples of four, so that luma and chroma can both be halved exactly.
    return 4 * ((width + 3) // 6), 4 * ((height + 3) // 6)


def pyramid(planes: tuple[Plane, ...]) -> Pyramid:
    """Make a frame's small planes.

    Parameters
    ----------
    planes : tuple of (H, W) uint8
        One plane or three; the second and third of one shape, that of the first or half of it.
        Rows may be padded. Read only.

    Raises
    ------
    TypeError
        If the planes have other types or shapes.
    """
    first = planes[0]
    height, width = first.shape
    halvings = halvings_to((width, height), (_MIN_SIDE_PX, _MIN_SIDE_PX))
    small_width, small_height = working_size((width, height))
    half = _half((small_height, small_width))
    shapes = [(small_height, small_width)]
    addresses = [core.plane(first), first.strides[0], height, width]
    if len(planes) == 1:
        addresses += [0, 0, 0, 0, 0, 0]
    else:
        _, second, third = planes
        if second.shape not in (first.shape, _half(first.shape)):
            message = f"expected planes of {first.shape} or half of it, not {second.shape}"
            raise TypeError(message)
        shapes += 2 * [shapes[0] if second.shape == first.shape else half]
        addresses += [core.plane(second), second.strides[0]]
        addresses += [core.plane(third, second.shape), third.strides[0], *second.shape]
    is_stored = small_height != height or not all(one.flags.c_contiguous for one in planes)
    shapes = shapes if is_stored else []
    memory = _Memory([*shapes, (len(planes), *half), _half(_half(half))])
    *small, halves, glance = memory.arrays
    _pyramid(
        *addresses,
        len(planes),
        halvings,
        small_height,
        small_width,
        memory.addresses[0] if is_stored else None,
        *memory.addresses[-2:],
    )
    return Pyramid(tuple(small) if is_stored else planes, halves, glance, halvings)


def crop(
    planes: tuple[Plane, ...], pyramid: Pyramid, box: tuple[int, int, int, int]
) -> tuple[Plane, ...]:
    """Return a part of a frame's planes, halved while it stays large enough for a model's input.

    Parameters
    ----------
    planes : tuple of (H, W) uint8
        The frame's planes.
    pyramid : Pyramid
        The pyramid of these planes.
    box : (int, int, int, int)
        Left, top, right and bottom on the working grid; even, but for a right or bottom that is the
        picture's own.

    Returns
    -------
    tuple of (h, w) uint8
        Views of the small planes or of the frame's planes, or the box halved into new memory. The
        shorter side of the first has at least 256 samples if the frame's part has.
    """
    high, wide = planes[0].shape
    high, wide = (-(-length >> pyramid.halvings) for length in (high, wide))
    small = pyramid.small[0].shape
    left, right = (_even(place, small[1], wide) for place in box[::2])
    top, bottom = (_even(place, small[0], high) for place in box[1::2])
    shorter, times = min(right - left, bottom - top), pyramid.halvings
    while times and shorter << (pyramid.halvings - times) < _MIN_SIDE_PX:
        times -= 1
    by = pyramid.halvings
    if times and times == by and small == (high, wide):  # there already
        planes, times, by = pyramid.small, 0, 0
    views = []
    for plane in planes:
        step = 1 if plane.shape == planes[0].shape else 2
        rows = slice(top // step << by, -(-bottom // step) << by)
        views.append(plane[rows, left // step << by : -(-right // step) << by])
    return halved(tuple(views), times)


def halved(planes: tuple[Plane, ...], times: int) -> tuple[Plane, ...]:
    """Halve planes several times: the rounded mean of every 2x2 samples.

    The last row and column repeat if odd. For ``times`` 0 the planes themselves are returned.
    """
    for _ in range(times):
        planes = tuple(_halved(plane) for plane in planes)
    return planes


def reduced(plane: Plane, shape: tuple[int, int]) -> Plane:
    """Halve a plane to a smaller shape; the plane itself if it has that shape.

    If halving does not give the shape, samples are area means.
    """
    while plane.shape != shape:
        height, width = _half(plane.shape)
        if height < shape[0] or width < shape[1]:
            return shrunk(plane, shape)
        plane = _halved(plane)
    return plane


def _halved(plane: Plane) -> Plane:
    out = np.empty(_half(plane.shape), np.uint8)
    halve(plane, out)
    return out


def _even(place: int, length: int, other: int) -> int:
    """Map a position on one grid to another: even, except at the end."""
    if place == length:
        return other
    return place if length == other else 2 * round(place * other / length / 2)


class _Memory:
    """Several byte arrays in one block of memory."""

    def __init__(self, shapes: list[tuple[int, ...]]) -> None:
        stops = [*accumulate(map(prod, shapes))]
        whole = np.empty(stops[-1], np.uint8)
        starts = [0, *stops[:-1]]
        first = core.contiguous(whole, "B", whole.shape, writable=True)
        self.addresses = [first + start for start in starts]
        self.arrays = [
            whole[start:stop].reshape(shape)
            for start, stop, shape in zip(starts, stops, shapes, strict=True)
        ]


def _half(shape: tuple[int, ...]) -> tuple[int, int]:
    height, width = shape
    return (height + 1) // 2, (width + 1) // 2
