"""The coarse grid of the room's colours behind `blur` and `pixelate`.

The output is made from this grid alone. It is blurred so widely that lettering a twelfth as high as
the frame is unreadable, and reveals no more over time: its values are rounded, and stay until the
room has changed by more than the rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.cuda import calls
from greenroom.errors import SettingsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame, Plane
    from greenroom.media.matte import Matte

    Floats = NDArray[np.float32]

__all__ = ["DEFAULT_STRENGTH", "MIN_STRENGTH", "Softened", "clearness", "strength_of"]

DEFAULT_STRENGTH: Final = 0.5
MIN_STRENGTH: Final = 0.4
"""With less, lettering of a twelfth of the frame's height can be read (benchmarks/lettering.py)."""

# Standard deviation of the blur at full strength, as a share of the frame's shorter side.
_FULL_STRENGTH: Final = 0.15
# Samples of the grid per standard deviation: with fewer, the enlarged grid becomes visible.
_SAMPLES_PER_SIGMA: Final = 2.5
# Quantisation step of the grid's values, of 255, and the difference from which they change.
_QUANTISATION_STEP: Final = 2.0
_HYSTERESIS: Final = _QUANTISATION_STEP
# Coverage from which a sample does not count as background: its colour is partly the person's.
_MAX_COVERAGE: Final = 0.25 * 255
# Weight of a much wider blur, and the factor of its width: it fills covered parts, and keeps a gap
# between arm and body from showing only the room right behind it.
_WIDE_BLUR_WEIGHT: Final = 0.05
_WIDE_BLUR_FACTOR: Final = 3
# Weight of the mean of the whole grid, for parts without background nearby.
_MEAN_WEIGHT: Final = 1e-4
# Without any background the grid is grey.
_GREY_WEIGHT: Final = np.float32(1e-9)
_GREY: Final = np.float32(128)


class Softened:
    """Computes the grid: a normalised convolution [1]_ weighted by the background's coverage.

    The person's own colours are excluded. Without background nearby, in the middle of the person,
    a much wider blur is used.

    Parameters
    ----------
    strength : float
        `MIN_STRENGTH` to 1. The blur is relative to the frame's shorter side, so the same room
        looks the same at every size.

    References
    ----------
    .. [1] H. Knutsson and C.-F. Westin, "Normalized and differential convolution",
       CVPR 1993.
    """

    def __init__(self, strength: float) -> None:
        self._share = strength * _FULL_STRENGTH
        self._sent: list[Floats] = []

    def reset(self) -> None:
        """Forget earlier frames."""
        self._sent = []

    def grids(self, frame: Frame, matte: Matte) -> list[Floats]:
        """Return a grid (h, w) float32 of 0..255 for each plane, all of one size.

        They are NumPy's, wherever frame and matte are.
        """
        shape = frame.half_planes.shape[1:]
        halves, coverage = calls.on_host(frame.half_planes, matte.reduced_to(shape))
        spacing_px = self._share * min(frame.size) / _SAMPLES_PER_SIGMA
        size = tuple(
            max(1, min(most, round(length / spacing_px)))
            for length, most in zip(frame.size, halves.shape[:0:-1], strict=True)
        )
        sigma = tuple(
            self._share * min(frame.size) * count / length
            for count, length in zip(size, frame.size, strict=True)
        )
        weight = clearness(coverage)
        # All together, with the weights last: OpenCV does four channels in the time of two.
        values = np.empty((*weight.shape, len(halves) + 1), np.float32)
        for index, half in enumerate(halves):
            np.multiply(weight, half, out=values[:, :, index])
        values[:, :, -1] = weight
        spread = _spread(values, size, sigma)
        weights = spread[:, :, -1] + _GREY_WEIGHT
        grids = [
            (spread[:, :, index] + _GREY_WEIGHT * _GREY) / weights for index in range(len(halves))
        ]
        if [grid.shape for grid in grids] != [old.shape for old in self._sent]:
            self._sent = [_rounded(grid) for grid in grids]
        pairs = zip(grids, self._sent, strict=True)
        self._sent = [
            np.where(np.abs(grid - old) < _HYSTERESIS, old, _rounded(grid)) for grid, old in pairs
        ]
        return self._sent


def clearness(matte: Plane) -> Floats:
    """Return the weight of the background: 1 without coverage, 0 from a limit on."""
    weight = np.maximum(1 - matte.astype(np.float32) / np.float32(_MAX_COVERAGE), 0)
    return np.asarray(weight, np.float32)


def strength_of(kind: str, value: str) -> float:
    """Read the strength of an effect; empty is the default.

    Raises
    ------
    SettingsError
        If it is not a number from `MIN_STRENGTH` to 1.
    """
    try:
        strength = float(value) if value else DEFAULT_STRENGTH
    except ValueError:
        strength = -1.0
    if 0 < strength < MIN_STRENGTH:
        message = (
            f"background '{kind}:{value}' would leave lettering behind you readable. The smallest "
            f"strength is {kind}:{MIN_STRENGTH:g}; to show the room, say none."
        )
        raise SettingsError(message, "background")
    if not MIN_STRENGTH <= strength <= 1:
        message = (
            f"background '{kind}:{value}': expected a strength of {MIN_STRENGTH:g} to 1, as in "
            f"{kind}:0.6"
        )
        raise SettingsError(message, "background")
    return strength


def _spread(values: Floats, size: tuple[int, ...], sigma: tuple[float, ...]) -> Floats:
    """Blur channels to the grid, plus a little of a wider blur and a trace of their mean."""
    reduced = _resized(values, size)
    coarse = tuple(max(1, round(length / _WIDE_BLUR_FACTOR)) for length in size)
    near = _blurred(_resized(reduced, coarse), sigma)
    wider = cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)
    mean = np.float32(_MEAN_WEIGHT) * reduced.mean(axis=(0, 1))
    return np.asarray(
        _blurred(reduced, sigma) + np.float32(_WIDE_BLUR_WEIGHT) * wider + mean, np.float32
    )


def _resized(values: Floats, size: tuple[int, ...]) -> Floats:
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)


def _blurred(values: Floats, sigma: tuple[float, ...]) -> Floats:
    # Not cv2.GaussianBlur: OpenCV's worker threads spin long after.
    across, down = (
        cv2.getGaussianKernel(2 * int(np.ceil(4 * one)) + 1, one, cv2.CV_32F) for one in sigma
    )
    spread = cv2.sepFilter2D(values, -1, across, down, borderType=cv2.BORDER_REFLECT)
    return np.asarray(spread, np.float32)


def _rounded(grid: Floats) -> Floats:
    rounded = np.clip(
        np.rint(grid / np.float32(_QUANTISATION_STEP)) * np.float32(_QUANTISATION_STEP), 0, 255
    )
    return np.asarray(rounded, np.float32)
