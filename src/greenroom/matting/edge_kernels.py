"""The loop that gives a matte its edges at full size, in the core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.tiles import Guide, make

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["sharpen"]


def sharpen(  # noqa: PLR0913, PLR0917
    base: Floats,
    slope: Floats,
    reference: Floats,
    kinds: Bytes,
    luma: Bytes,
    noise: float,
    out: Bytes,
) -> None:
    """Enlarge a matte to the frame's size, with the edges of the frame's own luma.

    What the frame shows beyond the enlarged reference moves the matte as the guide's slope says.

    Parameters
    ----------
    base, slope, reference : (h, w) float32
        From `guide`; no larger than the frame.
    kinds : (h / 2, w / 2) uint8
        `EMPTY` or `FULL` where that is what all samples around it are, otherwise `EDGE`: only
        there anything is computed.
    luma : (H, W) uint8
        The frame's first plane.
    noise : float
        Detail of less than this is none, in 8-bit levels.
    out : (H, W) uint8
        Where the matte goes.
    """
    full = Guide(base, slope, reference, kinds, luma, noise)
    make(luma.shape, full.sorted_tiles(), guide=full, whole=out)
