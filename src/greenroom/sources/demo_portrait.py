"""A drawn portrait, for the demonstration without an installed photograph.

It has the features by which models find a person: a face under hair, a neck, and shoulders in a
shirt, all lit from the upper left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Point = tuple[float, float]
    Rgb = tuple[int, int, int]

__all__ = ["draw_portrait"]

_SIDE: Final = 512
# Drawn larger by this factor and scaled down, for smooth edges.
_SUPERSAMPLING: Final = 2
_SKIN: Final = (206, 158, 130)
_SHADE: Final = (160, 110, 88)
_LIPS: Final = (168, 92, 84)
_HAIR: Final = (58, 40, 30)
_SHIRT: Final = (58, 84, 122)
_COLLAR: Final = (222, 226, 230)
_EYE: Final = (238, 234, 228)
_IRIS: Final = (70, 52, 40)


def draw_portrait() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw a person from the chest up.

    Returns
    -------
    portrait : (512, 512, 3) uint8
        RGB.
    matte : (512, 512) uint8
        Exact coverage of the person, 0 to 255.
    """
    side = _SIDE * _SUPERSAMPLING
    canvas = _Drawing(side)
    _draw_body(canvas)
    _draw_head(canvas)
    _draw_face(canvas)
    lit = canvas.picture * _light(side)
    grain = np.random.default_rng(4).normal(0, 5, (side, side, 1)).astype(np.float32)
    picture = cv2.resize(lit + grain, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    matte = cv2.resize(canvas.matte, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return (
        np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8),
        np.asarray(np.clip(255 * matte + 0.5, 0, 255), np.uint8),
    )


class _Drawing:
    """A picture and its matte; coordinates are shares of its side."""

    def __init__(self, side: int) -> None:
        self.picture: Floats = np.full((side, side, 3), _SHIRT, np.float32)
        self.matte: Floats = np.zeros((side, side), np.float32)
        self._side = side

    def ellipse(
        self,
        centre: Point,
        axes: Point,
        colour: Rgb,
        *,
        soft: float = 0.0,
        is_outline: bool = False,
    ) -> None:
        """Fill an ellipse, soft at its edge by a share of the side."""
        shape = np.zeros(self.matte.shape, np.float32)
        place, radii = ((round(x * self._side), round(y * self._side)) for x, y in (centre, axes))
        cv2.ellipse(shape, place, radii, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
        self._paint(shape, colour, soft, is_outline=is_outline)

    def polygon(
        self, points: list[Point], colour: Rgb, *, soft: float = 0.0, is_outline: bool = False
    ) -> None:
        """Fill a polygon with rounded corners."""
        shape = np.zeros(self.matte.shape, np.float32)
        corners = np.rint(np.array(points) * self._side).astype(np.int32)
        cv2.fillPoly(shape, [corners], 1.0, cv2.LINE_AA)
        self._paint(shape, colour, soft, is_outline=is_outline)

    def _paint(self, shape: Floats, colour: Rgb, soft: float, *, is_outline: bool) -> None:
        if soft:
            shape = np.asarray(cv2.GaussianBlur(shape, (0, 0), soft * self._side), np.float32)
        if is_outline:
            self.matte = np.maximum(self.matte, shape)
        share = shape[:, :, None]
        self.picture += share * (np.array(colour, np.float32) - self.picture)


def _light(side: int) -> Floats:
    """Return the brightness of each pixel: the light comes from the upper left."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    return np.asarray((1.16 - 0.34 * x - 0.08 * y)[:, :, None], np.float32)


def _mirrored(points: list[Point]) -> list[Point]:
    """Return an outline of the right half and, from bottom to top, of the left one."""
    return [*points, *((1 - x, y) for x, y in reversed(points))]


def _draw_body(canvas: _Drawing) -> None:
    """Draw shoulders in a shirt, and the neck."""
    shoulders = [(0.56, 0.665), (0.66, 0.7), (0.79, 0.745), (0.87, 0.8), (0.92, 0.9), (0.95, 1.05)]
    canvas.polygon(_mirrored(shoulders), _SHIRT, soft=0.004, is_outline=True)
    for x in (0.2, 0.8):  # sleeves begin where it folds
        canvas.polygon(
            [(x, 0.82), (x + 0.015, 0.83), (x + 0.04, 1.05), (x, 1.05)], (38, 58, 90), soft=0.012
        )
    canvas.polygon(
        [(0.5, 0.8), (0.508, 0.8), (0.508, 1.05), (0.495, 1.05)], (36, 54, 84), soft=0.004
    )
    canvas.polygon(
        _mirrored([(0.572, 0.52), (0.575, 0.68), (0.6, 0.7), (0.5, 0.8)]),
        _SKIN,
        soft=0.003,
        is_outline=True,
    )
    canvas.polygon(_mirrored([(0.575, 0.57), (0.575, 0.63), (0.5, 0.67)]), _SHADE, soft=0.014)
    for flip in (False, True):
        collar: list[Point] = [
            (0.575, 0.645),
            (0.625, 0.69),
            (0.585, 0.8),
            (0.5, 0.79),
            (0.56, 0.74),
        ]
        canvas.polygon(
            [(1 - x, y) if flip else (x, y) for x, y in collar],
            _COLLAR,
            soft=0.003,
            is_outline=True,
        )


def _draw_head(canvas: _Drawing) -> None:
    """Draw hair, ears, and the face's skin with its shades."""
    canvas.ellipse((0.5, 0.335), (0.172, 0.215), _HAIR, soft=0.006, is_outline=True)
    for x in (0.345, 0.655):
        canvas.ellipse((x, 0.405), (0.022, 0.045), _SKIN, soft=0.003, is_outline=True)
        canvas.ellipse((x, 0.41), (0.01, 0.025), _SHADE, soft=0.006)
    face = [
        (0.5, 0.215),
        (0.57, 0.225),
        (0.62, 0.27),
        (0.64, 0.36),
        (0.636, 0.44),
        (0.612, 0.52),
        (0.565, 0.585),
        (0.52, 0.608),
        (0.5, 0.61),
    ]
    canvas.polygon(_mirrored(face), _SKIN, soft=0.004, is_outline=True)
    for x in (0.385, 0.615):
        canvas.ellipse((x, 0.5), (0.02, 0.06), _SHADE, soft=0.02)
    canvas.ellipse((0.45, 0.27), (0.07, 0.03), (226, 182, 154), soft=0.025)
    fringe: list[Point] = [
        (0.345, 0.36),
        (0.36, 0.28),
        (0.42, 0.235),
        (0.52, 0.255),
        (0.6, 0.24),
        (0.645, 0.3),
        (0.655, 0.36),
        (0.675, 0.28),
        (0.61, 0.15),
        (0.5, 0.118),
        (0.39, 0.15),
        (0.325, 0.28),
    ]
    canvas.polygon(fringe, _HAIR, soft=0.005, is_outline=True)
    canvas.ellipse((0.44, 0.175), (0.07, 0.03), (96, 70, 54), soft=0.02)


def _draw_face(canvas: _Drawing) -> None:
    """Draw eyes, brows, nose and mouth."""
    for x in (0.432, 0.568):
        canvas.ellipse((x, 0.385), (0.042, 0.026), _SHADE, soft=0.012)
        canvas.ellipse((x, 0.392), (0.03, 0.0145), _EYE, soft=0.002)
        canvas.ellipse((x, 0.391), (0.0145, 0.0145), _IRIS, soft=0.001)
        canvas.ellipse((x - 0.005, 0.386), (0.004, 0.004), (255, 255, 255))
        inner, outer = (x + 0.036, x - 0.04) if x < 0.5 else (x - 0.036, x + 0.04)
        canvas.polygon(
            [(inner, 0.378), (x, 0.372), (outer, 0.39), (x, 0.378)], (52, 36, 30), soft=0.002
        )
        canvas.polygon([(inner, 0.346), (x, 0.332), (outer, 0.35), (x, 0.344)], _HAIR, soft=0.003)
        canvas.ellipse((x, 0.47), (0.035, 0.025), (216, 150, 126), soft=0.02)
    canvas.polygon(
        [(0.492, 0.38), (0.508, 0.38), (0.522, 0.46), (0.5, 0.47), (0.48, 0.46)],
        (218, 174, 146),
        soft=0.008,
    )
    canvas.polygon([(0.51, 0.4), (0.535, 0.468), (0.505, 0.482)], _SHADE, soft=0.01)
    for x in (0.482, 0.518):
        canvas.ellipse((x, 0.474), (0.009, 0.005), (112, 70, 58), soft=0.003)
    canvas.polygon(
        [
            (0.445, 0.528),
            (0.485, 0.518),
            (0.5, 0.522),
            (0.515, 0.518),
            (0.555, 0.528),
            (0.5, 0.552),
        ],
        _LIPS,
        soft=0.003,
    )
    canvas.polygon(
        [(0.445, 0.528), (0.5, 0.533), (0.555, 0.528), (0.5, 0.536)], (106, 52, 48), soft=0.002
    )
    canvas.ellipse((0.5, 0.572), (0.035, 0.01), _SHADE, soft=0.012)
