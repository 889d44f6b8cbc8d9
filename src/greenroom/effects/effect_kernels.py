"""Core functions on whole planes for the effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom import core
from greenroom.cuda import calls

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["enlarge", "scale_chroma", "tone_rgb"]

_LEVELS = (256,)

_enlarge = core.function("enlarge", "pnii ddd i pnii")
_scale_chroma = core.function("scale_chroma", "pn p pn ii")
_tone_rgb = core.function("tone_rgb", "pnpnpn ii ppp pnpnpn")


def enlarge(
    plane: Plane,
    left: float,
    top: float,
    scale: float,
    sharp: bool,
    out: Plane,
) -> None:
    """Enlarge a part of a plane to another.

    Sample (x, y) of the result is the plane's value at ``left + (x + 0.5) * scale - 0.5`` and
    likewise down: linearly interpolated, or cubically where ``sharp``. Edges are repeated.
    """
    if calls.on_device(plane, out):
        calls.enlarge(plane, left, top, scale, out, sharp=sharp)
        return
    source, target = core.plane(plane), core.plane(out, writable=True)
    _enlarge(
        *(source, plane.strides[0], *plane.shape),
        *(left, top, scale, sharp),
        *(target, out.strides[0], *out.shape),
    )


def scale_chroma(plane: Plane, gain: Plane, out: Plane) -> None:
    """Multiply the difference of chroma from 128 by a gain in 64ths, which is contiguous."""
    if calls.on_device(plane, gain, out):
        calls.scale_chroma(plane, gain, out)
        return
    shape = out.shape
    _scale_chroma(
        *(core.plane(plane, shape), plane.strides[0]),
        core.contiguous(gain, "B", shape),
        *(core.plane(out, writable=True), out.strides[0]),
        *shape,
    )


def tone_rgb(
    green: Plane,
    blue: Plane,
    red: Plane,
    coefficients: Floats,
    curve: Floats,
    gain: Floats,
    out_green: Plane,
    out_blue: Plane,
    out_red: Plane,
) -> None:
    """Apply a tone curve to luma, and a gain to the differences of colours from luma.

    Both tables have 256 entries, indexed by rounded luma.
    """
    if calls.on_device(green, blue, red, out_green, out_blue, out_red):
        targets = out_green, out_blue, out_red
        calls.tone_rgb((green, blue, red), (coefficients, curve, gain), targets)
        return
    shape = green.shape
    sources = [(core.plane(one, shape), one.strides[0]) for one in (green, blue, red)]
    written = [
        (core.plane(one, shape, writable=True), one.strides[0])
        for one in (out_green, out_blue, out_red)
    ]
    _tone_rgb(
        *(number for one in sources for number in one),
        *shape,
        core.contiguous(coefficients, "f", (3,)),
        core.contiguous(curve, "f", _LEVELS),
        core.contiguous(gain, "f", _LEVELS),
        *(number for one in written for number in one),
    )
