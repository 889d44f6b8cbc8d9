"""Matting by bilinear upsampling, with a steadied, shifted and softened edge.

Everything but the upsampling happens at the model's resolution, where it costs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.frames import Frame, Matte
from greenroom.matting.kernels import follow
from greenroom.resampling import upsample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.settings import Settings

__all__ = ["UpsampledMatting"]

# A change of brightness up to which the picture stands still, in 8-bit levels: above the
# noise that is left after averaging, below what movement makes (docs/quality.md).
_NOISE: Final = 3.0
# Over so many samples of the coarse matte, in each direction, a change is averaged.
_NEIGHBOURHOOD: Final = (5, 5)


class UpsampledMatting:
    """The first matting: no look at the frame's own edges.

    Over time the coarse matte is averaged where the picture stands still, and taken as it
    is where it moves, so that the edge of a person who sits still does not flicker and
    that of one who moves does not trail.

    State: the steadied coarse matte, and the picture that it belongs to.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._steady: NDArray[np.float32] | None = None
        self._reference: NDArray[np.float32] | None = None
        self._size: tuple[int, int] | None = None

    def matte(self, frame: Frame, coarse: NDArray[np.float32]) -> Matte:
        """See `Matting.matte`. Latency: none; a change of size forgets earlier frames."""
        settings = self.settings
        if frame.size != self._size:
            self.reset()
            self._size = frame.size
        coarse = self._steadied(frame, coarse)
        coarse = shifted(coarse, settings.edge_shift / 100, frame.size)
        coarse = softened(coarse, settings.edge_softness / 100, frame.size)
        width, height = frame.size
        values = np.empty((height, width), np.uint8)
        upsample(coarse, values)
        if settings.threshold is not None:
            np.multiply(values >= 255 * settings.threshold - 0.5, np.uint8(255), out=values)
        return Matte(values)

    def reset(self) -> None:
        """See `Matting.reset`."""
        self._steady = None

    def _steadied(self, frame: Frame, coarse: NDArray[np.float32]) -> NDArray[np.float32]:
        """Follow the coarse matte over time, or take it as it is."""
        smoothing = self.settings.smoothing
        if smoothing == 0:
            self._steady = None
            return coarse
        height, width = coarse.shape
        # Green, for a frame that is RGB.
        luma = frame.reduced_luma((height, width)).astype(np.float32)
        if self._steady is None or self._reference is None or self._steady.shape != coarse.shape:
            self._steady, self._reference = coarse.copy(), luma
        else:
            change: NDArray[np.float32] = np.empty_like(luma)
            cv2.blur(cv2.absdiff(luma, self._reference), _NEIGHBOURHOOD, change)
            follow(coarse, luma, change, self._steady, self._reference, 1 - smoothing, _NOISE)
        return self._steady


def shifted(
    coarse: NDArray[np.float32], shift: float, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Move the edge of a coarse matte outwards, or inwards where the shift is negative.

    Grey-scale dilation or erosion by a box; between whole samples, linear interpolation.

    Parameters
    ----------
    coarse : (h, w) float32
        Read only.
    shift : float
        Distance, as a share of the frame's shorter side.
    size : (int, int)
        Width and height of the frame in pixels.
    """
    if shift == 0:
        return coarse
    reach_x, reach_y = _reach(coarse, abs(shift), size)
    for reach, (x, y) in ((reach_x, (1, 0)), (reach_y, (0, 1))):
        low, part = divmod(reach, 1)
        near = _extremum(coarse, shift, int(low) * x, int(low) * y)
        far = _extremum(coarse, shift, int(low + 1) * x, int(low + 1) * y)
        coarse = near + np.float32(part) * (far - near)
    return coarse


def _extremum(
    coarse: NDArray[np.float32],
    shift: float,
    x: int,
    y: int,
) -> NDArray[np.float32]:
    """Return the largest value within x and y samples, or the smallest for a shift inwards."""
    operation = cv2.dilate if shift > 0 else cv2.erode
    return operation(coarse, np.ones((2 * y + 1, 2 * x + 1), np.uint8))  # type: ignore[return-value]


def softened(
    coarse: NDArray[np.float32], softness: float, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Blur a coarse matte; the softness is a standard deviation, in the unit of `shifted`."""
    if softness == 0:
        return coarse
    sigma_x, sigma_y = _reach(coarse, softness, size)
    return cv2.GaussianBlur(  # type: ignore[return-value]
        coarse, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REPLICATE
    )


def _reach(coarse: NDArray[np.float32], share: float, size: tuple[int, int]) -> tuple[float, float]:
    """Express a share of the frame's shorter side in samples of the coarse matte, (x, y)."""
    width, height = size
    distance_px = share * min(size)
    return distance_px * coarse.shape[1] / width, distance_px * coarse.shape[0] / height
