"""Following: what a model found in one frame, moved to where it is in the next.

Every other frame a look can be saved: the motion between two frames that follow each other is small
and can be seen in the picture [1]_. Where it cannot, nothing is followed, and the model looks.

References
----------
.. [1] T. Kroeger, R. Timofte, D. Dai and L. Van Gool, "Fast Optical Flow using Dense Inverse
   Search", ECCV 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.matting.grid_kernels import place
from greenroom.resampling import halve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.frames import Frame

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["Follower"]

# Flow is looked for on a grid of half the half grid's width and height, which costs a quarter; in
# windows of 8 samples, of which smaller pictures have too few.
_LEAST: Final = 24
# Around the edge of what was found, so many samples wide, the picture has to be that of the frame
# before, moved: places of so many samples in each direction differ by no more than this on
# average, in 8-bit levels, but for as large a share of them.
_BAND: Final = np.ones((5, 5), np.uint8)
_PLACE: Final = 4
_MISFIT: Final = 12.0
_MISFITS: Final = 0.04
# And it has moved no farther than so many samples.
_FAR: Final = 6.0


class Follower:
    """Keeps a model's last answer, and moves it into the next frame.

    State: the answer, and a small picture of the frame that it is of.
    """

    def __init__(self) -> None:
        self._coarse: Floats | None = None
        self._luma: Bytes | None = None
        self._dis: cv2.DISOpticalFlow | None = None

    def reset(self) -> None:
        """Forget the answer."""
        self._coarse = self._luma = None

    def found(self, frame: Frame, coarse: Floats) -> None:
        """Take what was found in a frame, on the working grid; it is copied."""
        self._coarse, self._luma = coarse.copy(), _luma(frame)

    def follow(self, frame: Frame) -> Floats | None:
        """Return the last answer where it is now, or None if that cannot be told; then forget it.

        An answer is followed into one frame only: what is wrong with it does not add up.
        """
        coarse, luma = self._coarse, self._luma
        self.reset()
        if coarse is None or luma is None or min(luma.shape) < _LEAST:
            return None
        new = _luma(frame)
        if self._dis is None:
            self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        flow = np.asarray(self._dis.calc(new, luma, None), np.float32)  # type: ignore[call-overload]
        rows, columns = np.indices(new.shape, np.float32)
        at_x, at_y = columns + flow[..., 0], rows + flow[..., 1]
        size = new.shape[::-1]
        small = cv2.resize(coarse, size, interpolation=cv2.INTER_AREA)
        followed = np.asarray(_moved(small, at_x, at_y), np.float32)
        misfit = np.asarray(cv2.absdiff(_moved(luma, at_x, at_y), new), np.uint8)
        if not _is_sure(flow, misfit, followed):
            return None
        # At the finest grid again, the answer itself is moved: it is not to become softer.
        height, width = coarse.shape
        scale_x, scale_y = width / size[0], height / size[1]
        full = np.empty((2, height, width), np.float32)
        place(np.ascontiguousarray(flow[..., 0] * np.float32(scale_x)), full[0])
        place(np.ascontiguousarray(flow[..., 1] * np.float32(scale_y)), full[1])
        full[0] += np.arange(width, dtype=np.float32)
        full[1] += np.arange(height, dtype=np.float32)[:, None]
        return np.asarray(_moved(coarse, full[0], full[1]), np.float32)


def _luma(frame: Frame) -> Bytes:
    half = frame.half_planes[0]
    luma = np.empty(((half.shape[0] + 1) // 2, (half.shape[1] + 1) // 2), np.uint8)
    halve(half, luma)
    return luma


def _moved(values: Any, at_x: Floats, at_y: Floats) -> Any:  # noqa: ANN401 - of any type
    return cv2.remap(values, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _is_sure(flow: Floats, misfit: Bytes, followed: Floats) -> bool:
    """Whether the picture around the edge is the earlier one, moved."""
    certain = np.asarray(followed >= 0.5, np.uint8)
    band = cv2.dilate(certain, _BAND) != cv2.erode(certain, _BAND)
    if not band.any() or float(np.abs(flow[band]).max()) > _FAR:
        return False
    around = np.asarray(cv2.blur(misfit, (_PLACE, _PLACE)))
    return float(np.mean(around[band] > _MISFIT)) <= _MISFITS
