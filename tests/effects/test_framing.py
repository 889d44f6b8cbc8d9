"""Framing: what is cropped, and how calmly it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.effects.framing import (
    AWAY_S,
    HEADROOM,
    MAX_ACCELERATION_PER_S2,
    MAX_RETURN_SPEED_PER_S,
    MAX_SPEED_PER_S,
    MIN_CROP_SIZE,
    WHOLE,
    CropBox,
    Follow,
    crop,
    cropped,
    person_box,
    wanted,
)
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Person = tuple[float, float, float, float]

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
SIZE: Final = (160, 90)
RATE: Final = 30

people = st.tuples(
    st.floats(0.0, 0.7), st.floats(0.05, 0.6), st.floats(0.1, 0.3), st.floats(0.2, 0.9)
).map(lambda p: (p[0], p[1], min(p[0] + p[2], 1.0), min(p[1] + p[3], 1.0)))
boxes = st.builds(CropBox, st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 1)).map(CropBox.inside)


def matte_of(*persons: Person) -> Matte:
    """Return the matte of people who are rectangles."""
    values = np.zeros(SIZE[::-1], np.uint8)
    for left, top, right, bottom in persons:
        rows = slice(round(top * SIZE[1]), round(bottom * SIZE[1]))
        values[rows, round(left * SIZE[0]) : round(right * SIZE[0])] = 255
    return Matte(values)


def run(effect: Follow, mattes: Iterable[Matte], start_s: float = 0, rate: int = RATE) -> Plane:
    """Return the boxes of mattes that follow each other, as rows of x, y and size."""
    return np.array([effect.step(m, start_s + n / rate) for n, m in enumerate(mattes)])


def smooth(layout: Layout, rng: np.random.Generator) -> Frame:
    """Return a frame of smooth random samples."""
    frame = Frame.empty(layout)
    for plane in frame.planes:
        noise = cv2.GaussianBlur(rng.random(plane.shape).astype(np.float32), (0, 0), 3)
        plane[:] = np.rint(255 * (noise - noise.min()) / np.ptp(noise))
    return frame


SITTING: Final[Person] = (0.35, 0.3, 0.6, 1.0)
STANDING: Final[Person] = (0.6, 0.3, 0.75, 0.8)


class TestCrop:
    """The pure part: a piece of the picture over all of it."""

    @pytest.mark.parametrize(
        "box", [CropBox(0.5, 0.5, 0.5), CropBox(0.4, 0.61, 0.734), CropBox(0.3, 0.3, 0.6)]
    )
    @pytest.mark.parametrize("format_", FORMATS)
    def test_agrees_with_opencv(
        self, format_: Format, box: CropBox, rng: np.random.Generator
    ) -> None:
        """Every plane and the matte are what OpenCV's warp makes of the same place."""
        layout = Layout(*SIZE, format_, Colour(1, 1))
        frame, matte = smooth(layout, rng), matte_of(SITTING)
        result, result_matte = crop(frame, matte, box)
        assert result.layout == layout
        pairs = [
            *zip(result.planes, frame.planes, strict=True),
            (result_matte.values, matte.values),
        ]
        for index, (plane, source) in enumerate(pairs):
            height, width = source.shape
            start = box.left * width + 0.5 * box.size - 0.5, box.top * height + 0.5 * box.size - 0.5
            transform = np.array([[box.size, 0, start[0]], [0, box.size, start[1]]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            expected = cv2.warpAffine(
                source, transform, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
            # OpenCV knows 32 places between samples; a cubic bends more than a line.
            allowed = 9 if index < 3 else 5
            assert abs(plane.astype(int) - expected).max() <= allowed
            assert abs(plane.astype(int) - expected).mean() <= 0.7

    @pytest.mark.parametrize("format_", FORMATS)
    def test_a_slope_stays_a_slope(self, format_: Format) -> None:
        """Of a linear slope every sample is exactly what the slope is there: no half pixel off."""
        frame = Frame.empty(Layout(64, 48, format_, Colour(1, 1)))
        for plane in frame.planes:
            plane[:] = 2 * np.arange(plane.shape[1])[None] + np.arange(plane.shape[0])[:, None]
        box = CropBox(0.45, 0.6, 0.7)
        for plane in cropped(frame, box).planes:
            height, width = plane.shape
            x = box.left * width + (np.arange(width) + 0.5) * box.size - 0.5
            y = box.top * height + (np.arange(height) + 0.5) * box.size - 0.5
            expected = 2 * x[None] + y[:, None]
            inside = np.s_[2:-2, 2:-2]
            assert abs(plane[inside] - expected[inside]).max() <= 0.51

    @given(box=boxes, size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
    def test_any_size(self, box: CropBox, size: tuple[int, int]) -> None:
        """Frames of any size are cropped, and one colour stays one colour."""
        frame = Frame.filled(Layout(*size, "yuv420p", Colour(1, 1)), (30, 160, 90))
        matte = Matte(np.full(size[::-1], 77, np.uint8))
        result, result_matte = crop(frame, matte, box)
        for plane, source in zip(result.planes, frame.planes, strict=True):
            assert_array_equal(plane, source)
        assert_array_equal(result_matte.values, matte.values)

    def test_the_whole_picture_is_left_alone(self) -> None:
        """Without a crop frame and matte are the same objects."""
        frame = Frame.filled(Layout(*SIZE, "yuv420p"), (1, 2, 3))
        matte = matte_of(SITTING)
        assert crop(frame, matte, WHOLE) == (frame, matte)

    def test_person_and_matte_stay_together(self) -> None:
        """Where the matte is after cropping, the person is."""
        frame = Frame.filled(Layout(*SIZE, "yuv444p", Colour(1, 2)), (0, 0, 0))
        matte = matte_of(SITTING)
        frame.planes[0][:] = matte.values
        result, result_matte = crop(frame, matte, CropBox(0.47, 0.6, 0.61))
        difference = abs(result.planes[0].astype(int) - result_matte.values)
        assert (difference > 40).mean() < 0.01


class TestWanted:
    """Which part of the picture a person asks for."""

    @given(person=people)
    def test_is_inside_and_not_too_close(self, person: Person) -> None:
        """It never leaves the picture, and is never more than twice as large."""
        box = wanted(person)
        assert MIN_CROP_SIZE <= box.size <= 1
        assert box.left >= -1e-9
        assert box.top >= -1e-9
        assert box.left + box.size <= 1 + 1e-9
        assert box.top + box.size <= 1 + 1e-9

    @given(person=people)
    def test_shows_the_person(self, person: Person) -> None:
        """Head and shoulders are in it, and all of somebody whom the border does not cut."""
        left, top, right, bottom = person
        box = wanted(person)
        assert box.left <= left + 1e-9
        assert box.left + box.size >= right - 1e-9
        assert box.top <= top + 1e-9
        shown = bottom if bottom < 0.92 else top + 0.7 * (bottom - top)
        assert box.top + box.size >= shown - 1e-9

    def test_leaves_room_above_the_head(self) -> None:
        """Where there is room, an eighth of the result is above the head."""
        for person in (SITTING, STANDING):
            box = wanted(person)
            assert (person[1] - box.top) / box.size == pytest.approx(HEADROOM, abs=0.005)

    def test_puts_the_person_in_the_middle(self) -> None:
        """Where there is room, the person's middle is the result's."""
        box = wanted(STANDING)
        assert box.x == pytest.approx((STANDING[0] + STANDING[2]) / 2, abs=0.08)

    def test_finds_all_people(self) -> None:
        """The box of a matte goes around everybody in it."""
        values = matte_of((0.1, 0.4, 0.3, 1.0), (0.7, 0.3, 0.85, 1.0)).values
        assert person_box(values) == pytest.approx((0.1, 0.3, 0.85, 1.0), abs=0.01)

    def test_specks_are_nobody(self) -> None:
        """A speck is not taken for a person, nor a raised finger for their height."""
        assert person_box(matte_of((0.5, 0.5, 0.52, 0.52)).values) is None
        finger = matte_of(SITTING, (0.4, 0.1, 0.41, 0.3))
        assert person_box(finger.values) == pytest.approx(SITTING, abs=0.01)


class TestFollow:
    """How it moves."""

    def test_first_frame_is_framed_at_once(self) -> None:
        """The first frame is shown as it is wanted, without a move."""
        assert Follow().step(matte_of(SITTING), 0.0) == pytest.approx(
            tuple(wanted(SITTING)), abs=0.02
        )

    @settings(max_examples=20)
    @given(persons=st.lists(people, min_size=1, max_size=4), rate=st.sampled_from([10, 25, 60]))
    def test_is_calm(self, persons: list[Person], rate: int) -> None:
        """Whatever people do, it stays inside and keeps to its speed and acceleration."""
        effect = Follow()
        mattes = [m for m in map(matte_of, (SITTING, *persons)) for _ in range(2 * rate)]
        track = run(effect, mattes, rate=rate)
        assert (track[:, 2] >= MIN_CROP_SIZE - 1e-9).all()
        assert (track[:, 2] <= 1 + 1e-9).all()
        for axis in (0, 1):
            assert (track[:, axis] - track[:, 2] / 2 >= -1e-9).all()
            assert (track[:, axis] + track[:, 2] / 2 <= 1 + 1e-9).all()
        speed = np.diff(track, axis=0) * rate
        assert abs(speed).max() <= MAX_SPEED_PER_S + 1e-6
        # The border may hold the middle back; the size is the spring's alone.
        assert abs(np.diff(speed[:, 2]) * rate).max() <= MAX_ACCELERATION_PER_S2 + 1e-6

    @settings(max_examples=20)
    @given(person=people)
    def test_converges_without_swinging_over(self, person: Person) -> None:
        """It arrives where it is wanted within seconds, and never goes beyond."""
        effect = Follow()
        track = run(effect, [matte_of(SITTING)] * 3 + [matte_of(person)] * (7 * RATE))
        goal = np.array(Follow().step(matte_of(person), 0.0))
        assert abs(track[-1] - goal).max() <= 0.06
        beyond = np.sign(goal - track[0]) * (track - goal)
        assert beyond[:, 2].max() <= 0.005

    def test_same_at_any_rate(self) -> None:
        """Time is what counts, not frames."""
        ends = []
        for rate in (10, 60):
            mattes = [matte_of(SITTING)] + [matte_of(STANDING)] * (2 * rate)
            ends.append(run(Follow(), mattes, rate=rate)[-1])
        assert ends[0] == pytest.approx(ends[1], abs=0.02)

    def test_rests_while_the_person_sways(self) -> None:
        """A person who sways a little does not move it at all."""
        left, top, right, bottom = SITTING
        mattes = []
        for number in range(6 * RATE):
            sway = 0.02 * np.sin(2 * np.pi * number / RATE / 2)
            mattes.append(matte_of((left + sway, top + sway / 2, right + sway, bottom)))
        track = run(Follow(), mattes)
        assert np.ptp(track, axis=0).max() == 0

    def test_short_gestures_do_not_move_it(self) -> None:
        """Arms that are spread for a moment are not followed."""
        wide = matte_of(SITTING, (0.1, 0.5, 0.9, 0.6))
        mattes = [matte_of(SITTING)] * 10 + [wide] * 9 + [matte_of(SITTING)] * 10
        assert np.ptp(run(Follow(), mattes), axis=0).max() == 0

    def test_waits_when_nobody_is_there(self) -> None:
        """It holds still for a while, then goes back slowly to the whole picture."""
        effect = Follow()
        run(effect, [matte_of(SITTING)] * RATE)
        track = run(effect, [matte_of()] * (15 * RATE), start_s=1.0)
        still = int(RATE * (AWAY_S - 0.5))
        assert np.ptp(track[:still], axis=0).max() == 0
        assert abs(np.diff(track, axis=0)).max() * RATE <= MAX_RETURN_SPEED_PER_S + 1e-6
        assert track[-1] == pytest.approx(WHOLE, abs=0.01)

    def test_comes_back_for_the_person(self) -> None:
        """Somebody who returns is framed again."""
        effect = Follow()
        run(effect, [matte_of(SITTING)] * RATE)
        run(effect, [matte_of()] * (6 * RATE), start_s=1.0)
        track = run(effect, [matte_of(SITTING)] * (8 * RATE), start_s=7.0)
        assert track[-1] == pytest.approx(tuple(wanted(SITTING)), abs=0.06)

    def test_who_leaves_in_a_move_stops_it_gently(self) -> None:
        """When the person vanishes while it moves, it slows down and does not turn back."""
        effect = Follow()
        moving = run(effect, [matte_of(SITTING)] + [matte_of(STANDING)] * RATE)
        track = run(effect, [matte_of()] * (2 * RATE), start_s=1.05)
        direction = np.sign(moving[-1] - moving[-2])
        assert (direction * np.diff(track, axis=0) >= -1e-6).all()
        assert abs(np.diff(track[-5:], axis=0)).max() < 1e-3

    def test_reset_forgets(self) -> None:
        """After a reset the next frame is framed at once."""
        effect = Follow()
        run(effect, [matte_of(SITTING)] * RATE)
        effect.reset()
        assert effect.step(matte_of(STANDING), 1.0) == pytest.approx(
            tuple(wanted(STANDING)), abs=0.02
        )

    def test_frames_without_a_time_and_gaps(self) -> None:
        """Frames without a time count as a thirtieth; a long gap does not make it jump."""
        effect = Follow()
        effect.step(matte_of(SITTING), None)
        for _ in range(8 * RATE):
            box = effect.step(matte_of(STANDING), None)
        assert box == pytest.approx(tuple(wanted(STANDING)), abs=0.06)
        effect.step(matte_of(STANDING), 10.0)
        jumped = effect.step(matte_of(SITTING), 3600.0)
        assert abs(np.subtract(jumped, box)).max() <= MAX_SPEED_PER_S * 1.0 + 1e-6
