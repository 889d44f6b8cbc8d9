"""Core functions that learn and weigh evidence, on the half grid."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from greenroom import core
from greenroom.cuda import calls, grid_calls

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
    "SURE",
    "TRUSTED",
    "learn",
    "weigh",
]

BINS = 16
"""Number of bins of a colour histogram along each plane."""

PERSON, NOBODY = 242, 25
"""Coverage, 0 to 255, above which a sample is surely the person, and below which surely room."""

LIKELY = 230
"""Coverage, 0 to 255, above which the model is sure."""

TRUSTED, SURE = 3.0, 8.0
"""Number of frames after which a sample of the room is trusted, and certain."""

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
    """Compute the probability of foreground from colours and the clean plate.

    Both are averaged over 3x3 samples. The result is a neutral one half where the model is sure
    enough not to be changed by it.

    Parameters
    ----------
    planes : (planes, h, w) uint8
        The frame, on the half grid.
    spread : (planes,) float32
        Weight of each plane's squared difference.
    plate, seen : (planes, h, w) and (h, w) float32
        The clean plate, and the number of frames in which it was seen: trusted from `TRUSTED`,
        fully from `SURE` on.
    ratios : (bins,) float32
        Log likelihood ratio of foreground for each colour.
    prior : (h, w) float32
        The model's coverage.
    terms : (5,) float32
        Weight of a log ratio of colours, weight of a squared difference from the plate, log odds
        of room where there is none, limit of a difference's effect, and log odds of doubt where
        the room is unknown.
    probability : (h, w) float32
        The probability of foreground; written.
    difference : (h, w) float32, optional
        The squared difference; written.
    deep, clear : int
        Depth in samples inside the sure person, above `PERSON`, from which likeness to the room
        counts as coincidence; and distance from samples above `LIKELY` within which there is no
        doubt.
    """
    shape, number = prior.shape, len(planes)
    if calls.on_device(planes, plate, seen, ratios, prior, probability):
        known = plate, seen, ratios, prior, terms
        grid_calls.weigh(planes, spread, *known, probability, difference, deep=deep, clear=clear)
        return
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
        Coverage; the larger of two counts.
    difference : (h, w) float32
        From `weigh`, in variances of the room.
    plate, seen : (planes, h, w) and (h, w) float32
        The clean plate, and the number of frames in which it was seen; changed in place.
    colours : (2, bins) float32
        Shares of the person's and the room's colours; changed in place.
    ratios : (bins,) float32
        Written: see `weigh`.
    clear : int
        Distance in samples within which no coverage above `NOBODY` is allowed for room.
    memory : float
        Number of frames over which the plate is averaged at most.
    share : float
        Weight of this frame in the moving average of colours.
    unseen, far : float
        Share assumed for a colour never seen, and limit of the log ratio.

    Returns
    -------
    (float, float, float)
        Number of known samples of the room, number of these that do not fit, and the sum of the
        first plane's differences from the plate over the others.
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
