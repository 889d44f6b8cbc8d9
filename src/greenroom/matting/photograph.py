"""Guided filter for photographs, which takes more time than a frame of a video gets.

The guided filter [1]_ uses all planes, in a window that grows with the person, and runs twice: the
first result is made steeper and filtered again.

References
----------
.. [1] K. He, J. Sun and X. Tang, "Guided Image Filtering", ECCV 2010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["refine_photograph"]

# Radius of the window, as a share of the square root of the person's area, and its limits in
# samples of the working grid.
_WINDOW_SHARE: Final = 0.03
_WINDOW_LIMITS: Final = (2, 12)
# The filter's regularisation, on planes of 0..1.
_REGULARISATION: Final = 1e-3
# Gain of the edge between the two rounds.
_GAIN: Final = 1.2
# Number of rows enlarged at a time: a picture may have hundreds of megapixels.
_ROWS_AT_ONCE: Final = 256


def refine_photograph(frame: Frame, matte: Floats, middle: float, gain: float, out: Bytes) -> None:
    """Give a matte the edges of a picture.

    Parameters
    ----------
    frame : Frame
        The picture. Read only.
    matte : (h, w) float32
        Coverage on the working grid. Read only.
    middle, gain : float
        The coverage that becomes one half, and the gain of the edge around it.
    out : (H, W) uint8
        The matte, of the frame's size; written.
    """
    shape = matte.shape
    small = _stacked(frame.small_planes, shape)
    area = float(np.count_nonzero(matte >= 0.5))
    reach = int(np.clip(round(_WINDOW_SHARE * area**0.5), *_WINDOW_LIMITS))
    slopes, offset = _coefficients(small, matte, reach)
    again = np.clip((np.sum(slopes * small, axis=2) + offset - 0.5) * _GAIN + 0.5, 0, 1)
    slopes, offset = _coefficients(small, again.astype(np.float32), reach)
    _apply(frame, np.dstack([slopes, offset]), middle, gain, out)


def _stacked(planes: Sequence[Bytes], shape: tuple[int, ...]) -> Floats:
    """Resize all planes to one size: (h, w, planes) float32, 0 to 1."""
    one_size = [cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR) for plane in planes]
    return np.asarray(np.stack(one_size, axis=2), np.float32) / np.float32(255)


def _coefficients(guide: Floats, matte: Floats, reach: int) -> tuple[Floats, Floats]:
    """Return slopes (h, w, planes) and offset (h, w) of the linear models around each sample."""
    window = (2 * reach + 1, 2 * reach + 1)
    count = guide.shape[2]
    means = np.stack([cv2.blur(guide[:, :, index], window) for index in range(count)], axis=2)
    mean = np.asarray(cv2.blur(matte, window), np.float32)
    covariance = np.empty((*matte.shape, count, 1), np.float32)
    variance = np.empty((*matte.shape, count, count), np.float32)
    for one in range(count):
        product = cv2.blur(guide[:, :, one] * matte, window)
        covariance[:, :, one, 0] = product - means[:, :, one] * mean
        for other in range(one, count):
            product = cv2.blur(guide[:, :, one] * guide[:, :, other], window)
            value = product - means[:, :, one] * means[:, :, other]
            variance[:, :, one, other] = variance[:, :, other, one] = value
        variance[:, :, one, one] += _REGULARISATION
    slopes = np.asarray(np.linalg.solve(variance, covariance)[..., 0], np.float32)
    offset = mean - np.sum(slopes * means, axis=2)
    slopes = np.stack([cv2.blur(slopes[:, :, index], window) for index in range(count)], axis=2)
    return np.asarray(slopes, np.float32), np.asarray(cv2.blur(offset, window), np.float32)


def _apply(frame: Frame, models: Floats, middle: float, gain: float, out: Bytes) -> None:
    """Evaluate the models on the picture at its own size, some rows at a time."""
    height, width = out.shape
    places = _places(width, models.shape[1])
    for top in range(0, height, _ROWS_AT_ONCE):
        bottom = min(top + _ROWS_AT_ONCE, height)
        rows = _places(height, models.shape[0])[top:bottom]
        columns, lines = np.meshgrid(places, rows)
        local = np.dstack(
            [
                cv2.remap(models[:, :, index], columns, lines, cv2.INTER_LINEAR)
                for index in range(models.shape[2])
            ]
        )
        value = local[:, :, -1].copy()
        for index, plane in enumerate(frame.planes):
            samples = _rows_of(plane, top, bottom, (height, width))
            value += local[:, :, index] * (samples / np.float32(255))
        value = (value - np.float32(middle)) * np.float32(gain) + np.float32(0.5)
        out[top:bottom] = np.clip(value, 0, 1) * np.float32(255) + np.float32(0.5)


def _places(length: int, count: int) -> Floats:
    """Return the positions of ``length`` samples among ``count`` samples, clipped to them."""
    places = (np.arange(length) + 0.5) * (count / length) - 0.5
    return np.asarray(np.clip(places, 0, count - 1), np.float32)


def _rows_of(plane: Bytes, top: int, bottom: int, shape: tuple[int, int]) -> Floats:
    """Return rows of a plane, resized to the frame."""
    if plane.shape == shape:
        return plane[top:bottom].astype(np.float32)
    rows = _places(shape[0], plane.shape[0])[top:bottom]
    columns, lines = np.meshgrid(_places(shape[1], plane.shape[1]), rows)
    return np.asarray(cv2.remap(plane, columns, lines, cv2.INTER_LINEAR), np.float32)
