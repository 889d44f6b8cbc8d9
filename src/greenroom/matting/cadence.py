"""Cadence: how often the model looks, and whether a matte may be used once more.

Most of what a frame costs is done for its matte, and while somebody listens little of it is new. A
matte is used again only for a picture that has not changed since the very frame that it was made
of: frames are not compared with the one before, which a slow movement would pass.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.matting.cadence_kernels import BINS, MOST_NOISE, Compared, compared, tell_still

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.media.matte import Matte

    Floats = NDArray[np.float32]

__all__ = ["Cadence", "Rest", "StillTest"]

# How long a matte is used at the most, in seconds.
_MOST_S: Final = 0.5
# So many mattes in a row have to be made of a still picture first: averaged over so many, they are
# steady, and the noise is known.
_CALM: Final = 12


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

    State: the small planes of the other frame, and the noise.
    """

    def __init__(self) -> None:
        self._reference: Compared | None = None
        self._noise: Floats = np.empty((0, BINS), np.float32)

    def reset(self) -> None:
        """Forget the other frame; what the camera's noise is stays."""
        self._reference = None

    def remember(self, frame: Frame) -> None:
        """Make a frame the one that others are compared with. Its small planes are kept."""
        planes = frame.small_planes
        if planes is frame.planes:  # whose memory may get another picture
            planes = tuple(np.array(plane) for plane in planes)
        self._reference = compared(planes)
        if len(self._noise) != len(planes):
            self._noise = np.full((len(planes), BINS), MOST_NOISE, np.float32)

    def is_still(self, frame: Frame) -> bool:
        """Compare a frame with the one that is remembered, and learn its noise."""
        reference = self._reference
        if reference is None:
            return False
        now = compared(frame.small_planes)
        return now.shapes == reference.shapes and tell_still(now, reference, self._noise)


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
        is_same = frame.layout is self._layout or frame.layout == self._layout
        is_still = is_same and self._test.is_still(frame)
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
