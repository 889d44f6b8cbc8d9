"""Loops that compare a matte with what is known of the room, in the core, on cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom import core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["CHANGED", "CLAIMED", "PLAIN", "ROOM", "TEXTURED", "compare"]

CLAIMED, ROOM = 13, 8
"""Coverage, 0 to 255, from which a cell can be seen, and below which it is the room."""

PLAIN, TEXTURED, CHANGED = 1, 2, 3
"""What a claimed cell may be marked as: it looks as the room did, without or with texture there;
or the room had texture there and it looks different."""

_compare = core.function("compare", "pi ppppp ffff pp ii")


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
    shape, number = values.shape, len(planes)
    _compare(
        core.contiguous(planes, "B", (number, *shape)),
        number,
        core.contiguous(values, "B"),
        core.contiguous(room, "f", planes.shape, writable=True),
        core.contiguous(seen, "f", shape, writable=True),
        core.contiguous(held, "f", planes.shape),
        core.contiguous(owned, "f", shape, writable=True),
        alike,
        texture,
        trusted,
        memory,
        core.contiguous(marks, "B", shape, writable=True),
        core.contiguous(report, "d", (4,), writable=True),
        *shape,
    )
