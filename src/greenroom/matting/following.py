"""Following: the model's coverage of one frame, moved along with the motion into the next.

This saves looks: the motion between two frames in a row is small and can be estimated. Where it
cannot, nothing is followed, and the model looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from greenroom import core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["Follower", "Motion", "follow_motion"]

_follow_motion = core.function("follow_motion", "pppii pp")

# Limits of a motion that is trusted. A cell of 4x4 samples of the half grid fits if it differs from
# the frame before, moved, by up to this mean, in 8-bit levels; the share of cells around the edge
# that do not fit; and how far the edge may move, in samples: fast motion is also blurred.
_MAX_DIFFERENCE: Final = 12.0
_MAX_MISFITS: Final = 0.04
_MAX_DISTANCE: Final = 2.0
# After this many failures in a row, following pauses for the second number of frames.
_FAILURES_BEFORE_PAUSE: Final = 4
_PAUSE_FRAMES: Final = 3


class Motion(NamedTuple):
    """Estimated motion between two frames.

    Attributes
    ----------
    is_sure : bool
        Whether it is within the limits, and coverage was moved by it.
    misfits : float
        Share of cells around the edge in which the picture is not the earlier one, moved.
    farthest : float
        Largest motion of the edge, in samples of the half grid.
    """

    is_sure: bool
    misfits: float
    farthest: float


def follow_motion(
    before: Bytes,
    now: Bytes,
    coarse: Floats,
    *,
    misfit: float = _MAX_DIFFERENCE,
    misfits: float = _MAX_MISFITS,
    farthest: float = _MAX_DISTANCE,
) -> Motion:
    """Move coverage of one frame along with the motion to another, in place, if that is sure.

    Parameters
    ----------
    before, now : (h, w) uint8
        The first planes of both frames on the half grid: (H + 1) // 2 high, (W + 1) // 2 wide.
    coarse : (H, W) float32
        Coverage in 0..1. Nothing is written to it where the motion is not sure.
    misfit : float
        Mean difference, in 8-bit levels, up to which a cell fits.
    misfits, farthest : float
        Limits of a sure motion, see `Motion`.
    """
    height, width = coarse.shape
    half = (height + 1) // 2, (width + 1) // 2
    limits, told = np.array((misfit, misfits, farthest), np.float32), np.zeros(3, np.float32)
    _follow_motion(
        core.contiguous(before, "B", half),
        core.contiguous(now, "B", half),
        core.contiguous(coarse, "f", writable=True),
        height,
        width,
        core.address(limits),
        core.address(told),
    )
    return Motion(bool(told[0]), float(told[1]), float(told[2]))


class Follower:
    """Keeps the model's last coverage, and moves it into the next frame.

    A try costs a tenth of a look, so while somebody moves fast it is made in every fourth frame.

    State: the coverage, luma of its frame on the half grid, into how many frames it was followed,
    the number of failures in a row, and the number of frames left of a pause.
    """

    def __init__(self) -> None:
        self._coarse: Floats | None = None
        self._luma: Bytes | None = None
        self._followed = 0
        self._failed = 0
        self._waits = 0

    @property
    def has_answer(self) -> bool:
        """Whether there is coverage to follow."""
        return self._coarse is not None

    def reset(self) -> None:
        """Forget the coverage and the failures."""
        self._coarse = self._luma = None
        self._failed = self._waits = 0

    def found(self, frame: Frame, coarse: Floats) -> None:
        """Take the model's coverage of a frame, on the working grid; it is copied."""
        if self._waits:
            self._waits -= 1
            return
        self._keep(frame, coarse)
        self._followed = 0

    def follow(self, frame: Frame, most: int) -> Floats | None:
        """Return the last coverage moved into a frame, or None if unsure; then forget it.

        Parameters
        ----------
        frame : Frame
        most : int
            Into how many frames in a row coverage is followed; then it is forgotten, too, as errors
            add up.
        """
        coarse, luma = self._coarse, self._luma
        self._coarse = self._luma = None
        if coarse is None or luma is None or coarse.shape != frame.small_planes[0].shape:
            return None
        if follow_motion(luma, frame.half_planes[0], coarse).is_sure:
            self._failed = 0
            self._followed += 1
            if self._followed < most:
                self._keep(frame, coarse)
            return coarse
        self._failed += 1
        if self._failed >= _FAILURES_BEFORE_PAUSE:
            self._waits = _PAUSE_FRAMES
        return None

    def _keep(self, frame: Frame, coarse: Floats) -> None:
        self._coarse, self._luma = coarse.copy(), frame.half_planes[0]
