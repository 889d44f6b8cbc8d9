"""Loops that tell whether an answer and a matte can be believed, in the core."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, NamedTuple

from greenroom import core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = [
    "CHANGED",
    "CLAIMED",
    "PLAIN",
    "ROOM",
    "SURELY",
    "TEXTURED",
    "Compared",
    "Surely",
    "compare",
    "look_at",
    "remember",
]

CLAIMED, ROOM, SURELY = 13, 8, 128
"""Coverage, 0 to 255, from which a cell can be seen, below which it is the room, and from which
there is surely somebody."""

PLAIN, TEXTURED, CHANGED = 1, 2, 3
"""What a claimed cell may be marked as: it looks as the room did, without or with texture there;
or the room had texture there and it looks different."""

_look_at = core.function("look_at", "piii ff p")
_compare = core.function("compare", "piii pppp p ffff ppp")
_remember = core.function("remember", "pi pp f pp ii p")


class Surely(NamedTuple):
    """How large a share of cells is surely somebody's: of all, at the border, in the first row."""

    share: float
    at_border: float
    at_top: float


class Compared(NamedTuple):
    """How many cells are claimed, and marked as `PLAIN` and `TEXTURED`; and whose cells are."""

    claimed: int
    plain: int
    textured: int
    surely: Surely


def _shares(counts: tuple[int, int, int], height: int, width: int) -> Surely:
    number, border, top = counts
    return Surely(number / (height * width), border / (2 * (height + width)), top / width)


def look_at(answer: Floats, step: int, low: float, high: float) -> tuple[float, float, Surely]:
    """Look at an answer, at one in so many samples in each direction.

    Parameters
    ----------
    answer : (h, w) float32
        Coverage.
    step : int
        At least 1, and less than both sides.
    low, high : float
        What is between is unsure.

    Returns
    -------
    (float, float, Surely)
        The share of samples that are unsure; the larger one, of those side by side and of those
        one above the other, of pairs that are on two sides of one half; and what is covered by
        half or more.
    """
    height, width = answer.shape
    if not 0 < step < min(height, width):
        message = f"an answer of {width}x{height} samples cannot be looked at in steps of {step}"
        raise ValueError(message)
    found = (ctypes.c_int32 * 6)()
    _look_at(core.contiguous(answer, "f"), height, width, step, low, high, found)
    unsure, number, across, down, border, top = found
    height, width = -(-height // step), -(-width // step)
    edges = max(across / (height * (width - 1)), down / ((height - 1) * width))
    return unsure / (height * width), edges, _shares((number, border, top), height, width)


def compare(
    planes: Bytes,
    values: Bytes,
    room: Floats,
    seen: Floats,
    held: Floats,
    owned: Floats,
    cells: Bytes,
    marks: Bytes,
    *,
    alike: float,
    texture: float,
    trusted: float,
    memory: float,
) -> Compared:
    """Mark claimed cells that look as the room did, and learn the room in the others.

    A cell that was somebody's, and looks as it did then, is not learned for as long as that is
    remembered: the model may waver. All of the first plane of the room follows the frame in
    brightness, half of the way.

    Parameters
    ----------
    planes : (planes, H, W) uint8
        The frame on the half grid, of which a cell is 2x2 samples.
    values : (h, w) uint8
        The matte in cells.
    room, seen : (planes, h, w) and (h, w) float32
        What the room looks like, and in how many frames it was seen; changed in place.
    held, owned : (planes, h, w) and (h, w) float32
        What a cell looked like when it was somebody's last, and for how many frames more that is
        remembered; the latter is changed in place.
    cells : (planes, h, w) uint8
        Where the frame in cells goes.
    marks : (h, w) uint8
        Where the result goes: `PLAIN`, `TEXTURED`, `CHANGED`, or 0.
    alike : float
        Up to this difference of every plane, in 8-bit levels, two cells look the same.
    texture : float
        From this difference of neighbours on, over all planes, the room has texture.
    trusted, memory : float
        In how many frames the room must have been seen, and over how many it is averaged.
    """
    number, high, wide = planes.shape
    shape = height, width = (high + 1) // 2, (wide + 1) // 2
    every = (number, height, width)
    found = (ctypes.c_int32 * 6)()
    _compare(
        core.contiguous(planes, "B", (number, high, wide)),
        number,
        high,
        wide,
        core.contiguous(values, "B", shape),
        core.contiguous(room, "f", every, writable=True),
        core.contiguous(seen, "f", shape, writable=True),
        core.contiguous(held, "f", every),
        core.contiguous(owned, "f", shape, writable=True),
        alike,
        texture,
        trusted,
        memory,
        core.contiguous(cells, "B", every, writable=True),
        core.contiguous(marks, "B", shape, writable=True),
        found,
    )
    claimed, plain, textured, number_surely, border, top = found
    return Compared(claimed, plain, textured, _shares((number_surely, border, top), height, width))


def remember(
    cells: Bytes, values: Bytes, wrong: Bytes | None, times: float, held: Floats, owned: Floats
) -> float:
    """Remember what is surely somebody's, and for so many frames; return the share of cells.

    Parameters
    ----------
    cells, values, held, owned
        As in `compare`; the last two are changed in place.
    wrong : (h, w) uint8, optional
        1 where that is not to be believed, 0 elsewhere.
    times : float
        For how many frames.
    """
    number, height, width = cells.shape
    mine = ctypes.c_int32()
    _remember(
        core.contiguous(cells, "B", (number, height, width)),
        number,
        core.contiguous(values, "B", (height, width)),
        None if wrong is None else core.contiguous(wrong, "B", (height, width)),
        times,
        core.contiguous(held, "f", cells.shape, writable=True),
        core.contiguous(owned, "f", (height, width), writable=True),
        height,
        width,
        ctypes.addressof(mine),
    )
    return float(mine.value / (height * width))
