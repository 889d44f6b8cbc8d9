"""Cadence: how often the model looks, and when the last matte is used again.

The matte is most of a frame's cost, and while somebody only listens little of it changes. A matte
is used again only for a picture that has not changed since the very frame that it was made of.
Compared with the frame before, a slow movement would pass.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.cuda import calls
from greenroom.matting.cadence_kernels import (
    BINS,
    MAX_NOISE,
    CheckedPlanes,
    checked_planes,
    tell_still,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.media.matte import Matte

    Floats = NDArray[np.float32]

__all__ = ["Cadence", "Rest", "StillTest"]

# Time up to which a matte is used again.
_MAX_REUSE_S: Final = 0.5
# Number of mattes in a row of a still picture before the last is used again: averaged over these it
# is steady, and the noise is known.
_CALM_FRAMES: Final = 12


class Cadence(StrEnum):
    """The frames for which the model looks, from most to fewest."""

    EVERY = "every"
    """For every frame."""
    MOVED = "moved"
    """Not while nothing moves: the last matte is used again, for up to half a second."""
    FOURTH = "fourth"
    """As `MOVED`; and while something moves every fourth frame, if the last detection can be
    followed into the three between: not where somebody moves fast."""

    @property
    def most_followed(self) -> int:
        """Number of frames in a row, at most, into which a detection is followed."""
        return 3 if self is Cadence.FOURTH else 0


class StillTest:
    """Tests whether two frames are equal but for the camera's noise.

    Blocks of the working grid's planes are compared: the mean square of their differences, which
    is large where an edge has moved, and the mean, which is where light changes. The noise is
    learned from the blocks that differ least, for each plane and brightness.

    State: the small planes of the other frame, and the noise.
    """

    def __init__(self) -> None:
        self._reference: CheckedPlanes | None = None
        self._now: CheckedPlanes | None = None  # the planes that were compared last
        self._noise: Floats = np.empty((0, BINS), np.float32)

    def reset(self) -> None:
        """Forget the other frame; the estimate of the noise stays."""
        self._reference = self._now = None

    def remember(self, frame: Frame) -> None:
        """Make a frame the reference of later comparisons. Its small planes are kept."""
        planes, now = frame.small_planes, self._now
        if planes[0].shape == frame.layout.plane_shapes[0]:  # its own, which may be overwritten
            planes = tuple(np.array(plane) for plane in calls.on_host(*planes))
        planes = calls.on_host(*planes)
        is_checked = now is not None and now.planes is planes
        self._reference = now if is_checked else checked_planes(planes)
        self._now = None
        if len(self._noise) != len(planes):
            self._noise = np.full((len(planes), BINS), MAX_NOISE, np.float32)

    def is_still(self, frame: Frame) -> bool:
        """Compare a frame with the reference, and update the noise."""
        reference = self._reference
        if reference is None:
            return False
        self._now = now = checked_planes(calls.on_host(*frame.small_planes))
        return now.shapes == reference.shapes and tell_still(now, reference, self._noise)


class Rest:
    """Keeps the last matte, and returns it again while nothing moves.

    State: the matte, its frame and time, and the number of still frames before it.
    """

    def __init__(self) -> None:
        self._test = StillTest()
        self._matte: Matte | None = None
        self._layout: Layout | None = None
        self._made_s = 0.0
        self._now_s = 0.0
        self._calm = 0
        self.moving = 0
        """Number of frames in a row in which something has moved."""

    def reset(self) -> None:
        """Forget the matte."""
        self._test.reset()
        self._matte = None
        self._calm = self.moving = 0

    def matte(self, frame: Frame, cadence: Cadence, make: Callable[[], Matte]) -> Matte:
        """Return the last matte, in new memory, if nothing has moved since, or make one.

        Parameters
        ----------
        frame : Frame
            Read only, not kept.
        cadence : Cadence
            With `Cadence.EVERY` a matte is never used again, nor for a frame without a time, such
            as a photograph.
        make : callable
            Makes the matte of this frame. If it raises, the last matte is forgotten.
        """
        if cadence is Cadence.EVERY or frame.time_s is None:
            self.reset()
            return make()
        self._now_s = frame.time_s
        last, self._matte = self._matte, None
        is_same = frame.layout is self._layout or frame.layout == self._layout
        is_still = is_same and self._test.is_still(frame)
        if last is not None and last.is_settled and is_still and self._is_reusable:
            self._matte = last
            return last.again()
        self._calm = self._calm + 1 if is_still else 0
        self.moving = 0 if is_still else self.moving + 1
        matte = make()
        self._test.remember(frame)
        self._layout = frame.layout
        if is_still:  # so that it can be used again
            matte.settle()
        self._matte = matte.again() if matte.is_settled else matte
        self._made_s = self._now_s
        return matte

    @property
    def _is_reusable(self) -> bool:
        """Whether the last matte is steady and recent."""
        return self._calm >= _CALM_FRAMES and 0 <= self._now_s - self._made_s < _MAX_REUSE_S
