"""Loops that find a guided filter's coefficients, in the core, on the half grid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom import core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["EDGE", "EMPTY", "FULL", "classify", "fit"]

EMPTY, FULL, EDGE = 0, 1, 2
"""What is known of a sample of the half grid: certainly 0, certainly 1, or neither."""

_fit = core.function("fit", "ppf pp ii")
_classify = core.function("classify", "pp fff p ii")


def fit(guide: Floats, matte: Floats, flat: float, slopes: Floats, offsets: Floats) -> None:
    """Find the local linear models that take a guide to a matte, over windows of 3x3 samples.

    Each is the mean of those of all windows that a sample is in. Beyond its border the picture
    is mirrored, as OpenCV does by default.

    Parameters
    ----------
    guide, matte : (h, w) float32
        Read only.
    flat : float
        What is added to the guide's variance: a guide that varies less is flat.
    slopes, offsets : (h, w) float32
        Where the models go.
    """
    shape = guide.shape
    _fit(
        core.contiguous(guide, "f"),
        core.contiguous(matte, "f", shape),
        flat,
        core.contiguous(slopes, "f", shape, writable=True),
        core.contiguous(offsets, "f", shape, writable=True),
        *shape,
    )


def classify(  # noqa: PLR0913, PLR0917
    slopes: Floats, offsets: Floats, guides: float, low: float, high: float, kinds: Bytes
) -> None:
    """Tell `EMPTY`, `FULL` and `EDGE` apart by a guided filter's coefficients.

    A sample is `EDGE` where those around it are not all of one kind.

    Parameters
    ----------
    slopes, offsets : (h, w) float32
        On the half grid.
    guides : float
        The largest value of a guide; the smallest is 0.
    low, high : float
        The coverage up to which the matte is 0, and from which it is 1.
    kinds : (h, w) uint8
        Where the result goes.
    """
    shape = kinds.shape
    _classify(
        core.contiguous(slopes, "f", shape),
        core.contiguous(offsets, "f", shape),
        guides,
        low,
        high,
        core.contiguous(kinds, "B", writable=True),
        *shape,
    )
