"""Calls of the kernels of the small grids, as those of `greenroom.cuda.calls`.

What the host has to know of their results is downloaded while it goes on: see `Pending`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda.checks import contiguous, device_of_all, launch, plane, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda.device import Array, DeviceArray, Download

    Shape = tuple[int, ...]

__all__ = [
    "CELL_COUNTS",
    "Pending",
    "brighten",
    "compare_cells",
    "learn",
    "learned",
    "mask_matte",
    "remember_cells",
    "settle",
    "weigh",
]

CELL_COUNTS: Final = 8
"""Numbers that `compare_cells` counts; the last six are its report."""
# As in evidence.cu: slots of a sum, and the share of a level in which differences are added.
_SLOTS: Final = 32
_FINE: Final = 65536.0


class Pending:
    """Numbers on their way to the host.

    Parameters
    ----------
    download : Download
        Of one array.
    """

    def __init__(self, download: Download) -> None:
        self._download: Download | None = download
        self._values: NDArray[Any] = np.empty(0)

    def wait(self) -> NDArray[Any]:
        """Return the numbers, and wait until they are there."""
        if self._download is not None:
            (self._values,) = self._download.wait()
            self._download = None
        return self._values


def settle(
    history: Array,
    reference: Array,
    coarse: Array,
    probability: Array | None,
    half_luma: Array,
    luma: Array,
    *,
    surest: float,
    still: float,
    least: float,
    is_nobody: bool,
) -> Pending:
    """See `greenroom.matting.grid_kernels.settle`; the box as in `mask_matte`."""
    shape = height, width = coarse.shape
    half = _half(shape)
    steady, steady_half, reference_half, age = _parts(history, shape)
    there = None if probability is None else contiguous(probability, "f", half)
    device = device_of_all(history)
    changes, shares = device.empty(half, np.float32), device.empty(half, np.int16)
    box = device.empty((4,), np.int32)
    small = contiguous(half_luma, "B", half)
    launch("settle_changes", half[::-1], small, reference_half, changes, box, *half)
    moved = changes, small, still, least, age, reference_half, shares
    launch("settle_shares", half[::-1], *moved, *half)
    applied = shares, *plane(luma, shape), contiguous(coarse, "f", shape), surest, there
    changed = contiguous(reference, "h", shape), steady
    launch("settle_apply", shape[::-1], *applied, is_nobody, *changed, height, width)
    launch("settle_half", half[::-1], steady, steady_half, box, height, width)
    return Pending(device.start_download(box))


def mask_matte(mask: Array, history: Array, shape: tuple[int, int]) -> Pending:
    """Multiply a steadied matte with a mask (h, w) uint8 of 0 and 1 on the half grid.

    Returns
    -------
    Pending
        Left, top, right and bottom, on the half grid, of all coverage of one half or more; right
        and bottom are 0 without any.
    """
    half = _half(shape)
    steady, steady_half, _, _ = _parts(history, shape)
    device = device_of_all(history)
    box = device.empty((4,), np.int32)
    launch("mask_matte", shape[::-1], contiguous(mask, "B", half), steady, box, *shape)
    launch("settle_half", half[::-1], steady, steady_half, box, *shape)
    return Pending(device.start_download(box))


def _half(shape: Shape) -> tuple[int, int]:
    height, width = shape
    return (height + 1) // 2, (width + 1) // 2


def _parts(history: Array, shape: Shape) -> tuple[Any, ...]:
    """Return the steadied matte, and on the half grid it, its picture, and its age."""
    half = _half(shape)
    whole, part = shape[0] * shape[1], half[0] * half[1]
    contiguous(history, "f", (whole + 3 * part,))
    starts = (whole + index * part for index in range(3))
    halves = (history[start : start + part].reshape(*half) for start in starts)
    return history[:whole].reshape(*shape), *halves


def weigh(
    planes: Array,
    spread: Array,
    plate: Array,
    seen: Array,
    ratios: Array,
    prior: Array,
    terms: Array,
    probability: Array,
    difference: Array | None,
    *,
    deep: int,
    clear: int,
) -> None:
    """See `greenroom.matting.evidence_kernels.weigh`."""
    shape, number, bins = prior.shape, len(planes), len(ratios)
    device = device_of_all(prior)
    colours, differences = device.empties([shape, shape], np.float32)
    marks = device.empty(shape)
    before = contiguous(prior, "f", shape)
    launch(
        "weigh_samples",
        shape[::-1],
        contiguous(planes, "B", (number, *shape)),
        number,
        table(spread, "f", (number,)),
        contiguous(plate, "f", (number, *shape)),
        contiguous(ratios, "f", (bins,)),
        before,
        deep,
        clear,
        colours,
        differences,
        marks,
        *shape,
    )
    launch(
        "weigh",
        shape[::-1],
        colours,
        differences,
        marks,
        contiguous(seen, "f", shape),
        before,
        table(terms, "f", (5,)),
        deep,
        clear,
        contiguous(probability, "f", shape),
        None if difference is None else contiguous(difference, "f", shape),
        *shape,
    )


def learn(
    planes: Array,
    matte: Array,
    other: Array | None,
    difference: Array,
    plate: Array,
    seen: Array,
    colours: Array,
    ratios: Array,
    *,
    clear: int,
    memory: float,
    share: float,
    unseen: float,
    far: float,
) -> Pending:
    """See `greenroom.matting.evidence_kernels.learn`; for the numbers see `learned`."""
    shape, number, bins = seen.shape, len(planes), len(ratios)
    if clear < 1:
        message = f"expected a distance of at least one sample, not {clear}"
        raise ValueError(message)
    device = device_of_all(seen)
    marks, tables = device.empty(shape), device.empty((2, bins), np.uint32)
    sums = device.empty((5, _SLOTS), np.uint64)
    both = (
        contiguous(matte, "f", shape),
        None if other is None else contiguous(other, "f", shape),
    )
    launch("learn_marks", shape[::-1], *both, clear, marks, tables, bins, sums, *shape)
    launch(
        "learn_samples",
        shape[::-1],
        contiguous(planes, "B", (number, *shape)),
        number,
        marks,
        contiguous(difference, "f", shape),
        contiguous(plate, "f", (number, *shape)),
        contiguous(seen, "f", shape),
        clear,
        memory,
        tables,
        bins,
        sums,
        *shape,
    )
    known = contiguous(colours, "f", (2, bins)), contiguous(ratios, "f", (bins,))
    launch("learn_ratios", (bins,), tables, sums, share, unseen, far, *known, bins)
    return Pending(device.start_download(sums))


def learned(sums: Pending) -> tuple[float, float, float]:
    """Wait for the numbers of `greenroom.matting.evidence_kernels.learn`, and return them."""
    _, _, known, misfits, brighter = sums.wait().view(np.int64).sum(axis=1).tolist()
    return float(known), float(misfits), brighter / _FINE


def brighten(values: Array, by: float) -> None:
    """Add to contiguous values, in place."""
    launch("brighten", (values.size,), contiguous(values, "f", values.shape), by, values.size)


def compare_cells(
    planes: Array,
    matte: Array,
    exempt: Array | None,
    *,
    room: tuple[Array, Array],
    state: tuple[Array, Array, Array],
    frame: tuple[Array, Array, Array],
    counts: tuple[Array, Array, Array],
    alike: float,
    texture: float,
    trusted: float,
    frames: float,
) -> Pending:
    """See `greenroom.matting.plausibility_kernels.compare`.

    Parameters
    ----------
    planes : (planes, H, W) uint8
        The frame on the half grid.
    matte : (H', W') uint8
        Of the frame's size.
    exempt : (h, w) uint8, optional
        Not 0 in cells that count as free.
    room : two of (planes, h, w) float32
        After the frame before, and written.
    state : (h, w), (planes, h, w) and (h, w) float32
        ``seen``, ``held`` and ``owned`` of the memory.
    frame : (h, w), (planes, h, w) and (h, w) uint8
        Written: values of the matte, the frame, and marks.
    counts : three of (8,) uint64
        Of the frame before, of this one, all 0, and of the next one, which become 0.
    """
    number, high, wide = planes.shape
    shape = (high + 1) // 2, (wide + 1) // 2
    every = number, *shape
    if any(length < cells for length, cells in zip(matte.shape, shape, strict=True)):
        message = f"a matte of {matte.shape} has no samples for cells of {shape}"
        raise TypeError(message)
    seen, held, owned = state
    values, cells, marks = frame
    launch(
        "compare_cells",
        shape[::-1],
        contiguous(planes, "B", planes.shape),
        number,
        contiguous(matte, "B"),
        *matte.shape,
        None if exempt is None else contiguous(exempt, "B", shape),
        *(contiguous(one, "f", every) for one in room),
        contiguous(seen, "f", shape),
        contiguous(held, "f", every),
        contiguous(owned, "f", shape),
        alike,
        texture,
        trusted,
        frames,
        contiguous(values, "B", shape),
        contiguous(cells, "B", every),
        contiguous(marks, "B", shape),
        *(_counts(one) for one in counts),
        high,
        wide,
    )
    return Pending(device_of_all(planes).start_download(_counts(counts[1])))


def _counts(array: Array) -> DeviceArray:
    return contiguous(array, np.dtype(np.uint64).char, (CELL_COUNTS,))


def remember_cells(
    cells: Array, values: Array, wrong: Array | None, *, times: float, held: Array, owned: Array
) -> None:
    """See `greenroom.matting.plausibility_kernels.remember`."""
    number, *shape = cells.shape
    where = height, width = tuple(shape)
    launch(
        "remember_cells",
        (width, height),
        contiguous(cells, "B", cells.shape),
        number,
        contiguous(values, "B", where),
        None if wrong is None else contiguous(wrong, "B", where),
        times,
        contiguous(held, "f", cells.shape),
        contiguous(owned, "f", where),
        *where,
    )
