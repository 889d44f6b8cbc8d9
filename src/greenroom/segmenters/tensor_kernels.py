"""Core kernels for network inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom import core
from greenroom.cuda import calls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Planes = tuple[Plane, ...]
    Floats = NDArray[np.float32]

__all__ = ["difference", "margin", "mix"]

_FLOAT: Final = np.dtype(np.float32)

_mix = core.function("mix", "ppp n pp ii p")
_margin = core.function("margin", "pnnn iii pp")
_difference = core.function("difference", "pnnn ii ppp pp")


def mix(planes: Planes, matrix: Floats, limits: Floats, out: NDArray[Any], *, planar: bool) -> None:
    """Convert planes to a network's input.

    Parameters
    ----------
    planes : three (h, w) uint8
        All of one size, contiguous.
    matrix : (3, 4) float32
        From their samples, and 1, to the channels.
    limits : (3, 2) float32
        Minimum and maximum of each channel, within 0 to 255.99 for uint8.
    out : (h, w, 3) float32 or uint8
        Written. Values are truncated, not rounded, for uint8.
    planar : bool
        Whether `out` is (3, h, w).
    """
    if calls.on_device(*planes, out):
        calls.mix(planes, matrix, limits, out, planar=planar)
        return
    first, second, third = planes
    shape = first.shape
    is_whole = out.dtype == np.uint8
    _mix(
        core.contiguous(first, "B"),
        core.contiguous(second, "B", shape),
        core.contiguous(third, "B", shape),
        first.size,
        core.contiguous(matrix, "f", (3, 4)),
        core.contiguous(limits, "f", (3, 2)),
        planar,
        is_whole,
        core.contiguous(
            out, "B" if is_whole else "f", (3, *shape) if planar else (*shape, 3), writable=True
        ),
    )


def margin(logits: Floats, handicaps: Floats, out: Floats) -> None:
    """Compute the margin between kept and other classes.

    Parameters
    ----------
    logits : (h, w, c) float32
        Of any strides.
    handicaps : (2, c) float32
        Added to the logits. First row: 0 for kept classes, far below every logit for others.
        Second row: the reverse.
    out : (h, w) float32
        Written: the best kept logit minus the best other one; NaN if any logit is not finite.
    """
    if calls.on_device(logits, out):
        calls.margin(logits, handicaps, out)
        return
    address, strides = _strided(logits)
    height, width, channels = logits.shape
    _margin(
        address,
        *strides,
        height,
        width,
        channels,
        core.contiguous(handicaps, "f", (2, channels)),
        core.contiguous(out, "f", (height, width), writable=True),
    )


def difference(foreground: Floats, planes: Planes, matrix: Floats, out: Floats) -> None:
    """Compute the difference of a foreground from the network's input.

    Parameters
    ----------
    foreground : (h, w, 3) float32
        RGB in 0..1, of any strides.
    planes : three (h, w) uint8
        The network's input, contiguous.
    matrix : (3, 4) float32
        From (red, green, blue, 1) to their samples.
    out : (3, h, w) float32
        Written: the difference.
    """
    first, second, third = planes
    shape = height, width = first.shape
    address, strides = _strided(foreground, (height, width, 3))
    _difference(
        address,
        *strides,
        height,
        width,
        core.contiguous(first, "B", shape),
        core.contiguous(second, "B", shape),
        core.contiguous(third, "B", shape),
        core.contiguous(matrix, "f", (3, 4)),
        core.contiguous(out, "f", (3, height, width), writable=True),
    )


def _strided(
    values: Floats, shape: tuple[int, int, int] | None = None
) -> tuple[int, tuple[int, ...]]:
    """Return the address of a (h, w, c) float32 array, and its strides in elements."""
    size = _FLOAT.itemsize
    if (
        values.dtype != _FLOAT
        or values.ndim != 3
        or any(stride % size for stride in values.strides)
        or not values.flags.aligned
        or (shape is not None and values.shape != shape)
    ):
        message = (
            f"the core expected float32 of shape {shape or '(h, w, c)'}, "
            f"not {values.dtype} of shape {values.shape} and strides {values.strides}"
        )
        raise TypeError(message)
    return values.ctypes.data, tuple(stride // size for stride in values.strides)
