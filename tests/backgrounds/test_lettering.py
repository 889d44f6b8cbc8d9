"""What is written on the wall cannot be read through an effect, whoever tries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import pytest
from attackers import (
    CHANCE,
    Nobody,
    lettered_wall,
    read_by_deconvolution,
    read_by_training,
    seen_through,
)

from greenroom import VirtualBackground
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A twelfth of the frame's height, as 60 pixels are of 720: at half the size it is quicker.
SIZE: Final = (640, 360)
HEIGHT_PX: Final = 30
# The kernels of the effects, as shares of the frame's shorter side: deviation, and block.
KERNELS: Final = {
    "blur": (0.075, 0.0),
    "blur:0.4": (0.06, 0.0),
    "pixelate": (0.075, 0.1),
    "pixelate:0.4": (0.06, 0.08),
}
# At most so many letters may be right: a quarter of them are no text.
READABLE: Final = 0.25


def test_the_attackers_can_read(rng: np.random.Generator) -> None:
    """A plain blur of a fortieth of the height, looks as it may, is read by both."""
    walls = [lettered_wall(HEIGHT_PX, rng, SIZE) for _ in range(8)]
    shown = [seen_through("9", wall, rng, frames=8) for wall in walls]
    assert read_by_deconvolution(shown[0], walls[0], 9.0) > 0.8
    assert read_by_training(shown, walls, 9.0) > 0.9


@pytest.mark.parametrize("move_px", [0, 24])
@pytest.mark.parametrize("spec", KERNELS)
def test_letters_cannot_be_brought_back(spec: str, move_px: int, rng: np.random.Generator) -> None:
    """The kernel undone, over many frames, of a still camera or one whose movement is known."""
    wall = lettered_wall(HEIGHT_PX, rng, SIZE)
    shown = seen_through(spec, wall, rng, frames=40, move_px=move_px)
    sigma, block = (share * SIZE[1] for share in KERNELS[spec])
    assert CHANCE / 3 < read_by_deconvolution(shown, wall, sigma, block) < READABLE


@pytest.mark.parametrize("spec", ["blur", "pixelate"])
def test_letters_cannot_be_learned(spec: str, rng: np.random.Generator) -> None:
    """Whoever has seen hundreds of letters through the default reads few of the next."""
    walls = [lettered_wall(HEIGHT_PX, rng, SIZE) for _ in range(12)]
    shown = [seen_through(spec, wall, rng, frames=3) for wall in walls]
    assert read_by_training(shown, walls, KERNELS[spec][0] * SIZE[1]) < 0.3


class Crossing(Nobody):
    """Finds the person where the test has put them."""

    makes_mattes = True

    def __init__(self) -> None:
        self.coverage = np.zeros(SIZE[::-1], np.float32)

    def segment(self, frame: Frame) -> NDArray[np.float32]:  # noqa: ARG002 - it knows
        """See `Segmenter.segment`."""
        return self.coverage


def test_a_person_who_crosses_reveals_no_more(rng: np.random.Generator) -> None:
    """Of the means of all that is seen beside somebody who walks by, few letters are learned."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    layout = Layout(*SIZE, "yuv420p", Colour(1, 1))
    walls = [lettered_wall(HEIGHT_PX, rng, SIZE) for _ in range(10)]
    person, shown = Crossing(), []
    for wall in walls:
        total, count = np.zeros(SIZE[::-1], np.float32), np.full(SIZE[::-1], 1e-3, np.float32)
        with VirtualBackground(background="blur", quality="fast", segmenter=person) as engine:
            for middle in range(0, SIZE[0], 40):
                distance = np.hypot((columns - middle) / 80, (rows - 230) / 180)
                person.coverage = np.clip((1 - distance) * 30, 0, 1).astype(np.float32)
                frame = Frame.filled(layout, (120, 120, 120))
                seen = person.coverage * 110 + (1 - person.coverage) * wall.luma
                frame.planes[0][:] = np.clip(seen + rng.normal(0, 4, seen.shape), 0, 255)
                beside = person.coverage == 0
                total += beside * engine.process(frame).planes[0]
                count += beside
        shown.append(np.asarray(total / count, np.float32))
    assert read_by_training(shown, walls, KERNELS["blur"][0] * SIZE[1]) < 0.3


@pytest.mark.parametrize("spec", ["blur", "blur:1", "pixelate", "pixelate:0.4"])
def test_every_size_is_hidden_alike(spec: str, portrait: NDArray[np.uint8]) -> None:
    """The effect is relative to the frame's shorter side: a room looks the same at every size."""
    looks = []
    for size in ((1920, 1080), (1280, 720), (640, 360), (361, 203), (128, 72)):
        picture = np.asarray(cv2.resize(portrait, size, interpolation=cv2.INTER_AREA), np.uint8)
        with VirtualBackground(background=spec, quality="fast", segmenter=Nobody()) as engine:
            shown = engine.process(Frame.from_rgb(picture)).to_rgb()
        looks.append(cv2.resize(shown, (96, 54), interpolation=cv2.INTER_AREA).astype(int))
    for look in looks[1:]:
        # Where blocks meet, a pixel of a small frame is of one or the other.
        assert np.abs(look - looks[0]).mean() <= 2.5
