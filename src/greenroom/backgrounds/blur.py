"""The camera's own background, blurred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.backgrounds.base import Background
from greenroom.frames import Frame
from greenroom.resampling import upsample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.frames import Matte, Plane

__all__ = ["Blur", "clearness"]

# Standard deviation of the blur at full strength, as a share of the frame's shorter side.
FULL_STRENGTH: Final = 0.05
# At reduced size the blur is still this wide, in samples, so that enlarging stays smooth.
REDUCED_SIGMA: Final = 2.5
# What is covered by this much is not background at all: its colour is the person's too.
MOST_COVERAGE: Final = 0.25 * 255
# The weight of the mean background, which shows where no other is near.
FAINT: Final = 1e-3


class Blur(Background):
    """What is behind the person, blurred; the person's own colours stay out of it.

    The small planes of the frame are blurred with the background's coverage as weight and
    divided by the blurred weights: the normalised convolution of [1]_. Where no background
    is near, in the middle of the person, it is the mean of the background.

    Its cover is a plain colour: a blurred room is made from the camera's pixels.

    References
    ----------
    .. [1] H. Knutsson and C.-F. Westin, "Normalized and differential convolution",
       CVPR 1993.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:  # noqa: ARG002
        """See `Background.render`."""
        sigma_px = self.strength * FULL_STRENGTH * min(frame.size)
        scale = min(frame.small_planes[0].shape[0] / frame.layout.height, REDUCED_SIGMA / sigma_px)
        size = tuple(max(1, round(length * scale)) for length in frame.size)
        result = Frame.empty(frame.layout)
        shape: tuple[int, ...] = ()
        for small, target in zip(frame.small_planes, result.planes, strict=True):
            if small.shape != shape:  # weights and sums are reduced alike, plane by plane
                shape = small.shape
                weight = clearness(matte.reduced_to(shape))
                weights = _blurred(weight, size, sigma_px * scale) + FAINT
            mean = float((weight * small).sum()) / max(float(weight.sum()), FAINT)
            sums = _blurred(weight * small, size, sigma_px * scale) + FAINT * mean
            enlarged = np.empty(target.shape, np.uint8)
            upsample(sums / (255 * weights), enlarged)
            target[:] = enlarged
        return result


def clearness(matte: Plane) -> NDArray[np.float32]:
    """Weigh the background: 1 where nothing is covered, 0 where too much is."""
    weight = np.maximum(1 - matte.astype(np.float32) / np.float32(MOST_COVERAGE), 0)
    return np.asarray(weight, np.float32)


def _blurred(
    values: NDArray[np.float32], size: tuple[int, ...], sigma: float
) -> NDArray[np.float32]:
    reduced = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(reduced, (0, 0), sigmaX=sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(smooth, np.float32)
