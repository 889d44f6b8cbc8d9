"""Estimation of a chroma key screen: its colour, and a local model of screen and foreground."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.errors import ModelOutputError
from greenroom.segmenters.chroma_kernels import CELL, MAPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["MIN_CHROMA", "KeyFinder", "ScreenModel"]

MIN_CHROMA: Final = 24.0
"""Least length of (Cb, Cr) of a screen's colour, in 8-bit levels."""

logger = logging.getLogger(__name__)

# Width of the sampled borders as a share of the picture's longer side. The lower border, where the
# person is, is not sampled.
_BORDER: Final = 0.04
# Number of frames for the estimate, which is kept from then on.
_FRAMES: Final = 10
# Hue bins of 5 degrees, and the bins on both sides that belong to one screen (15 degrees).
_HUES: Final = 72
_HUE_RADIUS: Final = 3
# Least share of the screen in each border: a sky fills the top, but hardly the sides.
_MIN_BORDER_SHARE: Final = 0.6
# In weak light: share of `MIN_CHROMA` that suffices for the border share.
_WEAK: Final = 0.8
_EDGES: Final = 3
# Least share of a screen of known colour in all borders for its chroma to be measured.
_MIN_KNOWN_SHARE: Final = 0.05
# Hues of skin and wood, in degrees from Cb to Cr. A screen of such a hue has to be configured.
_SKIN: Final = (90.0, 170.0)

# Least share of the screen in the picture; without a screen everything would be foreground.
_MIN_SCREEN_SHARE: Final = 0.03
# Share of screen samples from which a cell counts as pure screen.
_PURE: Final = 0.9
# Share of the screen's chroma in a sample that proves screen nearby.
_NEARBY_SHARE: Final = 0.75
# Radius of "nearby" in cells: 32 pixels of a picture of 1920x1080.
_NEARBY_CELLS: Final = 2
# Windows of the averages in cells, wide to narrow, for the screen and for the person.
_SCREEN_WINDOWS: Final = ((31, 31), (7, 7))
_PERSON_WINDOWS: Final = ((13, 13), (5, 5))
# Weight of the wider average in the narrower one, in samples.
_PRIOR_SAMPLES: Final = 0.5
# Tolerance around pure screen and pure foreground as a share of the distance between the two: this
# multiple of the noise, within limits.
_NOISE_FACTOR: Final = 2.5
_TOLERANCE: Final = (0.06, 0.3)


class KeyFinder:
    """Estimator of a screen's colour from the borders of the first frames.

    State: histograms of the hues.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Clear the histograms."""
        self._frames = 0
        # For the top, left and right borders: number of samples, and by hue the number of
        # saturated ones, the sums of their Cb and Cr, and the number including weak ones.
        self._samples = np.zeros(_EDGES)
        self._hues = np.zeros((_EDGES, _HUES, 4))

    @property
    def is_done(self) -> bool:
        """Whether the estimate is complete."""
        return self._frames >= _FRAMES

    def look(
        self, c_b: Plane, c_r: Plane, picked: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """Add a frame, and return the present estimate of the screen's (Cb, Cr), minus 128.

        Parameters
        ----------
        c_b, c_r : (h, w) uint8
            The frame's chroma. Read only.
        picked : (float, float), optional
            The configured chroma: samples of a similar hue are measured, and the chroma itself is
            returned where there are none.

        Raises
        ------
        ModelOutputError
            If no saturated colour prevails at the borders; the histograms are then cleared.
        """
        for edge, (blue, red) in enumerate(zip(_borders(c_b), _borders(c_r), strict=True)):
            self._count(edge, blue.astype(np.float64) - 128, red.astype(np.float64) - 128)
        self._frames += 1
        steps = range(-_HUE_RADIUS, _HUE_RADIUS + 1)
        near = np.sum([np.roll(self._hues, step, axis=1) for step in steps], axis=0)
        hue = int(near[:, :, 0].sum(axis=0).argmax()) if picked is None else int(_hues(*picked))
        count, sum_b, sum_r, _ = near[:, hue].sum(axis=0).tolist()
        shares = near[:, hue, 3] / self._samples
        if picked is None and (
            count == 0 or shares.min() < _MIN_BORDER_SHARE or _is_like_skin(sum_b, sum_r)
        ):
            self.reset()
            message = (
                "no screen of one strong colour is seen at the top and both sides of the picture: "
                "let it fill the picture, or name its colour with key_color, or choose another "
                "model"
            )
            raise ModelOutputError(message)
        if self._frames == 1 and shares.min() < _MIN_BORDER_SHARE:
            logger.warning("the screen does not fill the picture: what is beside it is shown")
        if picked is not None and count <= _MIN_KNOWN_SHARE * self._samples.sum():
            return picked
        return sum_b / count, sum_r / count

    def _count(self, edge: int, b: NDArray[np.float64], r: NDArray[np.float64]) -> None:
        chroma, hues, one = np.hypot(b, r), _hues(b, r), np.ones_like(b)
        weak, strong = chroma >= _WEAK * MIN_CHROMA, chroma >= MIN_CHROMA
        for column, (weights, of) in enumerate(
            ((one, strong), (b, strong), (r, strong), (one, weak))
        ):
            self._hues[edge, :, column] += np.bincount(hues[of], weights[of], minlength=_HUES)
        self._samples[edge] += len(b)


def _hues(c_b: Any, c_r: Any) -> NDArray[np.int64]:
    """Return the hue bins of colours."""
    turns = np.arctan2(c_r, c_b) / (2 * math.pi)
    return np.asarray(np.floor(turns * _HUES), np.int64) % _HUES


def _borders(plane: Plane) -> list[Plane]:
    """Return the samples of the top, the left and the right border."""
    height, width = plane.shape
    wide = max(1, round(_BORDER * max(height, width)))
    parts = plane[:wide], plane[:, :wide], plane[:, -wide:]
    return [part.ravel() for part in parts]


def _is_like_skin(c_b: float, c_r: float) -> bool:
    return _SKIN[0] < math.degrees(math.atan2(c_r, c_b)) < _SKIN[1]


@dataclass(frozen=True, slots=True)
class ScreenModel:
    """Local colours of screen and person for every cell of a picture.

    Attributes
    ----------
    maps : (MAPS, rows, columns) float32
        Values per cell, interpolated in between: three coefficients from Cb and Cr (minus 128) to
        the share of the screen in a sample, 0 for the local foreground colour and 1 for the local
        screen colour; the inverse of the screen's chroma; presence of screen nearby, 0 to 1; and
        the foreground's Y, Cb and Cr minus the screen's.
    key : (4,) float32
        The key of `chroma_kernels.statistics`, and the tolerance of the share around 0 and 1.
    """

    maps: Floats
    key: Floats

    @classmethod
    def of(cls, cells: Floats, key: Floats, samples: int) -> ScreenModel:
        """Build the model from the statistics of the cells.

        Parameters
        ----------
        cells : (STATISTICS, rows, columns) float32
            From `chroma_kernels.statistics`.
        key : (3,) float32
            As in `chroma_kernels.statistics`.
        samples : int
            Number of samples in the picture.

        Raises
        ------
        ModelOutputError
            If there is hardly any screen in the picture.
        """
        seen = float(cells[0].sum())
        if seen < _MIN_SCREEN_SHARE * samples:
            message = (
                "the screen behind the person is not seen in the picture: give its colour as "
                "key_color, or leave that out to have it found, or choose another model"
            )
            raise ModelOutputError(message)
        k_x, k_y, length = key.tolist()
        pure = cells[0:5] * (cells[0] >= _PURE * CELL * CELL)
        if not pure[0].any():
            pure = cells[0:5]
        total = pure.sum(axis=(1, 2))
        mean = (total[1:4] / total[0])[:, None, None]
        screen = _average(pure[0:4], mean, _SCREEN_WINDOWS)
        # Where no foreground is nearby: gray, as bright as the screen.
        unknown = screen * np.array([1, 0, 0], np.float32)[:, None, None]
        person = _average(cells[5:9], unknown, _PERSON_WINDOWS)
        strength = np.maximum(screen[1] * k_x + screen[2] * k_y, 0.3 * length)
        distance = screen - person
        square = np.maximum(distance[1] ** 2 + distance[2] ** 2, (0.3 * length) ** 2)
        _, rows, columns = cells.shape
        maps = np.empty((MAPS, rows, columns), np.float32)
        maps[0:2] = distance[1:] / square
        maps[2] = -maps[0] * person[1] - maps[1] * person[2]
        maps[3] = 1 / strength
        around = (cells[9] >= _NEARBY_SHARE * strength).astype(np.float32)
        size = 2 * _NEARBY_CELLS + 1
        maps[4] = cv2.blur(cv2.dilate(around, np.ones((size, size), np.uint8)), (3, 3))
        maps[5:8] = -distance
        return cls(maps, np.append(key, np.float32(_tolerance(pure, k_x, k_y))))


def _average(sums: Floats, prior: Floats, windows: tuple[tuple[int, int], ...]) -> Floats:
    """Average colours over successively narrower windows; empty ones keep the wider average.

    Parameters
    ----------
    sums : (4, rows, columns) float32
        Number of samples in each cell, and the sums of their components.
    prior : (3, rows, columns) or (3, 1, 1) float32
        The colour without any samples.
    """
    average, near = prior, np.empty_like(sums)
    for window in windows:
        for plane, blurred in zip(sums, near, strict=True):
            cv2.blur(plane, window, blurred, borderType=cv2.BORDER_CONSTANT)
        average = (near[1:] + _PRIOR_SAMPLES * average) / (near[0] + _PRIOR_SAMPLES)
    return average


def _tolerance(pure: Floats, k_x: float, k_y: float) -> float:
    """Estimate the tolerance from the deviation of screen samples within their cells."""
    count, _, c_b, c_r, squares = pure[:, pure[0] > 0]
    along = (c_b * k_x + c_r * k_y) / count
    deviation = math.sqrt(max(0.0, float(np.median(squares / count - along**2))))
    relative = deviation / max(1.0, float(along.mean()))
    return min(max(_NOISE_FACTOR * relative, _TOLERANCE[0]), _TOLERANCE[1])
