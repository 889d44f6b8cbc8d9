"""Loops over what is learned of person and room, in the core, on the half grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom import core

if TYPE_CHECKING:
    import numpy as np
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

_weigh = core.function("weigh", "pi pppppp ii")
_judge = core.function("judge", "pppppppp ii")
_learn = core.function("learn", "pi pppp pppi fp ii")


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
    shape, number = colour.shape, len(planes)
    _weigh(
        core.contiguous(planes, "B", (number, *shape)),
        number,
        core.contiguous(weights, "f", (number,)),
        core.contiguous(plate, "f", (number, *shape)),
        core.contiguous(ratios, "f", (BINS**number,)),
        core.contiguous(numbers, "H", shape, writable=True),
        core.contiguous(colour, "f", writable=True),
        core.contiguous(difference, "f", shape, writable=True),
        *shape,
    )


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
    shape = colour.shape
    _judge(
        core.contiguous(colour, "f"),
        core.contiguous(difference, "f", shape),
        core.contiguous(seen, "f", shape),
        core.contiguous(inside, "B", shape),
        core.contiguous(around, "B", shape),
        core.contiguous(prior, "f", shape),
        core.contiguous(weights, "f", (5,)),
        core.contiguous(probability, "f", shape, writable=True),
        *shape,
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
    shape, number = seen.shape, len(planes)
    _learn(
        core.contiguous(planes, "B", (number, *shape)),
        number,
        core.contiguous(numbers, "H", shape),
        core.contiguous(least, "B", shape),
        core.contiguous(most, "B", shape),
        core.contiguous(difference, "f", shape),
        core.contiguous(plate, "f", (number, *shape), writable=True),
        core.contiguous(seen, "f", writable=True),
        core.contiguous(counts, "f", (2, BINS**number), writable=True),
        counts.shape[1],
        memory,
        core.contiguous(report, "d", (3,), writable=True),
        *shape,
    )
