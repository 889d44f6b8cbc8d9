"""The guided filter in the core: coefficients on the half grid, applied at edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom import core
from greenroom.cuda import calls
from greenroom.matting.grid_kernels import half_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["EDGE", "EMPTY", "FULL", "guide"]

EMPTY, FULL, EDGE = 0, 1, 2
"""Kinds of samples of the half grid: certainly 0, certainly 1, or neither."""

_LARGEST = 255.0

_guide = core.function("guide", "pp ffff i p ppp ii")


def guide(
    reference: Floats,
    matte: Floats,
    picture: NDArray[np.int16],
    kinds: Bytes,
    maps: Floats,
    coverage: Bytes,
    *,
    flat: float,
    middle: float,
    gain: float,
    beside: int,
) -> None:
    """Move a matte's edges to those of a picture.

    Local linear models from the reference to the matte are fitted in windows of 3x3 samples, and
    averaged over all windows that hold a sample. Beyond its border the picture is mirrored, as
    OpenCV does by default.

    Parameters
    ----------
    reference, matte : (h, w) float32
        The guide, 0 to 255, and the matte, on the half grid. Read only.
    picture : (H, W) int16
        The guide on the working grid, in 128ths. Read only.
    kinds : (h, w) uint8
        Written: `EMPTY` or `FULL` where the matte will be that in all samples around, whatever
        the guide is; otherwise `EDGE`.
    maps : (3, H, W) float32
        Written at edges, one row of the half grid above and below, and ``beside`` columns to both
        sides: the matte, not yet clipped to 0..1; its slope by the guide; and the picture, 0 to
        255.
    coverage : (H, W) uint8
        Written: the matte, 0 to 255.
    flat : float
        Regularisation: added to the guide's variance.
    middle, gain : float
        The coverage that becomes one half, and the gain of the edge around it; coverage 0 must
        stay 0.
    beside : int
        Number of columns, at least 1: loops at full size take a few samples at a time.
    """
    shape, half = picture.shape, half_of(picture.shape)
    if beside < 1:
        message = f"expected at least one column beside an edge, not {beside}"
        raise ValueError(message)
    if middle * gain < 0.5:
        message = f"with a middle of {middle:g} and a gain of {gain:g} nothing becomes something"
        raise ValueError(message)
    if calls.on_device(reference, matte, picture, kinds, maps, coverage):
        arrays = reference, matte, picture, kinds, maps, coverage
        calls.guide(*arrays, flat=flat, largest=_LARGEST, middle=middle, gain=gain)
        return
    _guide(
        core.contiguous(reference, "f", half),
        core.contiguous(matte, "f", half),
        flat,
        _LARGEST,
        middle,
        gain,
        beside,
        core.contiguous(kinds, "B", half, writable=True),
        core.contiguous(picture, "h"),
        core.contiguous(maps, "f", (3, *shape), writable=True),
        core.contiguous(coverage, "B", shape, writable=True),
        *shape,
    )
