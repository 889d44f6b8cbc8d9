"""Image pyramid of a frame: small planes for analysis.

The *working grid* is the size of the planes after halving until the shorter side is below 512
pixels, and scaling by two thirds if it is still 384 or more: 480x270 for 1080p, 640x360 for 720p,
428x320 for 640x480. The *half grid* has one sample for every 2x2 of it.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from greenroom import core
from greenroom.cuda import calls
from greenroom.media.resampling import halve, shrunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

__all__ = ["Pyramid", "crop", "halved", "halvings_to", "pyramid", "reduced", "working_size"]

# Minimum shorter side of the working grid, for larger frames.
_MIN_SIDE_PX: Final = 256
# Shorter side from which the halved planes are scaled by two thirds.
_TWO_THIRDS_FROM_PX: Final = 384
# Number of frame sizes, and of parts of frames, of which it is remembered where their planes lie.
_CACHED_SIZES: Final = 32
_CACHED_CUTS: Final = 64

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
    if calls.on_device(*planes):
        return _on_device(planes)
    shapes, contiguous = zip(*[(one.shape, one.flags.c_contiguous) for one in planes], strict=True)
    plan = _plan(shapes, are_contiguous=all(contiguous))
    first = planes[0]
    if len(planes) == 1:
        others = (0, 0, 0, 0, 0, 0)
    else:
        _, second, third = planes
        others = (
            *(core.plane(second), second.strides[0]),
            *(core.plane(third, second.shape), third.strides[0]),
            *second.shape,
        )
    memory = np.empty(plan.size, np.uint8)
    start = core.address(memory)
    small, halves, glance = plan.starts
    _pyramid(
        *(core.plane(first), first.strides[0], *first.shape),
        *others,
        len(planes),
        plan.halvings,
        *plan.working,
        None if small is None else start + small,
        start + halves,
        start + glance,
    )
    *smalls, halved_planes, seen = [memory[part].reshape(shape) for part, shape in plan.parts]
    return Pyramid(tuple(smalls) or planes, halved_planes, seen, plan.halvings)


def _on_device(planes: tuple[Any, ...]) -> Pyramid:
    """Make the small planes of a frame on the device that its planes are on."""
    first = planes[0]
    plan = _plan(tuple([plane.shape for plane in planes]), are_contiguous=True)
    half = _half(plan.working)
    halves = calls.empty((len(planes), *half), first)
    smalls = []
    for plane, target in zip(planes, halves, strict=True):
        is_half = plane.shape != first.shape
        wanted = half if is_half else plan.working
        small: Any = halved((plane,), plan.halvings)[0]
        if small.shape != wanted:
            large, small = small, calls.empty(wanted, first)
            calls.two_thirds(large, small)
        else:
            small = calls.packed(small)
        (calls.copy_plane if is_half else halve)(small, target)
        smalls.append(small)
    return Pyramid(tuple(smalls), halves, halved((halves[0],), 2)[0], plan.halvings)


class _PyramidLayout(NamedTuple):
    """Sizes of the small planes of frames of one size, and where they lie in one block of memory.

    Attributes
    ----------
    halvings : int
        See `Pyramid`.
    working : (int, int)
        Height and width of the working grid.
    parts : tuple of (slice, shape)
        Of the small planes, where they are not the frame's own, the half grid and the glance.
    starts : (int or None, int, int)
        Where the small planes, the half grid and the glance begin.
    size : int
        Bytes of all.
    """

    halvings: int
    working: tuple[int, int]
    parts: tuple[tuple[slice, tuple[int, ...]], ...]
    starts: tuple[int | None, int, int]
    size: int


@lru_cache(maxsize=_CACHED_SIZES)
def _plan(shapes: tuple[tuple[int, ...], ...], *, are_contiguous: bool) -> _PyramidLayout:
    first, *others = shapes
    height, width = first
    small_width, small_height = working_size((width, height))
    working = small_height, small_width
    half = _half(working)
    stored: list[tuple[int, ...]] = [working]
    if others:
        if others[0] not in (first, _half(first)):
            message = f"expected planes of {first} or half of it, not {others[0]}"
            raise TypeError(message)
        stored += 2 * [working if others[0] == first else half]
    if small_height == height and are_contiguous:
        stored = []
    wanted = [*stored, (len(shapes), *half), _half(_half(half))]
    stops = [*accumulate(map(prod, wanted))]
    begins = [0, *stops[:-1]]
    return _PyramidLayout(
        halvings_to((width, height), (_MIN_SIDE_PX, _MIN_SIDE_PX)),
        working,
        tuple((slice(*ends), shape) for *ends, shape in zip(begins, stops, wanted, strict=True)),
        (0 if stored else None, begins[-2], begins[-1]),
        stops[-1],
    )


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
    cut = _cut(
        tuple([plane.shape for plane in planes]), pyramid.halvings, pyramid.small[0].shape, box
    )
    views = [
        plane[part]
        for plane, part in zip(pyramid.small if cut.of_small else planes, cut.parts, strict=True)
    ]
    return halved(tuple(views), cut.times)


class _Cut(NamedTuple):
    """A part of planes: whether of the small ones, its slices, and the halvings that follow."""

    of_small: bool
    parts: tuple[tuple[slice, slice], ...]
    times: int


@lru_cache(maxsize=_CACHED_CUTS)
def _cut(
    shapes: tuple[tuple[int, ...], ...],
    halvings: int,
    small: tuple[int, ...],
    box: tuple[int, int, int, int],
) -> _Cut:
    high, wide = (-(-length >> halvings) for length in shapes[0])
    left, right = (_even(place, small[1], wide) for place in box[::2])
    top, bottom = (_even(place, small[0], high) for place in box[1::2])
    shorter, times = min(right - left, bottom - top), halvings
    while times and shorter << (halvings - times) < _MIN_SIDE_PX:
        times -= 1
    by, of_small = halvings, False
    if times and times == by and small == (high, wide):  # there already
        of_small, times, by = True, 0, 0
    parts = []
    for shape in shapes:
        step = 1 if shape == shapes[0] else 2
        rows = slice(top // step << by, -(-bottom // step) << by)
        parts.append((rows, slice(left // step << by, -(-right // step) << by)))
    return _Cut(of_small, tuple(parts), times)


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
    out: Plane = calls.empty(_half(plane.shape), plane)
    halve(plane, out)
    return out


def _even(place: int, length: int, other: int) -> int:
    """Map a position on one grid to another: even, except at the end."""
    if place == length:
        return other
    return place if length == other else 2 * round(place * other / length / 2)


def _half(shape: tuple[int, ...]) -> tuple[int, int]:
    height, width = shape
    return (height + 1) // 2, (width + 1) // 2
