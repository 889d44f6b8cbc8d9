"""The screen behind a person: its colour, and how it looks around every place."""

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
"""The length of (Cb, Cr) from which on a colour is strong enough, in 8-bit levels."""

logger = logging.getLogger(__name__)

# How wide the borders are that are looked at, as a share of the picture's longer side. The
# person stands at the lower one, which is not.
_BORDER: Final = 0.04
# The colour is found in so many frames, then it is kept.
_FRAMES: Final = 10
# Hues, in steps of 5 degrees; a screen lies within 15 degrees on both sides.
_HUES: Final = 72
_NEAR: Final = 3
# The share of each border that a screen takes at least: a sky fills the top, but hardly the
# sides.
_LEAST_SHARE: Final = 0.6
# Where light is weak a screen may have so much of the colour that it has to have elsewhere.
_WEAK: Final = 0.8
_EDGES: Final = 3
# ... and one whose colour is known, for it to be measured.
_ENOUGH: Final = 0.05
# Skin and wood: a screen of such a colour has to be named. In degrees, from Cb to Cr.
_SKIN: Final = (90.0, 170.0)

# The share of the picture that is screen at least: without one, all would be the person.
_LEAST_SEEN: Final = 0.03
# A cell is of the screen only, if this share of its samples is.
_PURE: Final = 0.9
# Samples with this share of the screen's colour or more show that there is screen around.
_SCREEN: Final = 0.75
# How far around, in cells: 32 pixels of a picture of 1920x1080.
_REACH: Final = 2
# Cells that are averaged, for the screen and for the person.
_SCREEN_CELLS: Final = ((31, 31), (7, 7))
_PERSON_CELLS: Final = ((13, 13), (5, 5))
# How much the wider average counts in the narrower one, in samples.
_PRIOR: Final = 0.5
# How far samples may be from screen or person and still be nothing else, as a share of the
# distance between the two: so many times the noise, within limits.
_NOISE: Final = 2.5
_MARGIN: Final = (0.06, 0.3)


class KeyFinder:
    """Finds the colour of a screen at the borders of the first frames.

    State: how often each hue was seen.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._frames = 0
        # Of the top, the left and the right: samples; and of each hue, how many strong ones, the
        # sums of their Cb and Cr, and how many with the weak ones.
        self._samples = np.zeros(_EDGES)
        self._hues = np.zeros((_EDGES, _HUES, 4))

    @property
    def is_done(self) -> bool:
        """Whether enough frames were looked at."""
        return self._frames >= _FRAMES

    def look(
        self, c_b: Plane, c_r: Plane, picked: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """Return the chroma (Cb, Cr) of the screen, from 128, as far as it was seen.

        Parameters
        ----------
        c_b, c_r : (h, w) uint8
            The frame's chroma. Read only.
        picked : (float, float), optional
            The chroma that the screen is said to have: what is near to its hue is looked
            for, as light makes more or less of it, and itself taken where that is not seen.

        Raises
        ------
        ModelOutputError
            If no strong colour prevails at the borders; what was seen is then forgotten.
        """
        for edge, (blue, red) in enumerate(zip(_borders(c_b), _borders(c_r), strict=True)):
            self._count(edge, blue.astype(np.float64) - 128, red.astype(np.float64) - 128)
        self._frames += 1
        steps = range(-_NEAR, _NEAR + 1)
        near = np.sum([np.roll(self._hues, step, axis=1) for step in steps], axis=0)
        hue = int(near[:, :, 0].sum(axis=0).argmax()) if picked is None else int(_hues(*picked))
        count, sum_b, sum_r, _ = near[:, hue].sum(axis=0).tolist()
        shares = near[:, hue, 3] / self._samples
        if picked is None and (
            count == 0 or shares.min() < _LEAST_SHARE or _is_like_skin(sum_b, sum_r)
        ):
            self.reset()
            message = (
                "no screen of one strong colour is seen at the top and both sides of the picture: "
                "let it fill the picture, or name its colour with key_color, or choose another "
                "model"
            )
            raise ModelOutputError(message)
        if self._frames == 1 and shares.min() < _LEAST_SHARE:
            logger.warning("the screen does not fill the picture: what is beside it is shown")
        if picked is not None and count <= _ENOUGH * self._samples.sum():
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
    """Return the numbers of the hues of colours."""
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
    """What screen and person look like around every cell of a picture.

    Attributes
    ----------
    maps : (MAPS, rows, columns) float32
        For every cell, between which they are interpolated: three numbers that take Cb and Cr,
        from 128, to the share of the screen in a sample, 0 for the person's colour around and 1
        for the screen's; the inverse of the screen's chroma; whether there is screen around,
        0 to 1; and the person's Y, Cb and Cr minus the screen's.
    key : (4,) float32
        The key, as `chroma_kernels.statistics` takes it, and how far noise takes the share
        from 0 and 1.
    """

    maps: Floats
    key: Floats

    @classmethod
    def of(cls, cells: Floats, key: Floats, samples: int) -> ScreenModel:
        """Make them of the statistics of cells.

        Parameters
        ----------
        cells : (STATISTICS, rows, columns) float32
            As `chroma_kernels.statistics` writes them.
        key : (3,) float32
            As it takes it.
        samples : int
            How many samples the picture has.

        Raises
        ------
        ModelOutputError
            If there is next to nothing of the screen in the picture.
        """
        seen = float(cells[0].sum())
        if seen < _LEAST_SEEN * samples:
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
        screen = _averaged(pure[0:4], mean, _SCREEN_CELLS)
        # Where nothing of the person is near: gray, as bright as the screen.
        unknown = screen * np.array([1, 0, 0], np.float32)[:, None, None]
        person = _averaged(cells[5:9], unknown, _PERSON_CELLS)
        strength = np.maximum(screen[1] * k_x + screen[2] * k_y, 0.3 * length)
        distance = screen - person
        square = np.maximum(distance[1] ** 2 + distance[2] ** 2, (0.3 * length) ** 2)
        _, rows, columns = cells.shape
        maps = np.empty((MAPS, rows, columns), np.float32)
        maps[0:2] = distance[1:] / square
        maps[2] = -maps[0] * person[1] - maps[1] * person[2]
        maps[3] = 1 / strength
        around = (cells[9] >= _SCREEN * strength).astype(np.float32)
        size = 2 * _REACH + 1
        maps[4] = cv2.blur(cv2.dilate(around, np.ones((size, size), np.uint8)), (3, 3))
        maps[5:8] = -distance
        return cls(maps, np.append(key, np.float32(_margin(pure, k_x, k_y))))


def _averaged(sums: Floats, prior: Floats, windows: tuple[tuple[int, int], ...]) -> Floats:
    """Average colours over ever narrower windows; where one is empty, the wider counts.

    Parameters
    ----------
    sums : (4, rows, columns) float32
        How many samples a cell has, and the sums of their components.
    prior : (3, rows, columns) float32, or of rows and columns of one
        The colour without any.
    """
    average, near = prior, np.empty_like(sums)
    for window in windows:
        for plane, blurred in zip(sums, near, strict=True):
            cv2.blur(plane, window, blurred, borderType=cv2.BORDER_CONSTANT)
        average = (near[1:] + _PRIOR * average) / (near[0] + _PRIOR)
    return average


def _margin(pure: Floats, k_x: float, k_y: float) -> float:
    """Tell what noise does, from how samples of the screen differ within their cells."""
    count, _, c_b, c_r, squares = pure[:, pure[0] > 0]
    along = (c_b * k_x + c_r * k_y) / count
    deviation = math.sqrt(max(0.0, float(np.median(squares / count - along**2))))
    relative = deviation / max(1.0, float(along.mean()))
    return min(max(_NOISE * relative, _MARGIN[0]), _MARGIN[1])
