"""The camera's own background, blurred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.backgrounds.base import Background
from greenroom.frames import Frame
from greenroom.resampling import shrink_weighted, upsample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.frames import Matte, Plane

__all__ = ["Blur"]

# Standard deviation of the blur at full strength, as a share of the frame's shorter side.
FULL_STRENGTH: Final = 0.05
# At reduced size the blur is still this wide, in samples, so that enlarging stays smooth.
REDUCED_SIGMA: Final = 2.5
_TAPS: Final = 3


class Blur(Background):
    """What is behind the person, blurred; the person's own colours stay out of it.

    Each plane is reduced with the background's coverage as weight, blurred with the
    weights, divided by them, and enlarged: the normalised convolution of [1]_. Where no
    background is near, in the middle of the person, it is the mean of the background.

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
        result = Frame.empty(frame.layout)
        sigma_px = self.strength * FULL_STRENGTH * min(frame.size)
        for plane, target in zip(frame.planes, result.planes, strict=True):
            sigma = sigma_px * plane.shape[0] / frame.layout.height
            self._blur(plane, matte.for_plane(plane.shape), sigma, target)
        return result

    def _blur(self, plane: Plane, matte: Plane, sigma: float, out: Plane) -> None:
        scale = min(1.0, REDUCED_SIGMA / sigma)
        shape = tuple(max(1, round(length * scale)) for length in plane.shape)
        sums, weights = np.empty(shape, np.float32), np.empty(shape, np.float32)
        shrink_weighted(plane, matte, sums, weights, _TAPS)
        mean = float(sums.sum()) / max(float(weights.sum()), 1e-6)
        reduced_sigma = sigma * scale
        sums, weights = _smooth(sums, reduced_sigma), _smooth(weights, reduced_sigma)
        faint = np.float32(1e-3)
        blurred = np.empty(out.shape, np.uint8)
        upsample((sums + faint * np.float32(mean)) / ((weights + faint) * np.float32(255)), blurred)
        out[:] = blurred


def _smooth(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return cv2.GaussianBlur(  # type: ignore[return-value]
        values, (0, 0), sigmaX=sigma, borderType=cv2.BORDER_REFLECT_101
    )
