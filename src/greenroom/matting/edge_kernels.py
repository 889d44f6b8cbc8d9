"""Loops that steady a matte and give it edges, compiled by numba.

Two grids appear: the *working grid*, which is that of ``Frame.small_planes``, and the *half grid*
of ``Frame.half_planes``, a sample of which stands for 2x2 of it. Where a loop takes maps of both,
those of the half grid are enlarged bilinearly on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom import core
from greenroom.tiles import Guide, make

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["follow", "guide", "place", "settle", "sharpen"]

_place = core.function("place", "pii pn ii")
_follow = core.function("follow", "ppn ff ppp ii")
_settle = core.function("settle", "pii f ppii pn pp")
_guide = core.function("guide", "ppii p ff pp ii")


def place(values: Floats, out: Floats) -> None:
    """Enlarge values (h, w) bilinearly into a part of a grid, samples' centres aligned.

    As OpenCV's, but on this thread alone: OpenCV wakes others for it, which spin long after.
    """
    source = core.contiguous(values, "f")
    target = core.plane(out, kind="f", writable=True)
    _place(source, *values.shape, target, out.strides[0] // out.itemsize, *out.shape)


def follow(  # noqa: PLR0913, PLR0917
    change: Floats,
    luma: Bytes,
    still: float,
    least: float,
    age: Floats,
    reference: Floats,
    share: Floats,
) -> None:
    """Tell how far a matte is to move toward a new frame's, and move its picture so far.

    All the way where the picture moves, and by the n-th part in the n-th frame in which it does
    not, down to a least share.

    Parameters
    ----------
    change : (h, w) float32
        Absolute difference of frame and reference, averaged over neighbours.
    luma : (h, w) uint8
        The frame's first plane, on the half grid.
    still, least : float
        The change up to which the picture stands still; from twice that on it moves.
    age, reference : (h, w) float32
        For how many frames it has stood still, and its average since; changed in place.
    share : (h, w) float32
        Where the result goes.
    """
    shape = share.shape
    _follow(
        core.contiguous(change, "f", shape),
        core.plane(luma, shape),
        luma.strides[0],
        still,
        least,
        core.contiguous(age, "f", shape, writable=True),
        core.contiguous(reference, "f", shape, writable=True),
        core.contiguous(share, "f", writable=True),
        *shape,
    )


def settle(  # noqa: PLR0913, PLR0917
    coarse: Floats,
    surest: float,
    probability: Floats,
    share: Floats,
    luma: Bytes,
    steady: Floats,
    reference: Floats,
) -> None:
    """Update a model's coverage with evidence, and move the steadied matte toward it.

    Parameters
    ----------
    coarse : (H, W) float32
        The model's coverage, on the working grid, taken for a probability.
    surest : float
        The most that one is believed; less than 1 for evidence to the contrary to count at all.
    probability, share : (h, w) float32
        On the half grid: the evidence's probability of foreground, and how far to move.
    luma : (H, W) uint8
        The frame's first plane.
    steady, reference : (H, W) float32
        The matte, and the picture that it belongs to; changed in place.
    """
    shape, half = coarse.shape, _half(coarse)
    _settle(
        core.contiguous(coarse, "f"),
        *shape,
        surest,
        core.contiguous(probability, "f", half),
        core.contiguous(share, "f", half),
        *half,
        core.plane(luma, shape),
        luma.strides[0],
        core.contiguous(steady, "f", shape, writable=True),
        core.contiguous(reference, "f", shape, writable=True),
    )


def guide(  # noqa: PLR0913, PLR0917
    slopes: Floats,
    offsets: Floats,
    reference: Floats,
    middle: float,
    gain: float,
    base: Floats,
    slope: Floats,
) -> None:
    """Apply a guided filter's coefficients to the picture that they belong to.

    Parameters
    ----------
    slopes, offsets : (h, w) float32
        On the half grid.
    reference : (H, W) float32
        The guide, on the working grid.
    middle, gain : float
        The coverage that becomes one half, and by how much the edge is made steeper around it.
    base, slope : (H, W) float32
        Where the coverage goes, not yet cut to 0..1, and how it changes with the guide.
    """
    shape, half = base.shape, _half(base)
    _guide(
        core.contiguous(slopes, "f", half),
        core.contiguous(offsets, "f", half),
        *half,
        core.contiguous(reference, "f", shape),
        middle,
        gain,
        core.contiguous(base, "f", writable=True),
        core.contiguous(slope, "f", shape, writable=True),
        *shape,
    )


def _half(grid: Floats) -> tuple[int, int]:
    """Return the shape of the half grid that belongs to a working grid."""
    height, width = grid.shape
    return (height + 1) // 2, (width + 1) // 2


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
