"""Core functions that check the plausibility of answers and mattes."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from greenroom import core
from greenroom.cuda import grid_calls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Device

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = [
    "CHANGED",
    "CLAIMED",
    "PLAIN",
    "ROOM",
    "SURELY",
    "TEXTURED",
    "CellCounts",
    "CellMemory",
    "CellMemoryThere",
    "SureShares",
    "compare",
    "look_at",
    "remember",
]

CLAIMED, ROOM, SURELY = 13, 8, 128
"""Coverage, 0 to 255, from which a cell is visible, below which it is room, and from which it is
surely foreground."""

PLAIN, TEXTURED, CHANGED = 1, 2, 3
"""Marks of claimed cells: unchanged room without texture, with texture, and changed where the room
had texture."""

_look_at = core.function("look_at", "piii ff p")
_compare = core.function("compare", "piii pppp p ffff ppp")
_remember = core.function("remember", "pi pp f pp ii p")


class SureShares(NamedTuple):
    """Shares of cells that are surely foreground: of all, of the border, of the first row."""

    share: float
    at_border: float
    at_top: float


class CellCounts(NamedTuple):
    """Numbers of claimed cells and of those marked `PLAIN` and `TEXTURED`; shares of foreground."""

    claimed: int
    plain: int
    textured: int
    surely: SureShares


class CellMemory:
    """State of each cell, and memory for one frame's cells, checked once for all frames.

    Parameters
    ----------
    room, seen : (planes, h, w) and (h, w) float32
        The room's cells, and the number of frames in which they were seen.
    held, owned : (planes, h, w) and (h, w) float32
        Each cell when it was last a person's, and the number of frames left for which that is
        remembered.
    cells, marks : (planes, h, w) and (h, w) uint8
        The last frame in cells, and their marks: `PLAIN`, `TEXTURED`, `CHANGED`, or 0.

    All are kept, and changed in place.

    Raises
    ------
    TypeError
        If they do not belong together.
    """

    def __init__(
        self,
        room: Floats,
        seen: Floats,
        held: Floats,
        owned: Floats,
        cells: Bytes,
        marks: Bytes,
    ) -> None:
        self.every: tuple[int, ...] = room.shape
        self.shape: tuple[int, ...] = seen.shape
        if self.every[1:] != self.shape:
            message = f"cells of {self.every} cannot have been seen in {self.shape}"
            raise TypeError(message)
        self.cells, self.marks = cells, marks
        self.arrays = room, seen, held, owned  # keeps them alive
        self.learned = (
            core.contiguous(room, "f", self.every, writable=True),
            core.contiguous(seen, "f", self.shape, writable=True),
        )
        self.remembered = (
            core.contiguous(held, "f", self.every, writable=True),
            core.contiguous(owned, "f", self.shape, writable=True),
        )
        self.of_frame = (
            core.contiguous(cells, "B", self.every, writable=True),
            core.contiguous(marks, "B", self.shape, writable=True),
        )

    @classmethod
    def empty(cls, number: int, shape: tuple[int, int]) -> CellMemory:
        """Return empty state for a number of planes."""
        every = (number, *shape)
        room, seen, held, owned = (np.zeros(of, np.float32) for of in (every, shape, every, shape))
        cells, marks = np.empty(every, np.uint8), np.empty(shape, np.uint8)
        return cls(room, seen, held, owned, cells, marks)


class CellMemoryThere:
    """The same on a device, for frames there.

    Parameters
    ----------
    number : int
        Of planes.
    shape : (int, int)
        Height and width of the cells.
    device : Device

    Attributes
    ----------
    values, marks : (h, w) uint8
        The last matte in cells, and their marks.

    Three frames have counts of their own, two the room: a frame reads those of the one before.
    """

    def __init__(self, number: int, shape: tuple[int, int], device: Device) -> None:
        self.every = every = (number, *shape)
        self.device = device
        zeros: list[Any] = [np.zeros(of, np.float32) for of in (every, every, shape, every, shape)]
        counts = [np.zeros(grid_calls.CELL_COUNTS, np.uint64)] * 3
        room, other, seen, held, owned, *numbers = device.upload(*zeros, *counts)
        self._rooms: tuple[Any, Any] = (room, other)
        self._state: tuple[Any, Any, Any] = (seen, held, owned)
        self._counts: tuple[Any, ...] = tuple(numbers)
        self.values: Any
        self.marks: Any
        self.values, self.marks = device.empties([shape, shape])
        self._cells: Any = device.empty(every)

    def compare(
        self,
        planes: Bytes,
        matte: Bytes,
        exempt: Bytes | None,
        *,
        alike: float,
        texture: float,
        trusted: float,
        frames: float,
    ) -> CellCounts:
        """Do what `compare` does; the counts are waited for.

        Parameters
        ----------
        planes : (planes, H, W) uint8
            The frame on the half grid, on the device.
        matte : (H', W') uint8
            Of the frame's size, on the device.
        exempt : (h, w) uint8, optional
            The host's: not 0 in cells whose coverage counts as just below `CLAIMED`.
        alike, texture, trusted, frames : float
            See `compare`.
        """
        excused = None if exempt is None else self.device.upload(exempt)[0]
        before, now, after = self._counts
        pending = grid_calls.compare_cells(
            planes,
            matte,
            excused,
            room=self._rooms,
            state=self._state,
            frame=(self.values, self._cells, self.marks),
            counts=(before, now, after),
            alike=alike,
            texture=texture,
            trusted=trusted,
            frames=frames,
        )
        self._rooms, self._counts = self._rooms[::-1], (now, after, before)
        claimed, plain, textured, *surely = pending.wait()[2:].tolist()
        height, width = self.every[1:]
        number, border, top = surely
        return CellCounts(claimed, plain, textured, _shares((number, border, top), height, width))

    def remember(self, wrong: Bytes | None, times: float) -> None:
        """Do what `remember` does, after `compare`; ``wrong`` is the host's."""
        there = None if wrong is None else self.device.upload(wrong)[0]
        _, held, owned = self._state
        grid_calls.remember_cells(
            self._cells, self.values, there, times=times, held=held, owned=owned
        )


def _shares(counts: tuple[int, int, int], height: int, width: int) -> SureShares:
    number, border, top = counts
    return SureShares(number / (height * width), border / (2 * (height + width)), top / width)


def look_at(answer: Floats, step: int, low: float, high: float) -> tuple[float, float, SureShares]:
    """Measure an answer, at every ``step``-th sample in each direction.

    Parameters
    ----------
    answer : (h, w) float32
        Coverage.
    step : int
        At least 1, and less than both sides.
    low, high : float
        Coverage between these is unsure.

    Returns
    -------
    (float, float, SureShares)
        Share of unsure samples; share of neighbours on two sides of one half, the larger of
        horizontal and vertical pairs; and shares of samples covered by half or more.
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
    memory: CellMemory,
    *,
    alike: float,
    texture: float,
    trusted: float,
    frames: float,
) -> CellCounts:
    """Mark claimed cells that look like the room, and learn the room in the others.

    A cell that looks as it did when it was a person's is not learned while that is remembered: the
    model may be unsure. The first plane of the room follows the frame's brightness by half of the
    difference.

    Parameters
    ----------
    planes : (planes, H, W) uint8
        The frame on the half grid, of which a cell is 2x2 samples.
    values : (h, w) uint8
        The matte in cells.
    memory : CellMemory
        All but ``held`` is written.
    alike : float
        Difference of every plane, in 8-bit levels, up to which two cells look the same.
    texture : float
        Difference of neighbours, over all planes, from which the room has texture.
    trusted, frames : float
        Number of frames after which the room is trusted, and over which it is averaged.
    """
    number, high, wide = planes.shape
    height, width = shape = (high + 1) // 2, (wide + 1) // 2
    if memory.every != (number, height, width):
        message = f"a frame of {planes.shape} does not fit cells of {memory.every}"
        raise TypeError(message)
    found = (ctypes.c_int32 * 6)()
    _compare(
        core.contiguous(planes, "B", (number, high, wide)),
        number,
        high,
        wide,
        core.contiguous(values, "B", shape),
        *memory.learned,
        *memory.remembered,
        alike,
        texture,
        trusted,
        frames,
        *memory.of_frame,
        found,
    )
    claimed, plain, textured, number_surely, border, top = found
    return CellCounts(
        claimed, plain, textured, _shares((number_surely, border, top), height, width)
    )


def remember(memory: CellMemory, values: Bytes, wrong: Bytes | None, times: float) -> float:
    """Remember surely foreground cells for ``times`` frames; return their share.

    Parameters
    ----------
    memory : CellMemory
        After `compare`; ``held`` and ``owned`` are written.
    values : (h, w) uint8
        As in `compare`.
    wrong : (h, w) uint8, optional
        1 where foreground was removed as implausible, 0 elsewhere.
    times : float
        Number of frames.
    """
    number, height, width = memory.every
    mine = ctypes.c_int32()
    _remember(
        memory.of_frame[0],
        number,
        core.contiguous(values, "B", (height, width)),
        None if wrong is None else core.contiguous(wrong, "B", (height, width)),
        times,
        *memory.remembered,
        height,
        width,
        ctypes.addressof(mine),
    )
    return float(mine.value / (height * width))
