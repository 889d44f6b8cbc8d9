"""Plausibility: what cannot be people is not believed, and people are."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from greenroom.errors import ImplausibleMatteError
from greenroom.matting import Plausibility
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

SIZE = (640, 360)
LAYOUT = Layout(*SIZE, "yuv420p", Colour(1, 1))
SHAPE = SIZE[::-1]


def patches(seed: int, shape: tuple[int, int] = SHAPE, side: int = 24) -> Bytes:
    """Draw patches of random brightness."""
    rows, columns = -(-shape[0] // side), -(-shape[1] // side)
    small = np.random.default_rng(seed).integers(40, 220, (rows, columns), np.uint8)
    return np.ascontiguousarray(
        np.kron(small, np.ones((side, side), np.uint8))[: shape[0], : shape[1]]
    )


ROOM = patches(1)
CLOTHES = patches(2, side=16)
CHAIR = np.zeros(SHAPE, np.bool_)
CHAIR[60:220, 40:200] = True


def body(left: int = 250, width: int = 160) -> NDArray[np.bool_]:
    """Return where somebody is."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[100:, max(0, left) : max(0, left + width)] = True
    return mask


def frame_of(mask: NDArray[np.bool_], number: int, noise: float = 3) -> Frame:
    """Return a frame of somebody in front of the room."""
    luma = np.where(mask, np.roll(CLOTHES, int(mask.any(axis=0).argmax()), axis=1), ROOM)
    luma = luma + np.random.default_rng(number).normal(0, noise, SHAPE)
    chroma = np.full((SHAPE[0] // 2, SHAPE[1] // 2), 128, np.uint8)
    planes = np.clip(luma, 0, 255).astype(np.uint8), chroma, chroma
    return Frame(planes, LAYOUT, number, Fraction(1, 25))


def matte_of(mask: NDArray[np.bool_]) -> Matte:
    """Return the matte of somebody, hard as it is."""
    return Matte(255 * mask.astype(np.uint8))


def seated(frames: int = 12) -> Plausibility:
    """Return one that has seen somebody who sits."""
    plausibility = Plausibility()
    for number in range(frames):
        plausibility.believed(frame_of(body(), number), matte_of(body()), None)
    return plausibility


class TestAnswers:
    """What the model itself answers."""

    @pytest.mark.parametrize("value", [0.3, 0.5, 0.7])
    def test_one_that_wavers(self, value: float) -> None:
        """Coverage that is neither one nor the other nearly everywhere is nobody's."""
        with pytest.raises(ImplausibleMatteError, match="wavers in 100 %"):
            Plausibility().check(np.full((144, 256), value, np.float32), is_whole=False)

    @pytest.mark.parametrize("side", [1, 2, 5, 8])
    def test_a_checkerboard(self, side: int) -> None:
        """People are not in a hundred places, whatever the pattern's period."""
        rows, columns = np.indices((144, 256)) // side
        with pytest.raises(ImplausibleMatteError, match="scattered"):
            Plausibility().check(((rows + columns) % 2).astype(np.float32), is_whole=True)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 100), (7, 9)])
    def test_a_few_samples(self, shape: tuple[int, int]) -> None:
        """Nothing can be told of people in so few."""
        with pytest.raises(ImplausibleMatteError, match=f"{shape[1]}x{shape[0]} samples"):
            Plausibility().check(np.zeros(shape, np.float32), is_whole=True)

    def test_everywhere(self) -> None:
        """Somebody may fill a part, or the frame after they nearly did, but not begin with it."""
        ones = np.ones((144, 256), np.float32)
        with pytest.raises(ImplausibleMatteError, match="everywhere"):
            Plausibility().check(ones, is_whole=True)
        plausibility = Plausibility()
        plausibility.check(ones, is_whole=False)
        wide = body(40, 600)
        wide[20:, 40:] = True
        plausibility.believed(frame_of(wide, 0), matte_of(wide), None)
        plausibility.check(ones, is_whole=True)


class TestMattes:
    """What became of it."""

    def test_people_are_believed(self) -> None:
        """Somebody who comes in, moves and leaves keeps their matte, the very same."""
        plausibility = Plausibility()
        for number, left in enumerate([*[-200] * 12, *range(-150, 480, 15), *[480] * 9, 700, 700]):
            mask = body(left)
            matte = matte_of(mask)
            assert plausibility.believed(frame_of(mask, number), matte, None) is matte

    def test_somebody_comes_near(self) -> None:
        """One who grows until they fill the picture is believed."""
        plausibility = seated()
        for number, grown in enumerate(range(0, 321, 20), 12):
            mask = np.zeros(SHAPE, np.bool_)
            mask[max(0, 100 - grown) :, max(0, 250 - grown) : 410 + grown] = True
            matte = matte_of(mask)
            assert plausibility.believed(frame_of(mask, number), matte, None) is matte
        assert mask.all()

    def test_a_thing_of_the_room(self) -> None:
        """What looks as it did without anybody is taken away, and the person stays."""
        plausibility, mask = seated(), body()
        for number in range(12, 40):
            values = plausibility.believed(
                frame_of(mask, number), matte_of(mask | CHAIR), None
            ).values
            assert not values[CHAIR].any()
            inner = cv2.erode(mask.astype(np.uint8), np.ones((49, 49), np.uint8)) > 0
            assert (values[inner] == 255).all()

    def test_what_is_kept(self) -> None:
        """What the user wants to stay of the room is not touched."""
        plausibility, mask = seated(), body()
        matte = matte_of(mask | CHAIR)
        kept = CHAIR.astype(np.float32)[::4, ::4].copy()
        assert plausibility.believed(frame_of(mask, 12), matte, kept) is matte

    def test_everything_at_once(self) -> None:
        """A matte that is mostly room shows nothing at all, for as long as it lasts."""
        plausibility = seated()
        everything = np.ones(SHAPE, np.bool_)
        for number in range(12, 80):
            frame = frame_of(body(), number)
            assert not plausibility.believed(frame, matte_of(everything), None).values.any()
        matte = matte_of(body())
        assert plausibility.believed(frame_of(body(), 80), matte, None) is matte

    def test_it_grows_over_a_still_room(self) -> None:
        """However slowly a matte grows over what does not change, the room is not shown."""
        plausibility, mask = seated(), body()
        for number in range(12, 62):
            reach = 4 * (number - 11)
            grown = cv2.dilate(mask.astype(np.uint8), np.ones((1, 2 * reach + 1), np.uint8)) > 0
            values = plausibility.believed(frame_of(mask, number), matte_of(grown), None).values
            assert np.mean((values > 0) & ~mask) < 0.035

    def test_somebody_whom_the_model_lost(self) -> None:
        """One who sits still, is missed for a second and found again is shown at once."""
        plausibility, mask = seated(), body()
        nobody = np.zeros(SHAPE, np.bool_)
        for number in range(12, 37):
            plausibility.believed(frame_of(mask, number), matte_of(nobody), None)
        matte = matte_of(mask)
        assert plausibility.believed(frame_of(mask, 37), matte, None) is matte

    def test_another_light(self) -> None:
        """When the light changes at once, people stay."""
        plausibility, mask = seated(), body()
        for number in range(12, 40):
            frame = frame_of(mask, number)
            brighter = np.minimum(frame.planes[0], 225) + np.uint8(30)
            frame = Frame((brighter, *frame.planes[1:]), LAYOUT, number, Fraction(1, 25))
            matte = matte_of(mask)
            assert plausibility.believed(frame, matte, None) is matte

    def test_around_the_middle(self) -> None:
        """Everything but the person is not a person."""
        matte = Plausibility().believed(frame_of(body(), 0), matte_of(~body()), None)
        assert not matte.values.any()


class TestRefused:
    """What follows."""

    def test_for_two_seconds(self) -> None:
        """It is nobody's at first, and an error when it lasts."""
        plausibility = Plausibility()
        everything = matte_of(np.ones(SHAPE, np.bool_))
        for number in range(50):
            frame = frame_of(body(), number)
            assert not plausibility.believed(frame, everything, None).values.any()
        with pytest.raises(ImplausibleMatteError, match=r"not believable.*camera is covered"):
            plausibility.believed(frame_of(body(), 50), everything, None)
        plausibility.believed(frame_of(body(), 51), matte_of(body()), None)
        plausibility.reset()
        assert not plausibility.believed(frame_of(body(), 52), everything, None).values.any()

    def test_a_photograph(self) -> None:
        """A picture without a time is an error at once."""
        frame = Frame(frame_of(body(), 0).planes, LAYOUT)
        with pytest.raises(ImplausibleMatteError, match="everywhere"):
            Plausibility().believed(frame, matte_of(np.ones(SHAPE, np.bool_)), None)
