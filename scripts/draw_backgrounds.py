"""Draw the built-in backgrounds, which lie in the package as files.

python scripts/draw_backgrounds.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.backgrounds.builtin import builtin_path
from greenroom.media.frame import Frame
from greenroom.sources.demo_source import draw_study
from greenroom.specs import BUILTIN
from greenroom.web.image_encoding import to_jpeg

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Picture = NDArray[np.floating[Any]]
    Rgb = tuple[int, int, int]

_SIZE: Final = (1920, 1080)
# Grain hides the steps of 8-bit gradients, in gray levels.
_GRAIN: Final = 1.2
_ROWS: Final = 32
_QUALITY: Final = 92
# Pictures without edges are drawn so many times smaller.
_COARSE: Final = 4


def draw(name: str) -> NDArray[np.uint8]:
    """Draw one of `BUILTIN`, as 1920x1080 RGB; nobody else has its memory.

    Raises
    ------
    KeyError
        If there is none of that name.
    """
    width, height = _SIZE
    picture = _DRAWERS[name](*_SIZE)
    grain = _GRAIN * np.random.default_rng(11).standard_normal(
        (height // 2, width // 2), np.float32
    )
    grain = np.tile(grain, (2, 2))[:, :, None] + np.float32(0.5)
    drawn = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _ROWS):  # a few rows stay in the cache
        rows = slice(top, top + _ROWS)
        drawn[rows] = np.clip(picture[rows] + grain[rows], 0, 255)
    return drawn


def _enlarged(picture: Picture, size: tuple[int, int]) -> Picture:
    """Enlarge a picture that has no edges, so that it can be drawn small."""
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR))


def _places(width: int, height: int) -> tuple[Picture, Picture]:
    """Return x and y of every pixel, in heights, with the middle at 0."""
    x = (np.arange(width, dtype=np.float32) - width / 2) / height
    y = (np.arange(height, dtype=np.float32) - height / 2) / height
    return x[None, :, None], y[:, None, None]


def _colour(rgb: Rgb) -> Picture:
    return np.array(rgb, np.float32)


def _mixed(first: Picture, second: Picture, share: Picture) -> Picture:
    return first + (second - first) * np.clip(share, 0, 1)


def _blurred(picture: Picture, sigma: float) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


def _beach(width: int, height: int) -> Picture:
    return draw_beach((width, height)).astype(np.float32)


def _study(width: int, height: int) -> Picture:
    """Draw the demonstration's room as a lens focused on somebody in front sees it."""
    size = width // _COARSE, height // _COARSE
    room = cv2.resize(draw_study((width, height)), size, interpolation=cv2.INTER_AREA)
    return _enlarged(_blurred(room.astype(np.float32), height / 90 / _COARSE), (width, height))


def _dusk(width: int, height: int) -> Picture:
    """Draw colours that flow into each other."""
    x, y = _places(width // _COARSE, height // _COARSE)
    warm = np.exp(-((x + 0.75) ** 2 + (y - 0.45) ** 2) / 0.55)
    rose = np.exp(-((x - 0.1) ** 2 + (y - 0.7) ** 2) / 0.45)
    cool = np.exp(-((x - 0.8) ** 2 + (y + 0.35) ** 2) / 0.6)
    base = _mixed(_colour((52, 66, 110)), _colour((74, 140, 168)), 0.85 * cool)
    base = _mixed(base, _colour((226, 152, 122)), 0.85 * warm)
    return _enlarged(_mixed(base, _colour((190, 116, 138)), 0.6 * rose), (width, height))


def _lights(width: int, height: int) -> Picture:
    """Draw lights of a city at night, far out of focus."""
    # Nothing in it is sharp, so half the size will do.
    x, y = _places(width // 2, height // 2)
    picture = _mixed(_colour((14, 18, 34)), _colour((44, 38, 58)), y + 0.5 + 0 * x)
    rng = np.random.default_rng(5)
    tints = ((255, 190, 110), (255, 150, 80), (255, 226, 180), (120, 190, 255), (255, 110, 100))
    for _ in range(90):
        middle = rng.uniform(-0.95, 0.95), rng.normal(0.06, 0.2)
        radius = rng.uniform(0.018, 0.062)
        columns, rows = (
            slice(*np.searchsorted(places.ravel(), (place - radius, place + radius)))
            for places, place in zip((x, y), middle, strict=True)
        )
        distance = np.sqrt((x[:, columns] - middle[0]) ** 2 + (y[rows] - middle[1]) ** 2) / radius
        # The edge of the lens is a little brighter than its middle.
        disc = np.clip((1 - distance) * radius * 160, 0, 1) * (0.75 + 0.25 * distance**4)
        tint = _colour(tints[rng.integers(len(tints))])
        picture[rows, columns] += tint * disc * np.float32(rng.uniform(0.1, 0.42))
    small = _blurred(255 * (1 - np.exp(-picture / 190)), height / 1000)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))


def _office(width: int, height: int) -> Picture:
    """Draw an office a little out of focus, for which half the size will do."""
    half = _blurred(_wall(width // 2, height // 2), height / 800)
    return np.asarray(cv2.resize(half, (width, height), interpolation=cv2.INTER_CUBIC))


def _wall(width: int, height: int) -> Picture:
    """Draw a light wall with wooden slats, a shelf with a plant, and light from a window."""
    x, y = _places(width, height)
    wall = _mixed(_colour((226, 222, 214)), _colour((198, 194, 188)), (x + 0.9) / 2 + 0.3 * y)
    # Light falls through a window with a cross bar, leaning as the sun does.
    u, v = x + 0.35 * y + 0.33, y + 0.12
    pane = (np.abs(u) < 0.3) & (np.abs(u) > 0.012) & (np.abs(v) < 0.26) & (np.abs(v) > 0.01)
    wall = (
        wall
        + _colour((24, 20, 10))
        * _blurred(pane[:, :, 0].astype(np.float32), height / 154)[:, :, None]
    )
    slats = x + 0 * y > 0.42
    phase = np.mod(x, 0.055) / 0.055
    tone = (
        0.5 + 0.25 * np.sin(3 * np.floor(x / 0.055)) + 0.06 * np.sin(40 * y + 5 * np.floor(x * 18))
    )
    wood = _mixed(_colour((150, 108, 72)), _colour((186, 142, 100)), tone)
    wood = wood * np.where(phase < 0.16, 0.45, 1 - 0.25 * np.clip(phase - 0.75, 0, 1))
    room = np.where(slats, wood, wall)
    shade = np.exp(-np.clip(0.42 - x, 0, None) / 0.03) * (x < 0.42)
    return _plant(room * (1 - 0.22 * shade), width, height)


def _plant(room: Picture, width: int, height: int) -> Picture:
    """Put a shelf with a plant in a pot onto the wall, with their shadow."""
    scale, rng = float(height), np.random.default_rng(2)
    left, top = int(width / 2 - 0.8 * scale), int(0.62 * scale)
    layer = room.copy()
    shadow = np.zeros(room.shape[:2], np.float32)
    board = (left, top), (left + int(0.44 * scale), top + int(0.022 * scale))
    drop = int(0.018 * scale)
    cv2.rectangle(shadow, (board[0][0] + drop, top), (board[1][0] + drop, top + 4 * drop), 1.0, -1)
    middle = left + int(0.15 * scale)
    leaves = []
    for angle in np.linspace(-1.25, 1.25, 15) + rng.normal(0, 0.06, 15):
        length = rng.uniform(0.1, 0.17) * scale
        foot = middle, top - int(0.1 * scale)
        tip = foot[0] + length * np.sin(angle), foot[1] - length * np.cos(angle)
        centre = int((foot[0] + tip[0]) / 2), int((foot[1] + tip[1]) / 2)
        axes = int(length / 2), int(length / 9)
        green = rng.uniform(0.7, 1.15) * _colour((78, 118, 74))
        leaves.append((centre, axes, float(np.degrees(angle) - 90), green))
    for centre, axes, turn, _ in leaves:
        moved = centre[0] + 2 * drop, centre[1] + drop
        cv2.ellipse(shadow, moved, axes, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
    layer = layer * (1 - 0.16 * _blurred(shadow, height / 90)[:, :, None])
    cv2.rectangle(layer, *board, (164, 122, 82), -1)
    for centre, axes, turn, green in leaves:
        cv2.ellipse(layer, centre, axes, turn, 0, 360, green.tolist(), -1, cv2.LINE_AA)
    wide, narrow, tall = (int(share * scale) for share in (0.052, 0.038, 0.1))
    pot = np.array(
        [
            [middle - wide, top - tall],
            [middle + wide, top - tall],
            [middle + narrow, top],
            [middle - narrow, top],
        ]
    )
    cv2.fillPoly(layer, [pot], (222, 212, 200), cv2.LINE_AA)
    for number in range(5):
        thick, tall = int(rng.uniform(0.018, 0.03) * scale), int(rng.uniform(0.1, 0.15) * scale)
        start = left + int((0.27 + 0.034 * number) * scale)
        cover = rng.uniform(0.75, 1.1) * _colour(((96, 112, 128), (176, 108, 88))[number % 2])
        cv2.rectangle(layer, (start, top - tall), (start + thick, top), cover.tolist(), -1)
    return layer


def _studio(width: int, height: int) -> Picture:
    """Draw a plain backdrop, lit from above, that rolls out into the floor."""
    x, y = _places(width // _COARSE, height // _COARSE)
    light = np.exp(-((x / 0.95) ** 2 + ((y + 0.08) / 0.62) ** 2))
    wall = _mixed(_colour((74, 80, 86)), _colour((176, 182, 186)), light)
    floor = 1 / (1 + np.exp(-(y - 0.34) / 0.035))
    shine = 0.1 * np.exp(-((x / 0.7) ** 2)) - 0.06
    return _enlarged(wall * (1 + floor * shine), (width, height))


_DRAWERS: Final[dict[str, Callable[[int, int], Picture]]] = {
    "beach": _beach,
    "office": _office,
    "study": _study,
    "lights": _lights,
    "dusk": _dusk,
    "studio": _studio,
}


def draw_beach(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw sky, sea and sand: RGB.

    What changes from top to bottom alone is made of one column; what is small, where it is.
    """
    width, height = size
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    shore = 0.72 + 0.015 * np.sin(7 * x) + 0.006 * np.sin(23 * x)
    beach = np.empty((height, width, 3), np.float32)
    horizon, top, bottom = (int(np.searchsorted(y[:, 0], at)) for at in (0.5, 0.68, 0.762))
    beach[:horizon] = _blend((120, 178, 232), (226, 238, 244), y[:horizon, :, None] / 0.5)
    _shine(beach, x, y)
    sea = _blend((44, 120, 158), (98, 186, 190), (y[horizon:bottom, :, None] - 0.5) / 0.22)
    beach[horizon:bottom] = sea + _waves(x, y[horizon:bottom])[:, :, None]
    sand = _blend((214, 190, 148), (238, 220, 182), (y[top:, :, None] - 0.72) / 0.28)
    grain = 3 * np.random.default_rng(3).standard_normal((height - top, width, 1), np.float32)
    beach[bottom:] = sand[bottom - top :] + grain[bottom - top :]
    between = slice(top, bottom)
    is_dry = (y[between] >= shore)[:, :, None]
    mixed = np.where(is_dry, sand[: bottom - top] + grain[: bottom - top], beach[between])
    foam = np.exp(-(((y[between] - shore) / 0.006) ** 2))[:, :, None]
    beach[between] = mixed + foam * (250 - mixed)
    return np.asarray(np.clip(beach, 0, 255, out=beach), np.uint8)


def _waves(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 9 sin(260 y + 6 sin(9 x)) (y - 0.45), the sine of a sum taken apart."""
    bend = 6 * np.sin(9 * x)
    high = 9 * (y - 0.45)
    waves = high * np.sin(260 * y) * np.cos(bend) + high * np.cos(260 * y) * np.sin(bend)
    return np.asarray(waves, np.float32)


def _shine(sky: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
    """Let the sun shine in the sky, as far as it is seen."""
    height, width = sky.shape[:2]
    across = np.exp(-((x - 0.78) ** 2) * np.float32((width / height) ** 2 / 0.006))
    down = np.exp(-((y - 0.18) ** 2) / np.float32(0.006))
    seen = np.flatnonzero(across > 1e-4), np.flatnonzero(down > 1e-4)
    if not all(places.size for places in seen):
        return
    columns, rows = (slice(places[0], places[-1] + 1) for places in seen)
    lit = sky[rows, columns]
    lit += (down[rows] * across[:, columns])[:, :, None] * (255 - lit)


def _blend(
    first: tuple[int, int, int], second: tuple[int, int, int], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    share = np.clip(share, 0, 1)
    return (1 - share) * np.array(first, np.float32) + share * np.array(second, np.float32)


if __name__ == "__main__":
    for word in BUILTIN:
        builtin_path(word).write_bytes(to_jpeg(Frame.from_rgb(draw(word)), _QUALITY))
