"""Telling movement from noise, by the core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["BINS", "BLOCK", "compare", "judge"]

BLOCK: Final = 8
"""Samples of a block in each direction."""
BINS: Final = 8
"""Into so many levels brightness is divided: a camera's noise is not the same at all."""

_INT64: Final = np.dtype(np.int64).char

_compare = core.function("compare_blocks", "pnii pp")
_judge = core.function("judge_blocks", "p ii p ff pp")


def compare(plane: Bytes, reference: Bytes, found: Floats) -> None:
    """Measure by how much the blocks of a plane differ from another's.

    Parameters
    ----------
    plane, reference : (H, W) uint8
        What is compared; the second one is contiguous.
    found : (3, h, w) float32
        Where it goes, for every block, partial ones too: the mean of the differences, their
        variance, and the mean of the reference.
    """
    height, width = plane.shape
    _compare(
        core.plane(plane),
        plane.strides[0],
        height,
        width,
        core.contiguous(reference, "B", plane.shape),
        core.contiguous(found, "f", (3, *_blocks(height, width)), writable=True),
    )


def judge(  # noqa: PLR0913, PLR0917
    found: Floats,
    height: int,
    width: int,
    noise: Floats,
    most: float,
    share: float,
    moved: Bytes,
    counts: NDArray[np.int64],
) -> None:
    """Tell which blocks differ by more than noise.

    Parameters
    ----------
    found : (3, h, w) float32
        From `compare`.
    height, width : int
        Of the plane.
    noise : (BINS,) float32
        The variance of the difference of two samples by noise, by their brightness.
    most : float
        What it is at the most.
    share : float
        Of this share of the noise, blocks are counted that differ by less.
    moved : (h, w) uint8
        Where 1 goes for blocks that differ and 0 for others.
    counts : (BINS, 2) int64
        Where it goes how many blocks of each brightness there are, and how many of them differ by
        less than that share.
    """
    blocks = _blocks(height, width)
    _judge(
        core.contiguous(found, "f", (3, *blocks)),
        height,
        width,
        core.contiguous(noise, "f", (BINS,)),
        most,
        share,
        core.contiguous(moved, "B", blocks, writable=True),
        core.contiguous(counts, _INT64, (BINS, 2), writable=True),
    )


def _blocks(height: int, width: int) -> tuple[int, int]:
    return -(-height // BLOCK), -(-width // BLOCK)
