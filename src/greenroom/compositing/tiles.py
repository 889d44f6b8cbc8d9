"""Mattes and composites made tile by tile, by the core.

Most tiles are a copy of the background or of the frame. Where the matte is soft it is computed from
small grids, and blended at once while it is in the cache.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom import core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = [
    "CHUNK",
    "CLEAR",
    "SOFT",
    "SOLID",
    "TILE",
    "TILE_ROWS",
    "Composition",
    "Coverage",
    "Guide",
    "make",
]

TILE: Final = 32
"""Samples in each row of a tile."""
TILE_ROWS: Final = 16
"""Rows of a tile of the matte."""

CLEAR: Final = 0
SOLID: Final = 1
SOFT: Final = 2

CHUNK: Final = 8
"""Samples of a row that are computed at a time."""
# Numbers of columns of the working grid under a chunk for which the core has unrolled loops.
_TAPS: Final = (4, 6, 9)
# Number of frame sizes whose interpolation tables are cached.
_CACHED_SIZES: Final = 8

_sort = core.function("sort_tiles", "pppp")
_coverage_bytes = core.function("coverage_bytes", "pnp")
_compose = core.function("compose", "p")


class _PlacesFields(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("height", "width", "low_height", "low_width")),
        *((name, ctypes.c_int32) for name in ("half_height", "half_width", "taps")),
        *((name, ctypes.c_void_p) for name in ("row_above", "row_share", "row_half")),
        *((name, ctypes.c_void_p) for name in ("chunk_start", "chunk_weights", "chunk_halves")),
    )


class _GuideFields(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("base", "slope", "reference", "kinds", "places")),
        ("noise", ctypes.c_float),
    )


class _PictureFields(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int32) for name in ("height", "width", "planes", "halved")),
        *((name, ctypes.c_int32) for name in ("straight", "cell", "map_rows", "map_columns")),
        *((name, ctypes.c_void_p * 3) for name in ("front", "back", "out")),
        *((name, ctypes.c_ssize_t * 3) for name in ("front_stride", "back_stride", "out_stride")),
        ("maps", ctypes.c_void_p),
        ("values", ctypes.c_void_p),
        ("values_stride", ctypes.c_ssize_t),
        *((name, ctypes.c_void_p) for name in ("tiles", "soft", "guide", "luma")),
        ("luma_stride", ctypes.c_ssize_t),
        ("whole", ctypes.c_void_p),
        ("whole_stride", ctypes.c_ssize_t),
        ("held", ctypes.c_void_p),
    )


class _Places:
    """Interpolation tables from the small grids to a frame; the same for all frames of a size."""

    def __init__(self, shape: tuple[int, int], low: tuple[int, int], half: tuple[int, int]) -> None:
        (height, width), (low_height, low_width) = shape, low
        if low_height > height or low_width > width or min(*shape, *low, *half) < 1:
            message = f"a matte of {low} cannot be enlarged to {shape}"
            raise TypeError(message)
        above, share = _between(height, low_height)
        left, weight = _between(width, low_width)
        chunks = -(-width // CHUNK)
        first = np.arange(chunks) * CHUNK
        last = np.minimum(first + CHUNK, width) - 1
        needed = int((left[last] + 1 - left[first]).max()) + 1
        taps = min(next(taps for taps in _TAPS if taps >= needed), low_width)
        start = np.minimum(left[first], low_width - taps).astype(np.int32)
        weights = np.zeros((chunks, taps, CHUNK), np.float32)
        x = np.arange(width)
        chunk, at = x // CHUNK, x % CHUNK
        weights[chunk, left - start[chunk], at] = 1 - weight
        right = np.minimum(left + 1, low_width - 1)
        weights[chunk, right - start[chunk], at] += weight
        self._arrays: tuple[NDArray[Any], ...] = (
            above,
            share,
            (np.arange(height) * half[0] // height).astype(np.int32),
            start,
            weights,
            np.stack([first * half[1] // width, last * half[1] // width], 1).astype(np.int32),
        )
        addresses = (core.address(array) for array in self._arrays)
        self.fields = _PlacesFields(*shape, *low, *half, taps, *addresses)


def _between(length: int, low: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return for each fine sample the coarse sample before it, and the weight of the next."""
    places = np.clip((np.arange(length) + 0.5) * low / length - 0.5, 0, low - 1)
    before = np.minimum(places.astype(np.int32), max(low - 2, 0))
    return before, (places - before).astype(np.float32)


_places = lru_cache(maxsize=_CACHED_SIZES)(_Places)


class Guide:
    """Inputs of a full-size matte by a guided filter.

    Parameters
    ----------
    base, slope, reference : (h, w) float32
        On the working grid, no larger than the frame: coverage, its slope by luma, and the luma
        that it belongs to.
    kinds : (h / 2, w / 2) uint8
        On the half grid: `EMPTY` or `FULL` where all samples around are that, otherwise `EDGE`
        (`greenroom.matting.guided_kernels`).
    luma : (H, W) uint8
        The frame's first plane.
    noise : float
        Differences of luma up to this are ignored, in 8-bit levels.
    small : (h, w) uint8, optional
        The matte on the working grid, 0 to 255. With it the three above are read only around
        edges.

    All of these are kept and must not be changed meanwhile.
    """

    def __init__(  # noqa: PLR0917 - it is what a guided filter has
        self,
        base: Floats,
        slope: Floats,
        reference: Floats,
        kinds: Bytes,
        luma: Bytes,
        noise: float,
        small: Bytes | None = None,
    ) -> None:
        self._small = small
        self._places = _places(luma.shape, base.shape, kinds.shape)
        self._arrays = base, slope, reference, kinds  # keeps them alive
        self.luma = luma
        self.fields = _GuideFields(
            core.contiguous(base, "f"),
            core.contiguous(slope, "f", base.shape),
            core.contiguous(reference, "f", base.shape),
            core.contiguous(kinds, "B"),
            ctypes.addressof(self._places.fields),
            noise,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frame."""
        return self.luma.shape

    def small(self) -> Bytes:
        """Return the coverage on the working grid, (h, w) uint8, without detail."""
        if self._small is not None:
            return self._small
        shape = self._arrays[0].shape
        small = np.empty(shape, np.uint8)
        _coverage_bytes(self.fields.base, shape[0] * shape[1], small.ctypes.data)
        return small

    def sorted_tiles(self) -> Coverage:
        """Classify every tile as clear, soft or solid, with memory for the soft ones."""
        height, width = self.luma.shape
        kinds = np.empty((-(-height // TILE_ROWS), -(-width // TILE)), np.uint8)
        soft = ctypes.c_int32()
        address = core.address(kinds)
        _sort(self.fields.kinds, self.fields.places, address, ctypes.addressof(soft))
        return Coverage(kinds, np.empty((soft.value, TILE_ROWS, TILE), np.uint8), is_counted=True)


@dataclass(frozen=True, eq=False, slots=True)
class Coverage:
    """A matte of which only the soft tiles are kept.

    Attributes
    ----------
    kinds : (rows, columns) uint8
        Of every tile: `CLEAR`, `SOLID` or `SOFT`.
    soft : (n, TILE_ROWS, TILE) uint8, contiguous
        The soft ones, row by row. Undefined beyond the frame.
    is_counted : bool
        Whether it is known that there are as many soft tiles as ``kinds`` says.
    """

    kinds: Bytes
    soft: Bytes
    is_counted: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Composition:
    """Planes of one composite: frame, background and output.

    Attributes
    ----------
    front, back, out : sequence of (h, w) uint8
        The planes of frame, background and result; of 4:2:0 the second and third are half as
        high and wide, rounded up.
    maps : (planes, 3, rows, columns) float32, contiguous, optional
        At the corners of cells: the person's sample, the room's, and the ratio of their
        variances, above 0. Without them soft samples are blended as they are.
    cell : int
        Width of a cell in pixels of the frame: at least 1, and 2 for 4:2:0.
    straight : bool
        Write the person's own sample wherever there is any coverage, not blended.
    held : (rows, columns) uint8, contiguous, optional
        1 where a tile of ``out`` already shows the background and is not written again. Changed
        in place.
    """

    front: Sequence[Bytes]
    back: Sequence[Bytes]
    out: Sequence[Bytes]
    maps: Floats | None = None
    cell: int = 1
    straight: bool = False
    held: Bytes | None = None


def make(
    shape: tuple[int, int],
    matte: Bytes | Coverage,
    *,
    guide: Guide | None = None,
    picture: Composition | None = None,
    whole: Bytes | None = None,
) -> None:
    """Composite through a matte, make the matte at full size, or both.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the frame.
    matte : (H, W) uint8, or Coverage
        Of the frame.
    guide : Guide, optional
        Inputs of the soft tiles of a `Coverage`, which are computed in place.
    picture : Composition, optional
        The composite to make.
    whole : (H, W) uint8, optional
        The matte; written.

    Raises
    ------
    TypeError
        If shapes or types do not fit.
    """
    fields = _PictureFields(*shape)
    if isinstance(matte, Coverage):
        _fill_coverage(fields, shape, matte, guide)
    else:
        fields.values, fields.values_stride = core.plane(matte, shape), matte.strides[0]
    if whole is not None:
        fields.whole = core.plane(whole, shape, writable=True)
        fields.whole_stride = whole.strides[0]
    if picture is not None:
        _fill_picture(fields, shape, picture)
    _compose(ctypes.addressof(fields))


def _fill_coverage(
    fields: _PictureFields, shape: tuple[int, int], matte: Coverage, guide: Guide | None
) -> None:
    """Fill in a matte in tiles, checked: the number of soft tiles must match."""
    kinds, soft = matte.kinds, matte.soft
    tiles = -(-shape[0] // TILE_ROWS), -(-shape[1] // TILE)
    if not matte.is_counted and np.count_nonzero(kinds == SOFT) != len(soft):
        message = f"expected {np.count_nonzero(kinds == SOFT)} soft tiles, not {len(soft)}"
        raise TypeError(message)
    fields.tiles = core.contiguous(kinds, "B", tiles)
    is_made = guide is not None
    fields.soft = core.contiguous(soft, "B", (len(soft), TILE_ROWS, TILE), writable=is_made)
    if guide is not None:
        fields.guide = ctypes.addressof(guide.fields)
        fields.luma, fields.luma_stride = core.plane(guide.luma, shape), guide.luma.strides[0]


def _fill_picture(fields: _PictureFields, shape: tuple[int, int], picture: Composition) -> None:
    """Fill in planes and maps, checked."""
    height, width = shape
    fields.planes, count = len(picture.out), len(picture.out)
    small = ((height + 1) // 2, (width + 1) // 2)
    halved = count > 1 and picture.out[1].shape != shape
    shapes = [shape, *[small if halved else shape] * 2][:count]
    if count not in {1, 3}:
        message = f"expected 1 or 3 planes, not {count}"
        raise TypeError(message)
    fields.halved, fields.straight = halved, picture.straight
    for planes, addresses, strides in (
        (picture.front, fields.front, fields.front_stride),
        (picture.back, fields.back, fields.back_stride),
        (picture.out, fields.out, fields.out_stride),
    ):
        addresses[:count], strides[:count] = core.planes(
            planes, shapes, writable=planes is picture.out
        )
    if picture.maps is not None:
        _, _, rows, columns = picture.maps.shape
        cell = picture.cell
        if cell < 1 + halved or rows * cell < height + cell or columns * cell < width + cell:
            message = f"maps of {picture.maps.shape} in cells of {cell} do not cover {shape}"
            raise TypeError(message)
        fields.maps = core.contiguous(picture.maps, "f", (count, 3, rows, columns))
        fields.cell, fields.map_rows, fields.map_columns = cell, rows, columns
    if picture.held is not None:
        tiles = -(-height // TILE_ROWS), -(-width // TILE)
        fields.held = core.contiguous(picture.held, "B", tiles, writable=True)
