"""The segmenter contract, and the check of its results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.cuda import DeviceArray, calls
from greenroom.errors import ModelOutputError
from greenroom.media.matte import NEGLIGIBLE_COVERAGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Array
    from greenroom.media.frame import Frame
    from greenroom.segmenters.second_model import SecondModel

__all__ = ["Segmenter", "SegmenterInfo", "check_coarse_matte", "check_matte_there"]

# Rounding in a model's last layer may exceed 0..1 by this much.
_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class SegmenterInfo:
    """Model, runtime and device of a segmenter.

    Attributes
    ----------
    model : str
        Name of the model.
    file : str
        Path of its weights.
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


class Segmenter(ABC):
    """Contract of segmenters: a frame in, a coarse matte of the person out.

    The engine calls it on one thread, with a deadline, and checks its results; an implementation
    may simply raise.

    Attributes
    ----------
    info : SegmenterInfo
        Model, runtime and device, for reports; may be read on any thread.
    makes_mattes : bool
        Whether its results are final mattes, made from whole frames in order, as by default.
        Otherwise it may be called with parts of frames, and repeatedly with one frame, and its
        results are refined.
    takes_device_frames : bool
        Whether planes of the frames may be a device's (`Frame.device`), not as by default.
    remembers : bool
        Whether its results depend on earlier frames, as by default. One that makes mattes and
        does not remember is not called for frames without movement, except for their `foreground`.
    second : SecondModel or None
        A larger model that looks at some frames, on a thread of its own, if `asks_second` is set to
        False: then `segment` does not ask it. By default there is none.
    asks_second : bool
        Whether `segment` asks both models, and fuses their answers.
    """

    takes_device_frames: bool = False
    info: SegmenterInfo = SegmenterInfo("unnamed", file="", runtime="", device="cpu", threads=1)
    makes_mattes: bool = True
    remembers: bool = True
    second: SecondModel | None = None
    asks_second: bool = True

    @abstractmethod
    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """Return the coarse matte of a frame.

        Parameters
        ----------
        frame : Frame
            Read only, and not to be kept after the call.

        Returns
        -------
        (h, w) float32
            Coverage of the person, 0 to 1. Any size; it covers the whole frame. NumPy's, also for
            a frame on a device. Owned by the caller; later calls do not change it.
        """

    def segment_there(self, frame: Frame) -> Array:
        """Return the coarse matte of a frame on a device, there if that saves a transfer.

        As `segment`, but the array may be the device's. By default it is NumPy's.
        """
        return self.segment(frame)

    def foreground(self, frame: Frame) -> Frame | None:
        """Return the foreground colours of the frame segmented last; by default none.

        Parameters
        ----------
        frame : Frame
            That frame. Read only, and not to be kept after the call.

        Returns
        -------
        Frame or None
            Of the same layout and time; undefined outside the person. None to use the frame
            itself. Read only until the next call.
        """

    def reset(self) -> None:
        """Discard the state from earlier frames."""

    def close(self) -> None:
        """Release the model."""


def check_coarse_matte(coarse: object) -> NDArray[np.float32]:
    """Check a coarse matte, and return it with negligible coverage set to zero.

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
    # Written so that NaN, which compares false with everything, fails too.
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        message = f"the model's answer is not a matte: expected 0 to 1, not {low:g} to {high:g}"
        raise ModelOutputError(message)
    coarse = np.ascontiguousarray(coarse)
    return cv2.threshold(coarse, NEGLIGIBLE_COVERAGE, 0, cv2.THRESH_TOZERO)[1]  # type: ignore[return-value]


def check_matte_there(coarse: Array) -> Array:
    """Check a coarse matte that may be on a device, where it is; see `check_coarse_matte`.

    Returns
    -------
    (h, w) float32
        On a device new memory of it, contiguous.
    """
    if not isinstance(coarse, DeviceArray):
        return check_coarse_matte(coarse)
    if coarse.ndim != 2 or coarse.dtype != np.float32 or not coarse.size:
        what = f"{coarse.dtype} of shape {coarse.shape}"
        message = f"the model's answer is not a matte: expected a float32 picture, not {what}"
        raise ModelOutputError(message)
    (wrong,) = coarse.device.upload(np.zeros(1, np.int32))
    out = coarse.device.empty(coarse.shape, np.float32)
    calls.take_coverage(coarse, out, wrong, least=NEGLIGIBLE_COVERAGE, tolerance=_TOLERANCE)
    if calls.on_host(wrong)[0].any():
        message = (
            "the model's answer is not a matte: it has values outside of 0 to 1, or no numbers"
        )
        raise ModelOutputError(message)
    return out
