"""Only me: who the main person is, and who does not appear beside them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from grids import somebody
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.matting.people import PeopleFilter
from greenroom.matting.people_kernels import AREA, is_clear
from greenroom.matting.people_parts import dilated, in_cells, parts_of, scores
from greenroom.media.frame import Frame
from greenroom.settings import People

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Place = Callable[[float], tuple[float, float]]

SIZE = (320, 180)
RATE = 25
ROOM, SKIN, RED, BLUE = (90, 110, 90), (220, 180, 150), (170, 30, 40), (30, 60, 170)


@dataclass(frozen=True)
class Body:
    """A person: a head on a body, both ellipses, in shares of the frame's height."""

    x: float
    top: float
    width: float
    colour: tuple[int, int, int]

    def mask(self) -> NDArray[np.bool_]:
        """Return where they are."""
        y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
        u, v = (x + 0.5) / SIZE[1] - self.x, (y + 0.5) / SIZE[1] - self.top
        head = (u / (0.35 * self.width)) ** 2 + ((v - 0.17) / 0.17) ** 2 < 1
        trunk = (u / (0.6 * self.width)) ** 2 + ((v - 0.75) / 0.45) ** 2 < 1
        return np.asarray(head | trunk)


SITTER = Body(0.89, 0.3, 0.5, SKIN)


def walker(x: float) -> Body:
    """Return somebody farther away, at a place of the frame, in heights from the left."""
    return Body(x, 0.2, 0.22, RED)


def shot(bodies: list[Body | NDArray[np.bool_]], number: int) -> tuple[Floats, Frame]:
    """Draw people, the last in front, and what a model finds of them."""
    rgb = np.full((SIZE[1], SIZE[0], 3), ROOM, np.uint8)
    found = np.zeros((SIZE[1], SIZE[0]), np.float32)
    for body in bodies:
        mask = body.mask() if isinstance(body, Body) else body
        rgb[mask] = body.colour if isinstance(body, Body) else SKIN
        found[mask] = 1
    alpha = np.asarray(cv2.GaussianBlur(found, (0, 0), 1), np.float32)
    noise = np.random.default_rng(number).normal(0, 1.5, rgb.shape)
    frame = Frame.from_rgb(np.clip(rgb + noise, 0, 255).astype(np.uint8))
    return alpha, frame.shown_at(number, Fraction(1, RATE))


class Watched:
    """A filter with a clock, which says how much of each person is kept."""

    def __init__(self, people: People = People.MAIN) -> None:
        self.filter = PeopleFilter(people)
        self.number = 0

    def see(self, *bodies: Body | NDArray[np.bool_]) -> Floats:
        """Show people, the last in front; return what is kept of their matte."""
        alpha, frame = shot(list(bodies), self.number)
        self.number += 1
        weights = self.filter.weights(alpha, frame)
        if weights is None:
            return alpha
        assert weights.dtype == np.float32
        assert weights.shape == alpha.shape
        assert weights.min() >= 0
        assert weights.max() <= 1
        return np.asarray(alpha * weights, np.float32)


def kept(matte: Floats, mask: NDArray[np.bool_]) -> float:
    """Return the share of some samples that is kept."""
    return float((matte[mask] > 0.5).mean()) if mask.any() else 0.0


def inside(body: Body) -> NDArray[np.bool_]:
    """Return where somebody is, less the edge."""
    return np.asarray(cv2.erode(body.mask().astype(np.uint8), np.ones((7, 7))), np.bool_)


def visible(body: Body, front: Body) -> NDArray[np.bool_]:
    """Return where somebody is seen who is partly behind someone else, less the edges."""
    grown = cv2.dilate(front.mask().astype(np.uint8), np.ones((9, 9)))
    return np.asarray(inside(body) & (grown == 0))


class TestChoice:
    """Who the main person is at the start."""

    def test_is_the_one_in_front(self) -> None:
        """Who is large, in the middle and reaches far down; nobody else appears."""
        watched = Watched()
        matte = watched.see(walker(0.2), SITTER)
        assert kept(matte, inside(SITTER)) == 1
        assert kept(matte, walker(0.2).mask()) == 0

    @given(
        st.lists(st.tuples(st.floats(0, 1.7), st.floats(0, 0.7), st.floats(0.1, 0.6)), max_size=4)
    )
    def test_mirrors(self, bodies: list[tuple[float, float, float]]) -> None:
        """The mirrored scene has the mirrored choice."""
        alpha, frame = shot([Body(*body, RED) for body in bodies], 0)
        cells = in_cells(alpha)
        _, parts = parts_of(cells, np.zeros(cells.shape, np.uint8))
        best = np.sort(scores(parts, cells.shape))
        assume(len(best) < 3 or best[-1] > 1.01 * best[-2])  # of two who are equal it may be either
        weights = PeopleFilter(People.MAIN).weights(alpha, frame)
        mirrored = np.ascontiguousarray(alpha[:, ::-1])
        other = PeopleFilter(People.MAIN).weights(mirrored, frame)
        first = alpha if weights is None else alpha * weights
        second = mirrored if other is None else mirrored * other
        assert np.abs(first - second[:, ::-1]).max() < 1e-5

    def test_nobody(self) -> None:
        """In an empty frame all of nothing stays."""
        assert Watched().see().max() == 0

    @pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 2), (33, 31)])
    def test_any_size(self, shape: tuple[int, int]) -> None:
        """Odd and tiny mattes have weights of their own size."""
        frame = Frame.from_rgb(np.zeros((*shape, 3), np.uint8))
        for people in People:
            weights = PeopleFilter(people).weights(np.ones(shape, np.float32), frame)
            assert weights is None or weights.shape == shape


class TestPasserBy:
    """Somebody else comes in."""

    @pytest.mark.parametrize("way", [1, -1])
    def test_walks_behind_and_does_not_appear(self, way: int) -> None:
        """Neither before, nor while they touch the main person, nor after."""
        watched = Watched()
        for _ in range(15):
            watched.see(SITTER)
        leaks, losses, seen = 0.0, [], 0.0
        for number in range(80):
            x = -0.2 + 0.028 * number
            body = walker(x if way == 1 else 16 / 9 - x)
            matte = watched.see(body, SITTER)
            part = visible(body, SITTER)
            seen += part.sum()
            leaks += (matte[part] > 0.5).sum()
            losses.append(1 - kept(matte, inside(SITTER)))
        assert leaks / seen < 0.01
        assert max(losses) < 0.02
        assert kept(watched.see(SITTER), inside(SITTER)) == 1

    def test_stays_and_does_not_appear(self) -> None:
        """However long, and also when they touch."""
        watched = Watched()
        for _ in range(15):
            watched.see(SITTER)
        for number in range(200):
            body = walker(max(1.35, 1.9 - 0.02 * number))
            matte = watched.see(body, SITTER)
            assert kept(matte, visible(body, SITTER)) < 0.02
            assert kept(matte, inside(SITTER)) > 0.98

    def test_larger_one_does_not_take_over(self) -> None:
        """Not even who is much larger and nearer, for a while."""
        watched = Watched()
        small = Body(0.5, 0.5, 0.3, SKIN)
        for _ in range(15):
            watched.see(small)
        for number in range(40):
            large = Body(2.0 - 0.015 * number, 0.05, 0.6, BLUE)
            matte = watched.see(large, small)
            assert kept(matte, large.mask()) < 0.02
            assert kept(matte, inside(small)) == 1

    def test_main_person_who_moves_is_followed(self) -> None:
        """They sway in front of someone who stands behind their shoulder."""
        watched = Watched()
        for number in range(100):
            front = Body(0.89 + 0.15 * np.sin(number / 8), 0.3, 0.5, SKIN)
            behind = walker(max(1.3, 2.0 - 0.02 * number))
            matte = watched.see(behind, front)
            assert kept(matte, inside(front)) > 0.93
            assert kept(matte, visible(behind, front)) < 0.08

    def test_comes_out_from_behind_at_once(self) -> None:
        """Who is found only when they touch the main person does not appear either."""
        watched = Watched()
        for _ in range(30):
            watched.see(SITTER)
        body = walker(1.25)
        for _ in range(20):
            matte = watched.see(body, SITTER)
            assert kept(matte, visible(body, SITTER)) < 0.3
            assert kept(matte, inside(SITTER)) > 0.98


class TestAbsence:
    """The main person leaves."""

    def test_comes_back(self) -> None:
        """Who comes back within two seconds, to where they left, is taken again."""
        watched = Watched()
        for _ in range(20):
            watched.see(walker(0.2), SITTER)
        for number in range(20):
            watched.see(walker(0.2), Body(0.89 + 0.08 * number, 0.3, 0.5, SKIN))
        for _ in range(20):
            assert watched.see(walker(0.2)).max() < 0.5
        for number in range(20):
            front = Body(2.4 - 0.08 * number, 0.3, 0.5, SKIN)
            matte = watched.see(walker(0.2), front)
        assert kept(matte, inside(front)) == 1
        assert kept(matte, walker(0.2).mask()) == 0

    def test_is_succeeded_after_a_while(self) -> None:
        """After two seconds without them the next best is the main person."""
        watched = Watched()
        for _ in range(20):
            watched.see(walker(0.3), SITTER)
        for _ in range(2 * RATE):
            assert watched.see(walker(0.3)).max() < 0.5
        for _ in range(5):
            matte = watched.see(walker(0.3))
        assert kept(matte, inside(walker(0.3))) == 1

    def test_reset_chooses_anew(self) -> None:
        """After a reset, as after a cut, it is the best one of that frame."""
        watched = Watched()
        for _ in range(10):
            watched.see(SITTER)
        watched.filter.reset()
        other = Body(0.3, 0.3, 0.5, BLUE)
        assert kept(watched.see(other), inside(other)) == 1


class TestAnything:
    """Whatever is found."""

    @given(
        st.lists(
            st.lists(
                st.tuples(st.floats(-0.2, 2), st.floats(0, 0.8), st.floats(0.05, 0.9)), max_size=3
            ),
            max_size=12,
        )
    )
    def test_matte_is_only_ever_lowered(
        self, scenes: list[list[tuple[float, float, float]]]
    ) -> None:
        """People who appear, jump and vanish: weights stay within 0 and 1, inputs as they are."""
        people = PeopleFilter(People.MAIN)
        for number, bodies in enumerate(scenes):
            alpha, frame = shot([Body(*body, RED) for body in bodies], number)
            before = alpha.copy()
            weights = people.weights(alpha, frame)
            assert_array_equal(alpha, before)
            if weights is not None:
                assert weights.shape == alpha.shape
                assert weights.min() >= 0
                assert weights.max() <= 1
                assert not np.shares_memory(weights, alpha)


class TestParts:
    """What belongs to the main person besides their body."""

    def test_cup_that_is_lifted_stays(self) -> None:
        """What grows out of the body from frame to frame is part of it."""
        watched = Watched()
        for number in range(60):
            arm = np.zeros((SIZE[1], SIZE[0]), np.bool_)
            height = min(90, 3 * max(0, number - 15))
            arm[150 - height : 170, 190:240] = True
            matte = watched.see(SITTER, arm)
        assert kept(matte, arm) > 0.95

    def test_hand_from_below_stays(self) -> None:
        """A hand that comes from the bottom edge beside the body is theirs."""
        watched = Watched()
        hand = np.zeros((SIZE[1], SIZE[0]), np.bool_)
        for number in range(40):
            hand[:] = False
            hand[180 - 2 * max(0, number - 20) :, 240:256] = True
            matte = watched.see(SITTER, hand)
        assert kept(matte, hand) > 0.9

    def test_holes_stay_holes(self) -> None:
        """What is seen between arm and body is never filled."""
        alpha, frame = shot([SITTER], 0)
        alpha[140:150, 150:160] = 0
        weights = PeopleFilter(People.MAIN).weights(alpha, frame)
        assert weights is None

    def test_haze_away_from_the_main_person_goes(self) -> None:
        """What is half there and not at somebody's edge is not shown."""
        alpha, frame = shot([SITTER], 0)
        alpha[20:60, 20:60] = 0.3
        weights = PeopleFilter(People.MAIN).weights(alpha, frame)
        assert weights is not None
        assert (alpha * weights)[20:60, 20:60].max() == 0


class TestSpecks:
    """What is too small to be somebody."""

    @pytest.mark.parametrize("people", list(People))
    def test_go(self, people: People) -> None:
        """A speck vanishes whoever stays; all others stay as they are with ``all``."""
        watched = Watched(people)
        speck = np.zeros((SIZE[1], SIZE[0]), np.bool_)
        speck[20:24, 20:24] = True
        matte = watched.see(walker(0.3), SITTER, speck)
        assert matte[speck].max() < 0.05
        assert kept(matte, inside(walker(0.3))) == (people is People.ALL)

    def test_all_is_all(self) -> None:
        """Without specks there is nothing to do, and nothing is made."""
        alpha, frame = shot([walker(0.3), SITTER], 0)
        before = alpha.copy()
        assert PeopleFilter(People.ALL).weights(alpha, frame) is None
        assert_array_equal(alpha, before)


def test_frames_without_a_time() -> None:
    """Frames that do not say when they are shown are taken for 25 a second."""
    people = PeopleFilter(People.MAIN)
    results: list[Any] = []
    for number in range(60):
        alpha, frame = shot([walker(0.3)] if number else [walker(0.3), SITTER], 0)
        results.append(people.weights(alpha, Frame(frame.planes, frame.layout)))
    assert results[40] is not None
    assert results[40].max() == 0
    assert results[-1] is None or results[-1].max() == 1


@settings(deadline=None, max_examples=300)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 60)),
    st.sampled_from(["some", "nobody", "everybody", "noise", "two"]),
    st.integers(0, 20),
    st.floats(0, 60),
    st.integers(0, 2**31),
)
def test_is_clear(shape: tuple[int, int], kind: str, reach: int, speck: float, seed: int) -> None:
    """Somebody is there and all haze is near them: as labels and a window have it."""
    cells = somebody(shape, seed, "some" if kind == "two" else kind)
    if kind == "two":
        cells = np.maximum(cells, somebody(shape, seed + 1))
    labels, parts = parts_of(cells, np.zeros(shape, np.uint8))
    people = (labels > 0) & (parts[:, AREA] >= speck).take(labels)
    near = dilated(np.ascontiguousarray(people[::2, ::2]), reach)
    far = (cells[::2, ::2] > 0.05) & ~near.reshape(cells[::2, ::2].shape)
    assert is_clear(cells, 0.5, speck, 0.05, reach) == bool(people.any() and not far.any())
