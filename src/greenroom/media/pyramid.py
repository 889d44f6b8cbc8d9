"""A frame's planes at the small sizes that everything but its edges is found on.

The *working grid* is that of the planes when they were halved until their shorter side is below
512 pixels, and made of two thirds of that where it is 384 or more still: 480x270 of 1080p, 640x360
of 720p, 428x320 of 640x480. The *half grid* has a sample for 2x2 of it.
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

# The shorter side of the working grid is at least so long, of larger frames.
_LEAST_PX: Final = 256
# What is so long after halving is made of two thirds.
_LONG_PX: Final = 384

_pyramid = core.function("pyramid", "pnii pn pn ii ii ii ppp")


class Pyramid(NamedTuple):
    """The small planes of one frame. They share memory, which nobody writes to.

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
        How often the planes were halved for the working grid.
    """

    small: tuple[Plane, ...]
    halves: NDArray[np.uint8]
    glance: Plane
    halvings: int


def halvings_to(size: tuple[int, int], least: tuple[int, int]) -> int:
    """Tell how often a size (width, height) can be halved without falling below a least one."""
    (width, height), times = size, 0
    while width >= 2 * least[0] and height >= 2 * least[1]:
        width, height, times = width // 2, height // 2, times + 1
    return times


def working_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the working grid of a frame of a width and height."""
    times = halvings_to(size, (_LEAST_PX, _LEAST_PX))
    width, height = (-(-length >> times) for length in size)
    if min(width, height) < _LONG_PX:
        return width, height
    # Multiples of four, so that half of it is half of it, and half of chroma half of that.
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
        If they are anything else.
    """
    first = planes[0]
    height, width = first.shape
    halvings = halvings_to((width, height), (_LEAST_PX, _LEAST_PX))
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
    """View a part of a frame's planes, halved as far as that does no harm to a model's input.

    Parameters
    ----------
    planes : tuple of (H, W) uint8
        The frame's.
    pyramid : Pyramid
        Theirs.
    box : (int, int, int, int)
        Left, top, right and bottom on the working grid; even, but for a right or bottom that is the
        picture's own.

    Returns
    -------
    tuple of (h, w) uint8
        Views of the small planes or of the frame's, or new memory: the box alone is halved then.
        The shorter side of the first is as long as a model's input where that of the frame's is.
    """
    high, wide = planes[0].shape
    high, wide = (-(-length >> pyramid.halvings) for length in (high, wide))
    small = pyramid.small[0].shape
    left, right = (_even(place, small[1], wide) for place in box[::2])
    top, bottom = (_even(place, small[0], high) for place in box[1::2])
    shorter, times = min(right - left, bottom - top), pyramid.halvings
    while times and shorter << (pyramid.halvings - times) < _LEAST_PX:
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
    """Take the rounded mean of every 2x2 samples of planes, several times over.

    The last row and column repeat if odd. The planes themselves for none.
    """
    for _ in range(times):
        planes = tuple(_halved(plane) for plane in planes)
    return planes


def reduced(plane: Plane, shape: tuple[int, int]) -> Plane:
    """Halve a plane to a smaller shape; the plane itself if it has that shape.

    Where halving leads past it, samples are the means of the area that they stand for.
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
    """Return where a place on a grid is on another one: even, but for the end."""
    if place == length:
        return other
    return place if length == other else 2 * round(place * other / length / 2)


class _Memory:
    """Several arrays of bytes, one after the other."""

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
