"""Loops over what is learned of person and room, compiled by numba, on the half grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from greenroom.jit import FLOATS, FLOATS3, READ_FLOATS, READ_FLOATS3, READ_MATTE, kernel, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = [
    "BINS",
    "LIKELY",
    "NOBODY",
    "PERSON",
    "STRANGE",
    "SURE",
    "TRUSTED",
    "judge",
    "learn",
    "weigh",
]

BINS = 16
"""How many bins a histogram of colours has along each plane."""

PERSON, NOBODY = 242, 25
"""Coverage, 0 to 255, above which it is surely the person, and below which surely nobody."""

LIKELY = 230
"""Coverage, 0 to 255, above which the model does not waver."""

TRUSTED, SURE = 3.0, 8.0
"""In how many frames the room must have been seen somewhere to be trusted, and to be certain."""

STRANGE = 9.0
"""The squared difference, of 1 that the room itself may have, from which it is not the room."""

_VECTOR = types.Array(types.float32, 1, "C", readonly=True)
_PLANES = types.Array(types.uint8, 3, "C", readonly=True)
_REPORT = types.Array(types.float64, 1, "C")
_NUMBERS = types.Array(types.uint16, 2, "C")


@numba.njit(nogil=True)  # type: ignore[untyped-decorator]
def _number(samples: Bytes, first: bool, numbers: NDArray[np.uint16]) -> None:  # noqa: FBT001
    """Add one plane to the numbers of a row's colours in a histogram."""
    four = np.uint16(4)
    for x in range(len(samples)):
        number = np.uint16(0) if first else np.uint16(numbers[x] << four)
        numbers[x] = np.uint16(number + np.uint16(np.uint16(samples[x]) >> four))


@numba.njit(nogil=True, fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _differ(samples: Bytes, room: Floats, weight: float, difference: Floats) -> None:
    for x in range(len(samples)):
        step = np.float32(samples[x]) - room[x]
        difference[x] += weight * step * step


@kernel(_PLANES, _VECTOR, READ_FLOATS3, _VECTOR, _NUMBERS, FLOATS, FLOATS)
def weigh(  # noqa: PLR0913, PLR0917
    planes: Bytes,
    weights: Floats,
    plate: Floats,
    ratios: Floats,
    numbers: NDArray[np.uint16],
    colour: Floats,
    difference: Floats,
) -> None:
    """Look up what a frame's colours tell, and its squared difference from the clean plate.

    Parameters
    ----------
    planes : (planes, h, w) uint8
        The frame, on the half grid.
    weights : (planes,) float32
        What a squared difference of each plane counts.
    plate : (planes, h, w) float32
        The room.
    ratios : (bins,) float32
        For each colour the log of how much likelier it is in the foreground.
    numbers : (h, w) uint16
        Where each sample's colour goes: its number in a histogram.
    colour, difference : (h, w) float32
        Where the two results go.
    """
    height, width = colour.shape
    for y in range(height):
        difference[y] = 0
        for index in range(len(weights)):
            _number(planes[index, y], index == 0, numbers[y])
            _differ(planes[index, y], plate[index, y], weights[index], difference[y])
        for x in range(width):
            colour[y, x] = ratios[numbers[y, x]]


# Without branches, and without `exp`, which is a call: so it is vectorised.
@numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})  # type: ignore[untyped-decorator]
def _judge_row(  # noqa: PLR0913, PLR0917
    colour: Floats,
    difference: Floats,
    seen: Floats,
    inside: Bytes,
    around: Bytes,
    prior: Floats,
    weights: Floats,
    probability: Floats,
) -> None:
    by_colour, by_plate, room, most = weights[0], weights[1], weights[2], weights[3]
    doubt = weights[4]
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    trusted, sure = np.float32(TRUSTED), np.float32(1 / SURE)
    low, high = np.float32(1e-3), np.float32(0.998)
    for x in range(len(colour)):
        trust = min(seen[x] * sure, one) if seen[x] >= trusted else zero
        told = trust * min(by_plate * difference[x] - room, most)
        deep = inside[x] > PERSON
        told = max(told, zero) if deep else told
        told -= doubt if (trust == zero) & (around[x] <= LIKELY) else zero
        odds = by_colour * colour[x] + told
        # The logistic function is (1 + tanh(odds / 2)) / 2, by tanh's continued fraction.
        angle = half * odds
        square = angle * angle
        upper = angle * (np.float32(10395) + square * (np.float32(1260) + square * np.float32(21)))
        lower = np.float32(10395) + square * (
            np.float32(4725) + square * (np.float32(210) + square)
        )
        found = half + half * upper / lower
        idle = (prior[x] < low) | ((prior[x] > high) & ((trust == zero) | deep))
        probability[x] = half if idle else found


@kernel(READ_FLOATS, READ_FLOATS, READ_FLOATS, READ_MATTE, READ_MATTE, READ_FLOATS, _VECTOR, FLOATS)
def judge(  # noqa: PLR0913, PLR0917
    colour: Floats,
    difference: Floats,
    seen: Floats,
    inside: Bytes,
    around: Bytes,
    prior: Floats,
    weights: Floats,
    probability: Floats,
) -> None:
    """Weigh two kinds of evidence to the probability that a sample is foreground.

    It is one half, which says nothing, where the model's own answer is sure enough not to be
    moved by it.

    Parameters
    ----------
    colour, difference : (h, w) float32
        From `weigh`, averaged over neighbours.
    seen : (h, w) float32
        In how many frames the clean plate was: it is trusted from `TRUSTED`, fully from `SURE` on.
    inside : (h, w) uint8
        Above `PERSON` deep inside the person, where what looks like the room is a coincidence.
    around : (h, w) uint8
        The largest coverage near by: up to `LIKELY` there is doubt where the room is not known.
    prior : (h, w) float32
        The model's coverage.
    weights : (5,) float32
        What a log ratio of colours counts, what a squared difference from the plate does, the
        log odds of the room where there is none, the most that a difference tells, and what
        doubt takes away.
    probability : (h, w) float32
        Where the result goes.
    """
    for y in range(len(colour)):
        _judge_row(
            colour[y],
            difference[y],
            seen[y],
            inside[y],
            around[y],
            prior[y],
            weights,
            probability[y],
        )


@kernel(
    _PLANES,
    _NUMBERS,
    READ_MATTE,
    READ_MATTE,
    READ_FLOATS,
    FLOATS3,
    FLOATS,
    FLOATS,
    types.float32,
    _REPORT,
)
def learn(  # noqa: PLR0913, PLR0917
    planes: Bytes,
    numbers: NDArray[np.uint16],
    least: Bytes,
    most: Bytes,
    difference: Floats,
    plate: Floats,
    seen: Floats,
    counts: Floats,
    memory: float,
    report: NDArray[np.float64],
) -> None:
    """Count the colours of the person and of the room, and average the room into the plate.

    Parameters
    ----------
    planes : (planes, h, w) uint8
        The frame, on the half grid.
    numbers : (h, w) uint16
        From `weigh`.
    least, most : (h, w) uint8
        The smallest and largest coverage around: above `PERSON` it is surely the person, below
        `NOBODY` surely the room.
    difference : (h, w) float32
        From `weigh`: 1 is what the room itself may differ.
    plate, seen : (planes, h, w) and (h, w) float32
        The room, and in how many frames it was seen there; changed in place.
    counts : (2, bins) float32
        Colours of the person and of the room; added to.
    memory : float
        Over how many frames the plate is averaged at most.
    report : (3,) float64
        How many samples of the room were known, how many of these do not fit, and by how much
        the first plane was brighter than the plate in those that do, in all.
    """
    height, width = seen.shape
    known, misfits = 0, 0
    brighter = 0.0
    one = np.float32(1)
    for y in range(height):
        for x in range(width):
            if least[y, x] > PERSON:
                counts[0, numbers[y, x]] += one
            elif most[y, x] < NOBODY:
                counts[1, numbers[y, x]] += one
                if seen[y, x] >= TRUSTED:
                    known += 1
                    if difference[y, x] > STRANGE:
                        misfits += 1
                    else:
                        brighter += np.float32(planes[0, y, x]) - plate[0, y, x]
                times = min(seen[y, x] + one, np.float32(memory))
                seen[y, x] = times
                share = one / times
                for index in range(len(planes)):
                    step = np.float32(planes[index, y, x]) - plate[index, y, x]
                    plate[index, y, x] += share * step
    report[0], report[1], report[2] = known, misfits, brighter
