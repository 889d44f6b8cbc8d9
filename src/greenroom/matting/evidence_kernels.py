"""Loops over what is learned of person and room, in the core, on the half grid."""

from __future__ import annotations

import ctypes
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

_weigh = core.function("weigh", "pi ppppp p ii pp ii")
_learn = core.function("learn", "pi pp ppp if pfff p p ii")


def weigh(
    planes: Bytes,
    spread: Floats,
    plate: Floats,
    seen: Floats,
    ratios: Floats,
    prior: Floats,
    terms: Floats,
    probability: Floats,
    difference: Floats | None = None,
    *,
    deep: int,
    clear: int,
) -> None:
    """Weigh what a frame's colours tell, and its difference from the clean plate.

    Both are averaged over 3x3 samples. The result is one half, which says nothing, where the
    model's own answer is sure enough not to be moved by it.

    Parameters
    ----------
    planes : (planes, h, w) uint8
        The frame, on the half grid.
    spread : (planes,) float32
        What a squared difference of each plane counts.
    plate, seen : (planes, h, w) and (h, w) float32
        The room, and in how many frames it was seen: it is trusted from `TRUSTED`, fully from
        `SURE` on.
    ratios : (bins,) float32
        For each colour the log of how much likelier it is in the foreground.
    prior : (h, w) float32
        The model's coverage.
    terms : (5,) float32
        What a log ratio of colours counts, what a squared difference from the plate does, the
        log odds of the room where there is none, the most that a difference tells, and what
        doubt takes away where the room is not known.
    probability : (h, w) float32
        Where the probability of foreground goes.
    difference : (h, w) float32, optional
        Where the squared difference goes.
    deep, clear : int
        So many samples inside who is surely a person, above `PERSON`, what looks like the room
        is a coincidence; and so near to whom the model does not waver at, above `LIKELY`, there is
        no doubt.
    """
    shape, number = prior.shape, len(planes)
    _weigh(
        core.contiguous(planes, "B", (number, *shape)),
        number,
        core.contiguous(spread, "f", (number,)),
        core.contiguous(plate, "f", (number, *shape)),
        core.contiguous(seen, "f", shape),
        core.contiguous(ratios, "f", (BINS**number,)),
        core.contiguous(prior, "f"),
        core.contiguous(terms, "f", (5,)),
        deep,
        clear,
        core.contiguous(probability, "f", shape, writable=True),
        None if difference is None else core.contiguous(difference, "f", shape, writable=True),
        *shape,
    )


def learn(
    planes: Bytes,
    matte: Floats,
    other: Floats | None,
    difference: Floats,
    plate: Floats,
    seen: Floats,
    colours: Floats,
    ratios: Floats,
    *,
    clear: int,
    memory: float,
    share: float,
    unseen: float,
    far: float,
) -> tuple[float, float, float]:
    """Count the colours of the person and of the room, and average the room into the plate.

    The person is where all coverage around is above `PERSON`.

    Parameters
    ----------
    planes : (planes, h, w) uint8
        The frame, on the half grid.
    matte, other : (h, w) float32
        Coverage, of which the larger counts; there may be no other.
    difference : (h, w) float32
        From `weigh`: 1 is what the room itself may differ.
    plate, seen : (planes, h, w) and (h, w) float32
        The room, and in how many frames it was seen there; changed in place.
    colours : (2, bins) float32
        Shares of the person's and the room's colours; changed in place.
    ratios : (bins,) float32
        Written: see `weigh`.
    clear : int
        The room is where no coverage so near is above `NOBODY`, in samples.
    memory : float
        Over how many frames the plate is averaged at most.
    share : float
        How far shares of colours move toward those of this frame.
    unseen, far : float
        What the share of a colour is taken for that was never seen, and the most that a ratio is.

    Returns
    -------
    (float, float, float)
        How many samples of the room were known, how many of these do not fit, and by how much
        the first plane was brighter than the plate in those that do, in all.
    """
    shape, number = seen.shape, len(planes)
    bins = BINS**number
    report = (ctypes.c_double * 3)()
    _learn(
        core.contiguous(planes, "B", (number, *shape)),
        number,
        core.contiguous(matte, "f", shape),
        None if other is None else core.contiguous(other, "f", shape),
        core.contiguous(difference, "f", shape),
        core.contiguous(plate, "f", (number, *shape), writable=True),
        core.contiguous(seen, "f", writable=True),
        clear,
        memory,
        core.contiguous(colours, "f", (2, bins), writable=True),
        share,
        unseen,
        far,
        core.contiguous(ratios, "f", (bins,), writable=True),
        report,
        *shape,
    )
    return report[0], report[1], report[2]
