"""Core functions that blend whole planes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom import core
from greenroom.cuda import calls

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["over", "spill"]

_over = core.function("over_plane", "pn pn p pn ii")
_spill = core.function("spill", "ppii pn p i pn ii")


def over(
    foreground: NDArray[np.uint8],
    background: NDArray[np.uint8],
    matte: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Blend two planes: ``(matte * foreground + (255 - matte) * background) / 255``, rounded.

    The matte is contiguous. The result may be the background's own memory, and overlaps nothing
    else.
    """
    if calls.on_device(foreground, background, matte, out):
        calls.over(foreground, background, matte, out)
        return
    shape = matte.shape
    _over(
        *(core.plane(foreground, shape), foreground.strides[0]),
        *(core.plane(background, shape), background.strides[0]),
        core.contiguous(matte, "B", shape),
        *(core.plane(out, shape, writable=True), out.strides[0]),
        *shape,
    )


def spill(
    light: NDArray[np.float32],
    weight: NDArray[np.float32],
    background: NDArray[np.uint8],
    matte: NDArray[np.uint8],
    only_lighter: bool,
    out: NDArray[np.uint8],
) -> None:
    """Move the person in a composite toward the light by a weight.

    Of a composite ``a * person + (1 - a) * background`` ``a * (light - person)`` is added, as
    if the person had been lit before.

    Parameters
    ----------
    light, weight : (h, w) float32
        0 to 255 and 0 to 1, of one size; interpolated between the middles of their samples.
    background, matte : (H, W) uint8
        The background, and the coverage, which is contiguous. Where that is 0 nothing changes.
    only_lighter : bool
        Whether light darker than the person is ignored.
    out : (H, W) uint8
        The composite, changed in place.
    """
    if calls.on_device(light, weight, background, matte, out):
        calls.spill(light, weight, background, matte, out, only_lighter=only_lighter)
        return
    shape = matte.shape
    _spill(
        core.contiguous(light, "f"),
        core.contiguous(weight, "f", light.shape),
        *light.shape,
        *(core.plane(background, shape), background.strides[0]),
        core.contiguous(matte, "B", shape),
        only_lighter,
        *(core.plane(out, shape, writable=True), out.strides[0]),
        *shape,
    )
