"""Loops that compare a matte with what is known of the room, compiled by numba, on cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from greenroom.jit import FLOATS, FLOATS3, MATTE, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["CHANGED", "CLAIMED", "PLAIN", "ROOM", "TEXTURED", "compare"]

CLAIMED, ROOM = 13, 8
"""Coverage, 0 to 255, from which a cell can be seen, and below which it is the room."""

PLAIN, TEXTURED, CHANGED = 1, 2, 3
"""What a claimed cell may be marked as: it looks as the room did, without or with texture there;
or the room had texture there and it looks different."""

_PLANES = types.Array(types.uint8, 3, "C")
_REPORT = types.Array(types.float64, 1, "C")


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _difference(planes: Bytes, other: Floats, y: int, x: int) -> np.float32:
    """Return by how much a cell differs, in the plane in which that is most."""
    most = np.float32(0)
    for index in range(len(planes)):
        most = max(most, abs(np.float32(planes[index, y, x]) - other[index, y, x]))
    return most


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _steps(room: Floats, y: int, x: int) -> np.float32:
    """Return how much the room changes from a cell to its neighbours, over all planes."""
    right, below = min(x + 1, room.shape[2] - 1), min(y + 1, room.shape[1] - 1)
    total = np.float32(0)
    for index in range(len(room)):
        here = room[index, y, x]
        total += abs(here - room[index, y, right]) + abs(here - room[index, below, x])
    return total


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _learn(planes: Bytes, room: Floats, share: float, y: int, x: int) -> None:
    for index in range(len(planes)):
        room[index, y, x] += share * (np.float32(planes[index, y, x]) - room[index, y, x])


@kernel(
    _PLANES,
    MATTE,
    FLOATS3,
    FLOATS,
    FLOATS3,
    FLOATS,
    types.float32,
    types.float32,
    types.float32,
    types.float32,
    MATTE,
    _REPORT,
)
def compare(  # noqa: PLR0913, PLR0917
    planes: Bytes,
    values: Bytes,
    room: Floats,
    seen: Floats,
    held: Floats,
    owned: Floats,
    alike: float,
    texture: float,
    trusted: float,
    memory: float,
    marks: Bytes,
    report: NDArray[np.float64],
) -> None:
    """Mark claimed cells that look as the room did, and learn the room in the others.

    A cell that was somebody's, and looks as it did then, is not learned for as long as that is
    remembered: the model may waver.

    Parameters
    ----------
    planes : (planes, h, w) uint8
        The frame.
    values : (h, w) uint8
        The matte.
    room, seen : (planes, h, w) and (h, w) float32
        What the room looks like, and in how many frames it was seen; changed in place.
    held, owned : (planes, h, w) and (h, w) float32
        What a cell looked like when it was somebody's last, and for how many frames more that is
        remembered; the latter is changed in place.
    alike : float
        Up to this difference of every plane, in 8-bit levels, two cells look the same.
    texture : float
        From this difference of neighbours on, over all planes, the room has texture.
    trusted, memory : float
        In how many frames the room must have been seen, and over how many it is averaged.
    marks : (h, w) uint8
        Where the result goes: `PLAIN`, `TEXTURED`, `CHANGED`, or 0.
    report : (4,) float64
        How many cells are claimed, `PLAIN` and `TEXTURED`; and by how much brighter than what is
        known of it the room is, on average.
    """
    height, width = values.shape
    claimed, plain, textured, known = 0, 0, 0, 0
    one, brighter = np.float32(1), np.float32(0)
    for y in range(height):
        for x in range(width):
            marks[y, x] = 0
            if values[y, x] >= CLAIMED:
                claimed += 1
                if seen[y, x] < trusted:
                    continue
                has_texture = _steps(room, y, x) >= texture
                if _difference(planes, room, y, x) <= alike:
                    marks[y, x] = TEXTURED if has_texture else PLAIN
                    textured += has_texture
                    plain += not has_texture
                elif has_texture:
                    marks[y, x] = CHANGED
            elif values[y, x] < ROOM:
                is_held = owned[y, x] > one and _difference(planes, held, y, x) <= alike
                owned[y, x] = owned[y, x] - one if is_held else np.float32(0)
                if is_held:
                    continue
                if _difference(planes, room, y, x) <= alike:
                    known += 1
                    brighter += np.float32(planes[0, y, x]) - room[0, y, x]
                    seen[y, x] = min(seen[y, x] + one, memory)
                    _learn(planes, room, one / seen[y, x], y, x)
                else:
                    seen[y, x] = one
                    _learn(planes, room, one, y, x)
    report[0], report[1], report[2] = claimed, plain, textured
    report[3] = brighter / max(known, 1)
