"""Demonstration source: a portrait moving in front of a drawn room."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.source_info import SourceInfo
from greenroom.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["DemoSource", "draw_study"]

_RATE: Final = Fraction(25)


class DemoSource(Source):
    """Moves a cut-out portrait in front of a drawn study, as a webcam would see it.

    Parameters
    ----------
    portrait : (H, W, 3) uint8
        RGB.
    matte : (H, W) uint8
        Coverage of the person in it.
    size : (int, int)
        Width and height of the frames, even numbers.
    frames : int
        Number of frames, at 25 frames/s.
    room : (H, W, 3) uint8, optional
        Picture behind the person, of the frames' size. None draws a study.
    period : int
        Frames of one sway from side to side and back. 100 is as fast as somebody who dances;
        somebody who talks moves a sixth of that.
    """

    def __init__(
        self,
        portrait: NDArray[np.uint8],
        matte: NDArray[np.uint8],
        size: tuple[int, int] = (1280, 720),
        frames: int = 100,
        *,
        room: NDArray[np.uint8] | None = None,
        period: int = 100,
    ) -> None:
        self._period = period
        self._portrait = portrait.astype(np.float32)
        self._matte = matte.astype(np.float32) / 255
        self._layout = Layout(*size, "yuv420p", Colour(1, 1, 1, 1))
        self._room = (draw_study(size) if room is None else room).astype(np.float32)
        self._frames = frames
        self._noise = np.random.default_rng(20)
        self.info = SourceInfo("demo", _RATE, 1 / _RATE, frames)

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        for number in range(self._frames):
            frame = Frame.from_rgb(self._picture(number)).converted(self._layout)
            yield frame.shown_at(number, self.info.time_base, 1)

    def close(self) -> None:
        """See `Source.close`."""

    def _picture(self, number: int) -> NDArray[np.uint8]:
        """Draw one frame: the portrait swaying, leaning in and out, and sensor noise."""
        width, height = self._layout.size
        phase = 2 * np.pi * number / self._period
        scale = height / self._portrait.shape[0] * (1.06 + 0.05 * np.sin(phase))
        turn = np.deg2rad(2.5 * np.sin(2 * phase))
        middle = self._portrait.shape[1] / 2, float(self._portrait.shape[0])
        cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
        x, y = width * (0.5 + 0.12 * np.sin(phase)), height * 1.1
        move = np.array(
            [
                [cosine, -sine, x - cosine * middle[0] + sine * middle[1]],
                [sine, cosine, y - sine * middle[0] - cosine * middle[1]],
            ]
        )
        cover = cv2.warpAffine(self._matte, move, (width, height))[:, :, None]
        person = cv2.warpAffine(
            self._portrait, move, (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        noise = self._noise.normal(0, 2, (height, width, 1)).astype(np.float32)
        picture = cover * person + (1 - cover) * self._room + noise
        return np.asarray(np.clip(picture + 0.5, 0, 255), np.uint8)


def draw_study(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a room full of books, pictures and a window: RGB, busy on purpose."""
    width, height = size
    rng = np.random.default_rng(7)
    room = np.full((height, width, 3), (168, 150, 128), np.uint8)
    shelf = height // 5
    for top in range(0, height, shelf):
        x = 0
        while x < width * 0.62:
            thickness = int(rng.integers(width // 90, width // 32))
            tall = int(shelf * rng.uniform(0.55, 0.88))
            colour = _muted_colour(rng)
            base = top + shelf - shelf // 12
            cv2.rectangle(room, (x, base - tall), (x + thickness - 2, base), colour, -1)
            stripe = base - int(tall * rng.uniform(0.3, 0.8))
            light = tuple(min(255, value + 50) for value in colour)
            cv2.rectangle(room, (x, stripe), (x + thickness - 2, stripe + 4), light, -1)
            x += thickness
        board = (0, top + shelf - shelf // 12), (int(width * 0.63), top + shelf)
        cv2.rectangle(room, *board, (96, 64, 40), -1)
    left, right = int(width * 0.7), int(width * 0.95)
    top, bottom = int(height * 0.1), int(height * 0.55)
    cv2.rectangle(room, (left - 12, top - 12), (right + 12, bottom + 12), (240, 236, 228), -1)
    cv2.rectangle(room, (left, top), (right, bottom), (196, 222, 246), -1)
    for share in (1 / 3, 2 / 3):
        bar = int(left + share * (right - left))
        cv2.line(room, (bar, top), (bar, bottom), (240, 236, 228), 8)
    for number in range(5):
        colour = _muted_colour(rng)
        corner = int(width * (0.66 + 0.065 * number)), int(height * 0.68)
        cv2.rectangle(room, corner, (corner[0] + width // 22, corner[1] + height // 6), colour, -1)
    # Behind the person, so a little out of focus.
    return cv2.GaussianBlur(room, (0, 0), height / 300)  # type: ignore[return-value]


def _muted_colour(rng: np.random.Generator) -> tuple[int, ...]:
    """Pick a random muted colour for a book or a picture frame."""
    hue = rng.uniform(-22, 22, 3)
    return tuple(int(value) for value in np.clip(rng.uniform(45, 170) + hue, 0, 255))
