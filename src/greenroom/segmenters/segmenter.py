"""What a segmenter is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import cv2
import numpy as np

from greenroom.errors import ModelOutputError
from greenroom.media.matte import NEGLIGIBLE_COVERAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

__all__ = ["Segmenter", "SegmenterInfo", "check_coarse_matte"]

# Rounding in a model's last layer may leave 0..1 by this much.
_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class SegmenterInfo:
    """What runs, and on what.

    Attributes
    ----------
    model : str
        Name of the model.
    file : str
        Where its weights were read.
    runtime : str
        Library that executes it, with its version.
    device : str
        Device that executes it.
    threads : int
        Threads that it may use.
    """

    model: str
    file: str
    runtime: str
    device: str
    threads: int


class Segmenter(Protocol):
    """Finds the person in a frame.

    The engine calls it on one thread, with a deadline, and checks what it answers, so an
    implementation may simply raise.

    One whose ``makes_mattes`` is true may say by ``remembers = False`` that its answers do not
    depend on earlier frames: then it need not be asked about a frame in which nothing has moved,
    whose `foreground` is asked for all the same.
    """

    @property
    def info(self) -> SegmenterInfo:
        """What runs, and on what."""

    @property
    def makes_mattes(self) -> bool:
        """Whether its answers are mattes already, made from whole frames in their order.

        If not, it may be asked about parts of frames, about some more than once, and its
        answers are refined.
        """

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """Return the coarse matte of a frame.

        Parameters
        ----------
        frame : Frame
            Read only, and not to be kept after the call.

        Returns
        -------
        (h, w) float32
            Coverage of the person, 0 to 1, of any size: it stands for the whole frame.
            Owned by the caller; later calls do not change it.
        """

    def foreground(self, frame: Frame) -> Frame | None:
        """Return the person's own colours in the frame that was segmented last.

        Parameters
        ----------
        frame : Frame
            That frame. Read only, and not to be kept after the call.

        Returns
        -------
        Frame or None
            Of the same layout and time; what it shows outside the person is not used. None
            to take the frame as it is. Read only until the next call.
        """

    def reset(self) -> None:
        """Forget what was learned from earlier frames."""

    def close(self) -> None:
        """Release the model."""


def check_coarse_matte(coarse: object) -> NDArray[np.float32]:
    """Return what a segmenter answered if it is a coarse matte, next to nothing made nothing.

    Raises
    ------
    ModelOutputError
        If it is not a non-empty two-dimensional float32 array of finite values in 0..1.
    """
    if not isinstance(coarse, np.ndarray) or coarse.ndim != 2 or coarse.dtype != np.float32:
        what = type(coarse).__name__
        if isinstance(coarse, np.ndarray):
            what = f"{coarse.dtype} of shape {coarse.shape}"
        message = f"the model's answer is not a matte: expected a float32 picture, not {what}"
        raise ModelOutputError(message)
    if coarse.size == 0:
        message = "the model's answer is not a matte: it is empty"
        raise ModelOutputError(message)
    low, high = float(coarse.min()), float(coarse.max())
    # Written so that a NaN, which compares false with everything, fails too.
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        message = f"the model's answer is not a matte: expected 0 to 1, not {low:g} to {high:g}"
        raise ModelOutputError(message)
    coarse = np.ascontiguousarray(coarse)
    return cv2.threshold(coarse, NEGLIGIBLE_COVERAGE, 0, cv2.THRESH_TOZERO)[1]  # type: ignore[return-value]
