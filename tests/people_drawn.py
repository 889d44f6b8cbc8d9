"""Drawn people before a drawn room, and models that find them, for the tests of matting."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SIZE = (640, 360)
BRIGHT = 210


def room(size: tuple[int, int] = SIZE, seed: int = 1) -> Any:
    """Return the luma of a room of smooth dark shapes, (H, W) uint8."""
    width, height = size
    noise = np.random.default_rng(seed).random((12, 20), np.float32)
    luma = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(20 + 90 * luma, 16, 120).astype(np.uint8)


def person(
    size: tuple[int, int] = SIZE, centre: tuple[float, float] = (0.5, 0.6), height: float = 0.3
) -> Floats:
    """Return the true matte of an ellipse; its measures are shares of the frame's."""
    width, rows = size
    y, x = np.mgrid[0:rows, 0:width].astype(np.float32)
    across, down = (x + 0.5) / width - centre[0], (y + 0.5) / rows - centre[1]
    radius = np.hypot(across * width / (0.5 * height * rows), down / height)
    return np.asarray(np.clip((1 - radius) * height * rows / 2 + 0.5, 0, 1), np.float32)


def frame_of(
    matte: Floats,
    number: int | None = 0,
    *,
    behind: Any = None,
    rate: int = 25,
    noise: np.random.Generator | None = None,
    kind: str = "yuv420p",
) -> Frame:
    """Draw a bright person over a room; without a number the frame has no time."""
    height, width = matte.shape
    luma = room((width, height)) if behind is None else behind
    luma = matte * BRIGHT + (1 - matte) * luma
    if noise is not None:
        luma = luma + noise.normal(0, 3, luma.shape)
    colour = Colour(1, 1) if kind != "gbrp" else Colour(0, 2)
    layout = Layout(width, height, kind, colour)  # type: ignore[arg-type]
    frame = Frame.filled(layout, (128, 128, 128))
    for plane in frame.planes[:1] if kind.startswith("yuv") else frame.planes:
        plane[...] = np.clip(np.rint(luma), 0, 255).astype(np.uint8)
    if number is None:
        return Frame(frame.planes, layout)
    return Frame(frame.planes, layout, number, Fraction(1, rate), 1)


def finder(
    shape: tuple[int, int] = (64, 64), seen: list[Frame] | None = None
) -> Callable[[Frame], Floats]:
    """Return a model that finds what is bright, whatever part it is shown."""

    def look(part: Frame) -> Floats:
        if seen is not None:
            seen.append(part)
        luma = cv2.resize(part.planes[0], shape[::-1], interpolation=cv2.INTER_AREA)
        return np.clip((luma.astype(np.float32) - 140) / 50, 0, 1)

    return look
