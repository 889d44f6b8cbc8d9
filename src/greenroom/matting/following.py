"""Following: what a model found in one frame, moved to where it is in the next.

Every other frame a look can be saved: the motion between two frames that follow each other is small
and can be seen in the picture. Where it cannot, nothing is followed, and the model looks.
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

# The picture around the edge of what was found has to be that of the frame before, moved: of cells
# of 4x4 samples of the half grid no larger a share than this differs by more than so many 8-bit
# levels on average. And the edge has nowhere moved farther than so many samples: what moves fast is
# also blurred.
_MISFIT: Final = 12.0
_MISFITS: Final = 0.04
_FAR: Final = 2.0
# After so many tries in a row that failed, so many frames pass before the next one.
_FAILED: Final = 4
_PAUSE: Final = 3


class Motion(NamedTuple):
    """What is known of the motion between two frames.

    Attributes
    ----------
    is_sure : bool
        Whether coverage could be moved by it.
    misfits : float
        The share of places around the edge where the picture is not the earlier one, moved.
    farthest : float
        How far the edge has moved, where that is farthest, in samples of the half grid.
    """

    is_sure: bool
    misfits: float
    farthest: float


def follow_motion(  # noqa: PLR0913 - three of them are limits
    before: Bytes,
    now: Bytes,
    coarse: Floats,
    *,
    misfit: float = _MISFIT,
    misfits: float = _MISFITS,
    farthest: float = _FAR,
) -> Motion:
    """Move coverage of one frame to where it is in another one, in place; if that is sure.

    Parameters
    ----------
    before, now : (h, w) uint8
        The first planes of both frames on the half grid: (H + 1) // 2 high, (W + 1) // 2 wide.
    coarse : (H, W) float32
        Coverage in 0..1. Nothing is written to it where the motion is not sure.
    misfit : float
        Up to how many 8-bit levels places around the edge fit.
    misfits, farthest : float
        What the motion's may be at the most for it to be sure.
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
    """Keeps a model's last answer, and moves it into the next frame.

    A try costs a tenth of a look, so while somebody moves fast it is made in every fourth frame.

    State: the answer, a small picture of the frame that it is of, how many tries in a row failed,
    and how many frames are to pass before the next one.
    """

    def __init__(self) -> None:
        self._coarse: Floats | None = None
        self._luma: Bytes | None = None
        self._failed = 0
        self._waits = 0

    @property
    def has_answer(self) -> bool:
        """Whether there is anything to follow."""
        return self._coarse is not None

    def reset(self) -> None:
        """Forget the answer, and that any try has failed."""
        self._coarse = self._luma = None
        self._failed = self._waits = 0

    def found(self, frame: Frame, coarse: Floats) -> None:
        """Take what was found in a frame, on the working grid; it is copied."""
        if self._waits:
            self._waits -= 1
            return
        self._coarse, self._luma = coarse.copy(), frame.half_planes[0]

    def follow(self, frame: Frame) -> Floats | None:
        """Return the last answer where it is now, or None if that cannot be told; then forget it.

        An answer is followed into one frame only: what is wrong with it does not add up.
        """
        coarse, luma = self._coarse, self._luma
        self._coarse = self._luma = None
        if coarse is None or luma is None or coarse.shape != frame.small_planes[0].shape:
            return None
        if follow_motion(luma, frame.half_planes[0], coarse).is_sure:
            self._failed = 0
            return coarse
        self._failed += 1
        if self._failed >= _FAILED:
            self._waits = _PAUSE
        return None
