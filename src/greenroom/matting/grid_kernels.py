"""Loops over the working grid and the half grid, in the core: answers put there, and followed.

The *working grid* (height, width) is that of ``Frame.small_planes``, and the *half grid* that of
``Frame.half_planes``, a sample of which stands for 2x2 of it.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from greenroom import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = [
    "ForegroundStats",
    "count_found",
    "half_of",
    "halve_part",
    "know",
    "place",
    "put",
    "settle",
]

_place = core.function("place", "pii pn ii")
_halve_part = core.function("halve_part", "pii iiii i pp")
_put = core.function("put", "pii pii iiii i pp")
_count_found = core.function("count_found", "pp ii i p")
_know = core.function("know", "pppp i p")
_settle = core.function("settle", "pppp f p pp n ff i p ii")


class ForegroundStats(NamedTuple):
    """Area and extent of the foreground on the half grid.

    Attributes
    ----------
    area : int
        How many samples are covered by half or more.
    left, top, right, bottom : int
        The box around these, where the last two have ended; all 0 without any.
    is_anybody : bool
        Whether any sample of the working grid is.
    is_full : bool
        Whether all are that were looked at of the part.
    """

    area: int
    left: int
    top: int
    right: int
    bottom: int
    is_anybody: bool
    is_full: bool


def half_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the shape of the half grid that belongs to a working grid's."""
    height, width = shape
    return (height + 1) // 2, (width + 1) // 2


def place(values: Floats, out: Floats) -> None:
    """Enlarge values (h, w) bilinearly into a part of a grid, samples' centres aligned.

    As OpenCV's, but on this thread alone: OpenCV wakes others for it, which spin long after.
    """
    source = core.contiguous(values, "f")
    target = core.plane(out, kind="f", writable=True)
    _place(source, *values.shape, target, out.strides[0] // out.itemsize, *out.shape)


def halve_part(
    grid: Floats, part: tuple[int, int, int, int], half: Floats, step: int = 4
) -> ForegroundStats:
    """Take the mean of every 2x2 samples, and tell who is there.

    Parameters
    ----------
    grid : (H, W) float32
        The working grid; 0 outside of the part. Its last row and column repeat if odd.
    part : (int, int, int, int)
        Left, top, right and bottom within it, where the last two have ended.
    half : (h, w) float32
        The half grid, all of which is written.
    step : int
        One in so many samples, in each direction, is looked at to tell whether the part is full.
    """
    shape = grid.shape
    _check_part(part, shape, step)
    report = _Report()
    _halve_part(
        core.contiguous(grid, "f"),
        *shape,
        *part,
        step,
        core.contiguous(half, "f", half_of(shape), writable=True),
        report,
    )
    return _stats(report)


def put(
    values: Floats,
    grid: Floats,
    part: tuple[int, int, int, int],
    half: Floats,
    step: int = 4,
) -> ForegroundStats:
    """Enlarge values (h, w) into a part of a grid, and do what `halve_part` does, at once.

    Parameters
    ----------
    values : (h, w) float32
        Enlarged bilinearly, as by `place`.
    grid, part, half, step
        As for `halve_part`; the part of the grid is written.
    """
    shape = grid.shape
    _check_part(part, shape, step)
    report = _Report()
    _put(
        core.contiguous(values, "f"),
        *values.shape,
        core.contiguous(grid, "f", writable=True),
        *shape,
        *part,
        step,
        core.contiguous(half, "f", half_of(shape), writable=True),
        report,
    )
    return _stats(report)


_Report: Final = ctypes.c_int32 * 7


def _stats(report: ctypes.Array[ctypes.c_int32]) -> ForegroundStats:
    area, left, top, right, bottom, is_anybody, is_full = report
    return ForegroundStats(area, left, top, right, bottom, bool(is_anybody), bool(is_full))


def _check_part(part: tuple[int, int, int, int], shape: tuple[int, ...], step: int) -> None:
    left, top, right, bottom = part
    if not (0 <= left <= right <= shape[1] and 0 <= top <= bottom <= shape[0] and step > 0):
        message = f"the part {part} is not within a grid of shape {shape}"
        raise ValueError(message)


def count_found(half: Floats, known: Bytes | None, reach: int) -> tuple[int, int]:
    """Count who is found on the half grid.

    Parameters
    ----------
    half : (h, w) float32
        Coverage.
    known : (h, w) uint8, optional
        1 where somebody is known to be, 0 elsewhere.
    reach : int
        How far from there they may be, in samples.

    Returns
    -------
    (int, int)
        How many samples are covered by half or more, and how many of these are out of reach.
    """
    report = (ctypes.c_int32 * 2)()
    _count_found(
        core.contiguous(half, "f"),
        None if known is None else core.contiguous(known, "B", half.shape),
        *half.shape,
        reach,
        report,
    )
    return report[0], report[1]


def know(half: Floats, last: Bytes | None) -> tuple[Bytes, Bytes, int]:
    """Return where anybody is on the half grid, or was in the last frame, and how many samples.

    Parameters
    ----------
    half : (h, w) float32
        Coverage.
    last : (h, w) uint8, optional
        What was returned first for the last frame.

    Returns
    -------
    (h, w) uint8, (h, w) uint8, int
        In new memory, 1 where there is coverage of half or more, and 1 where there is or was; and
        how many samples there is.
    """
    now, either = np.empty(half.shape, np.uint8), np.empty(half.shape, np.uint8)
    area = ctypes.c_int32()
    _know(
        core.contiguous(half, "f"),
        None if last is None else core.contiguous(last, "B", half.shape),
        core.address(now),
        core.address(either),
        half.size,
        ctypes.addressof(area),
    )
    return now, either, area.value


def settle(
    history: Floats,
    reference: NDArray[np.int16],
    coarse: Floats,
    prior: Floats,
    probability: Floats | None,
    half_luma: Bytes,
    luma: Bytes,
    *,
    surest: float,
    still: float,
    least: float,
    is_nobody: bool = False,
) -> tuple[int, int, int, int]:
    """Follow a matte over time: move it, and the picture that it belongs to, toward a frame's.

    The picture is followed all the way where it moves, and by the n-th part in the n-th frame in
    which it does not, down to a least share; the matte goes with it. What the model says is taken
    for a probability and updated with the evidence by Bayes' rule.

    Parameters
    ----------
    history : (H W + 3 h w) float32
        One after the other: the steadied matte on the working grid; the same, and the picture that
        it belongs to, on the half grid; for how many frames each sample of that has stood still.
    reference : (H, W) int16
        That picture on the working grid, in 128ths of a level. Both are 0 at first, and changed in
        place.
    coarse : (H, W) float32
        The model's coverage; 0 where its prior is.
    prior : (h, w) float32
        Its mean on the half grid.
    probability : (h, w) float32, optional
        The evidence's probability of foreground, above 0 and below 1.
    half_luma, luma : (h, w) and (H, W) uint8
        The frame's first plane on both grids. Rows of the latter may be padded.
    surest : float
        The most that the model is believed; less than 1 for evidence to the contrary to count.
    still : float
        The change of luma, averaged over 3x3 samples, up to which the picture stands still; from
        twice that on it moves.
    least : float
        The least share, above 0.
    is_nobody : bool
        Whether nobody is there, so that nothing is left of who was.

    Returns
    -------
    (int, int, int, int)
        Left, top, right and bottom on the half grid of all coverage of one half or more, where
        the last two have ended; all 0 without any.
    """
    shape, half = coarse.shape, half_of(coarse.shape)
    size = coarse.size + 3 * prior.size
    report = (ctypes.c_int32 * 4)()
    _settle(
        core.contiguous(history, "f", (size,), writable=True),
        core.contiguous(reference, "h", shape, writable=True),
        core.contiguous(coarse, "f"),
        core.contiguous(prior, "f", half),
        surest,
        None if probability is None else core.contiguous(probability, "f", half),
        core.contiguous(half_luma, "B", half),
        core.plane(luma, shape),
        luma.strides[0],
        still,
        least,
        is_nobody,
        report,
        *shape,
    )
    return report[0], report[1], report[2], report[3]
