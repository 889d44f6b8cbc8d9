"""Cadence: how often the model looks, and whether a matte may be used once more.

Most of what a frame costs is done for its matte, and while somebody listens little of it is new. A
matte is used again only for a picture that has not changed since the very frame that it was made
of: frames are not compared with the one before, which a slow movement would pass.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.matting.cadence_kernels import BINS, BLOCK, compare, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.frames import Frame, Layout, Matte

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["Cadence", "Rest", "StillTest"]

# How long a matte is used at the most, in seconds.
_MOST_S: Final = 0.5
# So many mattes in a row have to be made of a still picture first: averaged over so many, they are
# steady, and the noise is known.
_CALM: Final = 12
# The variance of the difference of two samples by noise, in squared 8-bit levels: that of rounding
# at its worst, half way between two levels; and what is not noise any more.
_LEAST_NOISE: Final = 0.5
_MOST_NOISE: Final = 32.0
# Of blocks without movement, which at least a quarter are, a quarter differ by less than the
# estimate. How fast it falls when there are more, and rises when there are fewer: much slower, as
# movement has the same effect.
_SHARE: Final = 0.25
_FALL: Final = 0.5
_RISE: Final = 0.04
# The variance of 64 numbers is less than so much of its expectation in a quarter of cases.
_QUARTER: Final = 0.87
# Noise of one brightness is at most so many times that of the picture as a whole.
_UNEVEN: Final = 4.0
# Of one brightness there have to be so many blocks to tell anything.
_ENOUGH: Final = 64


class Cadence(StrEnum):
    """For which frames the model looks. Each asks for less than the one before."""

    EVERY = "every"
    """For every frame."""
    MOVED = "moved"
    """Not while nothing moves: the last matte is used again, for half a second at the most."""
    SECOND = "second"
    """As `MOVED`; and while something moves for every second frame, as far as what was found in
    the one before can be followed into the other: not where somebody moves fast."""


class StillTest:
    """Tells whether a frame shows what another one does, but for the camera's noise.

    Blocks of the working grid's planes are compared: the mean square of their differences, which
    is large where an edge has moved, and the mean, which is where light changes. The noise is
    learned from the blocks that differ least, for each plane and brightness.

    State: the planes of the other frame, and the noise.
    """

    def __init__(self) -> None:
        self._references: tuple[Bytes, ...] | None = None
        self._noise: list[Floats] = []

    def reset(self) -> None:
        """Forget the other frame; what the camera's noise is stays."""
        self._references = None

    def remember(self, frame: Frame) -> None:
        """Make a frame the one that others are compared with."""
        planes = frame.small_planes
        self._references = tuple(np.array(plane) for plane in planes)
        if len(self._noise) != len(planes):
            self._noise = [np.full(BINS, _MOST_NOISE, np.float32) for _ in planes]

    def is_still(self, frame: Frame) -> bool:
        """Compare a frame with the one that is remembered, and learn its noise."""
        planes, references = frame.small_planes, self._references
        if references is None or [one.shape for one in planes] != [one.shape for one in references]:
            return False
        still = True
        for plane, reference, noise in zip(planes, references, self._noise, strict=True):
            still &= _is_still(plane, reference, noise)  # of every plane, as it learns
        return still


def _is_still(plane: Bytes, reference: Bytes, noise: Floats) -> bool:
    height, width = plane.shape
    shape = -(-height // BLOCK), -(-width // BLOCK)
    found = np.empty((3, *shape), np.float32)
    compare(plane, reference, found)
    variances = found[1].ravel()
    rank = int(_SHARE * variances.size)
    now = float(np.partition(variances, rank)[rank]) / _QUARTER
    moved, counts = np.empty(shape, np.uint8), np.empty((BINS, 2), np.int64)
    most = _UNEVEN * max(now, _LEAST_NOISE)
    judge(found, height, width, noise, most, _QUARTER, moved, counts)
    if now > 0:  # otherwise it may be the same frame once more, which tells nothing
        _learn(noise, counts)
    return not moved.any()


def _learn(noise: Floats, counts: NDArray[np.int64]) -> None:
    """Move estimates, in place, to where as many blocks are below as should be."""
    known = counts[:, 0] >= _ENOUGH
    if not known.any():
        known = counts[:, 0] > 0
    surplus = counts[known, 1] / counts[known, 0] - _SHARE
    noise[known] *= np.exp(-np.where(surplus > 0, _FALL, _RISE) * surplus)
    noise.clip(_LEAST_NOISE, _MOST_NOISE, out=noise)
    noise[~known] = noise[known].max()


class Rest:
    """Keeps the last matte, and gives it again while nothing moves.

    State: the matte, the frame that it was made of, when that was, and for how many frames before
    nothing had moved.
    """

    def __init__(self) -> None:
        self._test = StillTest()
        self._matte: Matte | None = None
        self._layout: Layout | None = None
        self._made_s = 0.0
        self._now_s = 0.0
        self._calm = 0
        self.moving = 0
        """For how many frames in a row something has moved."""

    def reset(self) -> None:
        """Forget the matte."""
        self._test.reset()
        self._matte = None
        self._calm = self.moving = 0

    def matte(self, frame: Frame, cadence: Cadence, make: Callable[[], Matte]) -> Matte:
        """Return the last matte, in new memory, if it is that of a new frame too, or make one.

        Parameters
        ----------
        frame : Frame
            Read only, not kept.
        cadence : Cadence
            With `Cadence.EVERY` there is never any again, nor is there for a frame without a time,
            such as a photograph.
        make : callable
            Makes the matte of this frame. If it raises there is no last matte.
        """
        if cadence is Cadence.EVERY or frame.time_s is None:
            self.reset()
            return make()
        self._now_s = frame.time_s
        last, self._matte = self._matte, None
        is_still = frame.layout == self._layout and self._test.is_still(frame)
        if last is not None and last.is_settled and is_still and self._may_be_used:
            self._matte = last
            return last.again()
        self._calm = self._calm + 1 if is_still else 0
        self.moving = 0 if is_still else self.moving + 1
        matte = make()
        self._test.remember(frame)
        self._layout = frame.layout
        if is_still:  # it may be used again
            matte.settle()
        self._matte = matte.again() if matte.is_settled else matte
        self._made_s = self._now_s
        return matte

    @property
    def _may_be_used(self) -> bool:
        """Whether the last matte is steady, and not too old."""
        return self._calm >= _CALM and 0 <= self._now_s - self._made_s < _MOST_S
