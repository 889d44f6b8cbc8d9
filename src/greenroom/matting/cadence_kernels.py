"""Core functions that tell movement from noise."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom import core

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["BINS", "MAX_NOISE", "CheckedPlanes", "checked_planes", "tell_still"]

BINS: Final = 8
"""Number of brightness bins, each with its own noise."""

MAX_NOISE: Final = 32.0
"""Upper limit of the noise: variance of the difference of two samples."""

_tell_still = core.function("tell_still", "i ppp ppp ii ii pp")


class CheckedPlanes(NamedTuple):
    """Planes checked once for any number of comparisons.

    Attributes
    ----------
    planes : tuple of (h, w) uint8
        One or three; the second and third of one shape.
    shapes : tuple of (int, int)
        Their shapes, the second for both others.
    addresses : tuple of three int
        Their addresses, or 0.
    """

    planes: tuple[Bytes, ...]
    shapes: tuple[tuple[int, ...], ...]
    addresses: tuple[int, int, int]


def checked_planes(planes: tuple[Bytes, ...]) -> CheckedPlanes:
    """Check planes for comparisons.

    Parameters
    ----------
    planes : tuple of (h, w) uint8, contiguous
        One or three; the second and third of one shape. They are kept, and read in
        every comparison.

    Raises
    ------
    TypeError
        If they are anything else.
    """
    first = core.contiguous(planes[0], "B")
    if len(planes) == 1:
        return CheckedPlanes(planes, (planes[0].shape,), (first, 0, 0))
    one, second, third = planes
    others = core.contiguous(second, "B"), core.contiguous(third, "B", second.shape)
    return CheckedPlanes(planes, (one.shape, second.shape), (first, *others))


def tell_still(now: CheckedPlanes, before: CheckedPlanes, noise: Floats) -> bool:
    """Test whether two sets of planes are equal but for the camera's noise.

    Parameters
    ----------
    now, before : CheckedPlanes
        The planes, of the same shapes.
    noise : (planes, BINS) float32
        Variance of the difference of two samples by noise, for each plane and brightness. It is
        updated in place.

    Raises
    ------
    TypeError
        If the arrays do not belong together.
    """
    shapes, count = now.shapes, len(now.planes)
    if shapes != before.shapes or count != len(before.planes):
        message = f"planes of shapes {shapes} cannot be compared with those of {before.shapes}"
        raise TypeError(message)
    still = ctypes.c_int32()
    _tell_still(
        count,
        *now.addresses,
        *before.addresses,
        *shapes[0],
        *shapes[-1],
        core.contiguous(noise, "f", (count, BINS), writable=True),
        ctypes.addressof(still),
    )
    return still.value == 1
