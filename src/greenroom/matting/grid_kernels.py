"""Core functions on the working grid and the half grid: place, halve and follow coverage.

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
    "mask_coverage",
    "place",
    "put",
    "settle",
]

_place = core.function("place", "pii pn ii")
_halve_part = core.function("halve_part", "pii iiii i pp")
_put = core.function("put", "pii pii iiii i pp")
_count_found = core.function("count_found", "pp ii i p")
_know = core.function("know", "pppp i p")
_mask_coverage = core.function("mask_coverage", "ppii p")
_settle = core.function("settle", "pppp f p pp n ff i p ii")


class ForegroundStats(NamedTuple):
    """Area and extent of the foreground on the half grid.

    Attributes
    ----------
    area : int
        Number of samples covered by half or more.
    left, top, right, bottom : int
        The box around these, right and bottom exclusive; all 0 without any.
    is_anybody : bool
        Whether any sample of the working grid is covered by half or more.
    is_full : bool
        Whether all checked samples of the part are.
    """

    area: int
    left: int
    top: int
    right: int
    bottom: int
    is_anybody: bool
    is_full: bool


def half_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the shape of the half grid for that of a working grid."""
    height, width = shape
    return (height + 1) // 2, (width + 1) // 2


def place(values: Floats, out: Floats) -> None:
    """Enlarge values (h, w) bilinearly into a part of a grid, samples' centres aligned.

    Like cv2.resize, but on this thread alone: OpenCV's worker threads spin long after.
    """
    source = core.contiguous(values, "f")
    target = core.plane(out, kind="f", writable=True)
    _place(source, *values.shape, target, out.strides[0] // out.itemsize, *out.shape)


def halve_part(
    grid: Floats, part: tuple[int, int, int, int], half: Floats, step: int = 4
) -> ForegroundStats:
    """Take the mean of every 2x2 samples, with statistics of the foreground.

    Parameters
    ----------
    grid : (H, W) float32
        The working grid; 0 outside of the part. Its last row and column repeat if odd.
    part : (int, int, int, int)
        Left, top, right and bottom within it, the last two exclusive.
    half : (h, w) float32
        The half grid, all of which is written.
    step : int
        Every ``step``-th sample in each direction is checked for whether the part is full.
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
    """Enlarge values (h, w) into a part of a grid, and halve it like `halve_part`, at once.

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
    """Count foreground samples on the half grid.

    Parameters
    ----------
    half : (h, w) float32
        Coverage.
    known : (h, w) uint8, optional
        1 for known foreground, 0 elsewhere.
    reach : int
        Distance in samples from known foreground that counts as reachable.

    Returns
    -------
    (int, int)
        Number of samples covered by half or more, and of those of them out of reach.
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
    """Return the foreground of this frame, of this or the last frame, and its number of samples.

    Parameters
    ----------
    half : (h, w) float32
        Coverage.
    last : (h, w) uint8, optional
        What was returned first for the last frame.

    Returns
    -------
    (h, w) uint8, (h, w) uint8, int
        In new memory: 1 where coverage is half or more; 1 where it is or was; and the number of
        samples where it is.
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


def mask_coverage(mask: Bytes, grid: Floats) -> bool:
    """Multiply coverage by a mask in place, and return whether anybody is left.

    Parameters
    ----------
    mask : (h, w) uint8
        0 or 1 on the half grid; enlarged bilinearly.
    grid : (H, W) float32
        Coverage on the working grid; changed in place.
    """
    somebody = ctypes.c_int32()
    _mask_coverage(
        core.contiguous(mask, "B", half_of(grid.shape)),
        core.contiguous(grid, "f", writable=True),
        *grid.shape,
        ctypes.addressof(somebody),
    )
    return bool(somebody.value)


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
    """Average a matte over time, together with the picture that it belongs to.

    Where the picture moves, both take the frame's values; where it stands still for the n-th frame,
    the frame's weight is 1/n, down to ``least``. The model's coverage is taken for a probability
    and updated with the evidence by Bayes' rule.

    Parameters
    ----------
    history : (H W + 3 h w) float32
        One after the other: the steadied matte on the working grid; the same, and the picture that
        it belongs to, on the half grid; the number of frames for which each sample of that stood
        still.
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
        Upper limit of the model's probability; below 1, so that evidence can change it.
    still : float
        Change of luma, averaged over 3x3 samples, up to which the picture stands still; from
        twice that it moves.
    least : float
        Least weight of a frame, above 0.
    is_nobody : bool
        Whether there is no foreground, so that the matte becomes 0.

    Returns
    -------
    (int, int, int, int)
        Left, top, right and bottom on the half grid of all coverage of one half or more, the last
        two exclusive; all 0 without any.
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
