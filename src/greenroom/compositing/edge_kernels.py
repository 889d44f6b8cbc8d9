"""Loops that blend with the person's own colours at the edge, compiled by numba.

The matte is looked at in tiles, so that only those with a soft sample cost more than
copying and blending do. Constant trip counts and unsigned indices are what lets the inner
loop be vectorised without a check for every short stretch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba
import numpy as np

from greenroom.jit import MATTE, PLANE, READ_FLOATS3, READ_MATTE, READ_PLANE, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Corners = NDArray[np.uint32]

__all__ = ["CLEAR", "SOFT", "SOLID", "TILE", "TILE_ROWS", "over_clean", "survey"]

TILE: Final = 32
"""Samples in each row of a tile."""
TILE_ROWS: Final = 16
"""Rows of a tile of the matte."""

CLEAR: Final = 0
SOLID: Final = 1
SOFT: Final = 2

# Eight codes of `SOLID` columns.
_ALL_SOLID: Final = np.uint64(0x0101010101010101)
_FULL: Final = np.float32(255)
_HALF: Final = np.float32(0.5)
_UNIT: Final = np.float32(1 / 255)
# Division is IEEE's; Python's, which may raise, would keep a loop from being vectorised.
_OPTIONS: Final = {
    "nogil": True,
    "fastmath": {"contract", "reassoc"},
    "error_model": "numpy",
}


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _fold(  # noqa: PLR0913, PLR0917 - eight rows at once: a store for each would cost more
    a: Plane,
    b: Plane,
    c: Plane,
    d: Plane,
    e: Plane,
    f: Plane,
    g: Plane,
    h: Plane,
    codes: Plane,
) -> None:
    """Tell of every column of eight rows whether it is clear, soft or solid."""
    for x in range(len(codes)):
        whole = np.uint8(255) if a[x] > np.uint8(127) else np.uint8(0)
        near = (a[x] ^ whole) | (b[x] ^ whole) | (c[x] ^ whole) | (d[x] ^ whole)
        far = (e[x] ^ whole) | (f[x] ^ whole) | (g[x] ^ whole) | (h[x] ^ whole)
        codes[x] = whole & np.uint8(SOLID) if near | far == np.uint8(0) else np.uint8(SOFT)


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _sort(first: NDArray[np.uint64], second: NDArray[np.uint64], kinds: Plane) -> None:
    """Tell of every tile whether it is clear, soft or solid, from the codes of its columns."""
    length = TILE // 8
    for tile in range(len(kinds)):
        some, every = np.uint64(0), ~np.uint64(0)
        for index in range(tile * length, (tile + 1) * length):
            some |= first[index] | second[index]
            every &= first[index] & second[index]
        if some == np.uint64(0):
            kinds[tile] = CLEAR
        else:
            kinds[tile] = SOLID if some == every == _ALL_SOLID else SOFT


@kernel(READ_MATTE, MATTE)
def survey(matte: Plane, kinds: Plane) -> None:
    """Sort the tiles of a matte, `TILE_ROWS` high and `TILE` wide.

    ``kinds`` becomes `CLEAR` where every sample of a tile is 0, `SOLID` where every sample is
    255, and `SOFT` elsewhere.
    """
    height, width = matte.shape
    groups, tiles = kinds.shape
    codes = np.empty((2, tiles * TILE), np.uint8)
    last = height - 1
    for group in range(groups):
        for half in range(2):
            top = group * TILE_ROWS + half * 8
            _fold(
                matte[min(top, last)],
                matte[min(top + 1, last)],
                matte[min(top + 2, last)],
                matte[min(top + 3, last)],
                matte[min(top + 4, last)],
                matte[min(top + 5, last)],
                matte[min(top + 6, last)],
                matte[min(top + 7, last)],
                codes[half, :width],
            )
            codes[half, width:] = codes[half, width - 1]
        _sort(codes[0].view(np.uint64), codes[1].view(np.uint64), kinds[group])


@numba.njit(nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _copy(source: Plane, out: Plane) -> None:
    for x in range(len(out)):
        out[x] = source[x]


@numba.njit(inline="always", **_OPTIONS)  # type: ignore[untyped-decorator]
def _stretch(  # noqa: PLR0913, PLR0917 - a kernel has no object to put them in
    maps: Floats, row: int, start: int, length: int, cell: Corners, along: Floats, edges: Floats
) -> None:
    """Interpolate a row of cells of each map: at their top, and how much more at their bottom."""
    for index in range(3):
        upper, lower = maps[index, row], maps[index, row + 1]
        for i in range(np.uint64(length)):
            left, right = cell[start + i], cell[start + i] + np.uint32(1)
            share = along[start + i]
            first = upper[left] + (upper[right] - upper[left]) * share
            second = lower[left] + (lower[right] - lower[left]) * share
            edges[index, i] = first
            edges[index + 3, i] = second - first


@numba.njit(inline="always", **_OPTIONS)  # type: ignore[untyped-decorator]
def _correct(  # noqa: PLR0913, PLR0917 - a kernel has no object to put them in
    foreground: Plane,
    background: Plane,
    matte: Plane,
    out: Plane,
    straight: bool,  # noqa: FBT001
    y: int,
    start: int,
    length: int,
    edges: Floats,
    down: float,
) -> None:
    """Blend ``length`` samples of a row."""
    for i in range(np.uint64(length)):
        x = start + i
        person = edges[0, i] + edges[3, i] * down
        room = edges[1, i] + edges[4, i] * down
        doubt = edges[2, i] + edges[5, i] * down
        share = np.float32(matte[y, x]) * _UNIT
        rest = np.float32(1) - share
        excess = np.float32(foreground[y, x]) - share * person - rest * room
        colour = person + excess * share / (share * share + doubt * rest * rest)
        colour = min(max(colour, np.float32(0)), _FULL)
        if straight:
            share = np.float32(1) if share > np.float32(0) else np.float32(0)
            rest = np.float32(1) - share
        out[y, x] = np.uint8(np.int32(share * colour + rest * np.float32(background[y, x]) + _HALF))


@numba.njit(**_OPTIONS)  # type: ignore[untyped-decorator]
def _correct_tile(  # noqa: PLR0913, PLR0917 - a kernel has no object to put them in
    foreground: Plane,
    background: Plane,
    matte: Plane,
    out: Plane,
    straight: bool,  # noqa: FBT001
    top: int,
    bottom: int,
    left: int,
    length: int,
    maps: Floats,
    side: int,
    cell: Corners,
    along: Floats,
    edges: Floats,
) -> None:
    """Blend a tile, with trip counts that the compiler knows if it has the usual width."""
    start = np.uint64(left)
    held = -1
    for y in range(top, bottom):
        row = y // side
        down = np.float32((y - row * side + 0.5) / side)
        line = np.uint64(y)
        if length == TILE:
            if row != held:
                _stretch(maps, row, start, TILE, cell, along, edges)
            _correct(foreground, background, matte, out, straight, line, start, TILE, edges, down)
        else:
            if row != held:
                _stretch(maps, row, start, length, cell, along, edges)
            _correct(foreground, background, matte, out, straight, line, start, length, edges, down)
        held = row


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _widen(kinds: Plane, scale: int, out: NDArray[np.int64]) -> None:
    """Sort tiles that are so many of the matte's wide: of one kind, or soft."""
    for tile in range(len(out)):
        first = tile * scale
        out[tile] = kinds[first]
        for other in range(first + 1, min(first + scale, len(kinds))):
            if kinds[other] != out[tile]:
                out[tile] = SOFT


@kernel(
    READ_PLANE,
    READ_PLANE,
    READ_MATTE,
    READ_MATTE,
    types.int64,
    READ_FLOATS3,
    types.int64,
    types.boolean,
    PLANE,
)
def over_clean(  # noqa: PLR0913, PLR0917 - a kernel has no object to put them in
    foreground: Plane,
    background: Plane,
    matte: Plane,
    kinds: Plane,
    scale: int,
    maps: Floats,
    side: int,
    straight: bool,  # noqa: FBT001
    out: Plane,
) -> None:
    """Blend two planes with the person's own colour where the matte is soft.

    Parameters
    ----------
    foreground, background, matte, out
        As in `greenroom.compositing.kernels.over`.
    kinds : (groups, tiles) uint8
        What `survey` says of the frame's matte.
    scale : int
        1 for a plane of the frame's size, 2 for one of half the width and height.
    maps : (3, h + 1, w + 1) float32
        At the corners of cells of ``side`` by ``side`` samples: the person's sample, the
        room's, and how much less the room's is to be trusted, above 0.
    side : int
        At least 1.
    straight : bool
        Write the person's own sample wherever there is any coverage, not blended.
    """
    height, width = matte.shape
    groups = len(kinds)
    rows = TILE_ROWS // scale
    cell = np.empty(width, np.uint32)
    along = np.empty(width, np.float32)
    for x in range(width):
        cell[x] = x // side
        along[x] = (x - x // side * side + 0.5) / side
    edges = np.empty((6, TILE), np.float32)
    length = min(TILE, width)
    count = (width + TILE - 1) // TILE
    sorts = np.empty(count, np.int64)
    for group in range(groups):
        top, bottom = group * rows, min(group * rows + rows, height)
        _widen(kinds[group], scale, sorts)
        tile = 0
        while tile < count:
            begin, kind = tile, sorts[tile]
            while tile < count and sorts[tile] == kind:
                tile += 1
            start, stop = begin * TILE, min(tile * TILE, width)
            if kind == SOFT:
                for index in range(begin, tile):
                    left = min(index * TILE, width - length)
                    _correct_tile(
                        foreground,
                        background,
                        matte,
                        out,
                        straight,
                        top,
                        bottom,
                        left,
                        length,
                        maps,
                        side,
                        cell,
                        along,
                        edges,
                    )
            elif kind == CLEAR:
                for y in range(top, bottom):
                    _copy(background[y, start:stop], out[y, start:stop])
            else:
                for y in range(top, bottom):
                    _copy(foreground[y, start:stop], out[y, start:stop])
