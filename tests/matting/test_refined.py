"""The matting chain: what it promises of whole streams, on drawn people."""

from __future__ import annotations

import gc
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from people_drawn import SIZE, finder, frame_of, person, room

from greenroom.errors import SettingsError
from greenroom.evaluation import metrics
from greenroom.matting import RefinedMatting, Steps, UpsampledMatting, create_matting
from greenroom.media.layout import Format
from greenroom.settings import Quality, Settings
from greenroom.testing import PersonSegmenter

if TYPE_CHECKING:
    from greenroom.media.frame import Frame

# Where a person stands, and how far they go from frame to frame, as shares of the frame.
CENTRES = st.tuples(st.floats(0.25, 0.7), st.floats(0.45, 0.65))
STEPS = st.floats(-0.01, 0.01)


def refined(**values: Any) -> RefinedMatting:
    """Return a new matting."""
    return RefinedMatting(Settings(**values))


def _answered(answer: Any, _: Frame) -> Any:
    return answer


def noisy_finder(sigma: float) -> Any:
    """Return a model that wavers at the edge."""
    rng, look = np.random.default_rng(2), finder()

    def wavering(part: Any) -> Any:
        found = look(part)
        edge = cv2.dilate(found, np.ones((5, 5))) - cv2.erode(found, np.ones((5, 5)))
        return np.clip(found + edge * rng.normal(0, sigma, found.shape), 0, 1).astype(np.float32)

    return wavering


class TestStream:
    """What is promised over time."""

    @settings(max_examples=6, deadline=None)
    @given(CENTRES)
    def test_a_still_picture_settles(self, centre: tuple[float, float]) -> None:
        """The same frame again and again gives the same matte in the end."""
        matting, matte = refined(), person(centre=centre)
        mattes = [matting.matte(frame_of(matte, number), finder()).values for number in range(60)]
        assert_array_equal(mattes[-1], mattes[-2])
        assert_array_equal(mattes[-1], mattes[-3])
        assert metrics.iou(mattes[-1], matte) > 0.97

    def test_a_still_person_does_not_flicker(self) -> None:
        """With sensor noise and a wavering model, the matte varies by a fifth of its answers."""
        matte, rng, look = person(), np.random.default_rng(1), noisy_finder(0.15)
        matting, answers, mattes = refined(), [], []
        for number in range(80):
            frame = frame_of(matte, number, noise=rng)
            answers.append(cv2.resize(look(frame), SIZE))
            mattes.append(matting.matte(frame, look).values / 255)
        band = (np.mean(answers, axis=0) > 0.02) & (np.mean(answers, axis=0) < 0.98)
        raw, ours = (np.std(one[40:], axis=0)[band].mean() for one in (answers, mattes))
        assert ours <= raw / 5

    def test_movement_is_followed_at_once(self) -> None:
        """The matte of somebody who moves fast is not behind them."""
        matting = refined()
        for number in range(12):
            matte = person(centre=(0.3 + 0.03 * number, 0.6))
            found = matting.matte(frame_of(matte, number), finder()).values
        assert metrics.iou(found, matte) > 0.95

    @settings(max_examples=8, deadline=None)
    @given(CENTRES, CENTRES, st.integers(1, 10))
    def test_a_cut_leaves_no_ghost(
        self, before: tuple[float, float], after: tuple[float, float], frames: int
    ) -> None:
        """After a cut the matte is what it would be without anything before."""
        matting = refined()
        for number in range(frames):
            matting.matte(frame_of(person(centre=before), number), finder())
        matte, behind = person(centre=after), 235 - room(seed=9)
        frame = frame_of(1 - matte, 10, behind=255 - behind)
        assert_array_equal(
            matting.matte(frame, finder()).values, refined().matte(frame, finder()).values
        )

    def test_reset_forgets_everything(self) -> None:
        """What follows is as of a new one."""
        matting = refined()
        for number in range(10):
            matting.matte(frame_of(person(centre=(0.3, 0.5)), number), finder())
        matting.reset()
        frame = frame_of(person(), 11)
        assert_array_equal(
            matting.matte(frame, finder()).values, refined().matte(frame, finder()).values
        )

    def test_another_size_begins_anew(self) -> None:
        """A change of size needs no reset."""
        matting = refined()
        matting.matte(frame_of(person(), 0), finder())
        small = frame_of(person((322, 181)), 1)
        assert_array_equal(
            matting.matte(small, finder()).values, refined().matte(small, finder()).values
        )

    def test_mattes_share_no_memory(self) -> None:
        """A matte can be kept: those that follow do not change it."""
        matting = refined()
        first = matting.matte(frame_of(person(), 0), finder()).values
        kept = first.copy()
        for number in range(1, 4):
            matting.matte(frame_of(person(centre=(0.2, 0.5)), number), finder())
        assert_array_equal(first, kept)

    def test_memory_is_flat(self) -> None:
        """A thousand frames take no more memory than fifty."""
        matting, look = refined(), finder()
        frames = [frame_of(person((160, 90), (0.4 + 0.02 * n, 0.5)), n) for n in range(10)]
        sizes = []
        tracemalloc.start()
        for number in range(300):
            matting.matte(frames[number % 10], look)
            if number in {50, 299}:
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert sizes[1] < sizes[0] + 40_000  # one small grid a frame would be 900_000


class TestGeometry:
    """Sizes, formats, scaling and mirroring."""

    @settings(max_examples=40, deadline=None)
    @given(
        st.integers(1, 90),
        st.integers(1, 90),
        st.sampled_from(get_args(Format)),
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        st.sampled_from([None, 7]),
    )
    def test_any_frame_has_a_matte(
        self, width: int, height: int, kind: str, coarse: tuple[int, int], first: int | None
    ) -> None:
        """Whatever the size and format, and whatever the model answers."""
        rng = np.random.default_rng(width * height)
        matting = refined()
        for number in range(3):
            matte = rng.random((height, width), np.float32)
            frame = frame_of(matte, None if first is None else first + number, kind=kind)
            answer = rng.random(coarse, np.float32)
            found = matting.matte(frame, partial(_answered, answer)).values
            assert found.shape == (height, width)
            assert found.dtype == np.uint8
            assert found.flags.c_contiguous

    @settings(max_examples=8, deadline=None)
    @given(CENTRES, STEPS)
    def test_mirrored_frames_have_mirrored_mattes(
        self, centre: tuple[float, float], step: float
    ) -> None:
        """Left and right are alike, within the two samples by which parts are rounded."""
        ours, mirrored = refined(), refined()
        for number in range(8):
            matte = person(centre=(centre[0] + step * number, centre[1]))
            behind = room()
            found = ours.matte(frame_of(matte, number, behind=behind), finder()).values
            other = mirrored.matte(
                frame_of(matte[:, ::-1], number, behind=behind[:, ::-1]), finder()
            ).values
        assert metrics.iou(other[:, ::-1], found) > 0.98
        assert np.abs(other[:, ::-1].astype(int) - found).mean() < 1

    @settings(max_examples=8, deadline=None)
    @given(st.integers(2, 3), CENTRES, STEPS)
    def test_larger_frames_have_larger_mattes(
        self, factor: int, start: tuple[float, float], step: float
    ) -> None:
        """A frame of more pixels of the same has the same matte."""
        small, large = refined(), refined()
        wide, high = factor * SIZE[0], factor * SIZE[1]
        for number in range(8):
            centre = (start[0] + step * number, start[1])
            found = small.matte(frame_of(person(centre=centre), number), finder()).values
            behind = cv2.resize(room(), (wide, high), interpolation=cv2.INTER_CUBIC)
            frame = frame_of(person((wide, high), centre), number, behind=behind)
            other = large.matte(frame, finder()).values
        shrunk = np.asarray(cv2.resize(other, SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        assert metrics.iou(shrunk, found) > 0.98

    def test_the_edge_is_the_pictures(self) -> None:
        """A rough answer is brought to the edge that the picture has."""
        matte = person()
        rough = finder((24, 24))
        plain = RefinedMatting(Settings(), Steps(guide=False, colours=False, plate=False))
        ours = refined().matte(frame_of(matte, 0), rough).values
        without = plain.matte(frame_of(matte, 0), rough).values
        assert metrics.mad(ours, matte) < 0.6 * metrics.mad(without, matte)


class TestPeople:
    """Newcomers, and those who come back."""

    @pytest.mark.parametrize("rate", [10, 25, 30, 60])
    def test_newcomers_are_seen_within_0_3_s(self, rate: int) -> None:
        """Somebody who appears far from the person is in the matte soon."""
        matting = refined()
        here, there = person(centre=(0.25, 0.6)), person(centre=(0.8, 0.6), height=0.2)
        late = None
        for number in range(3 * rate):
            together = np.maximum(here, there) if number >= 2 * rate else here
            found = matting.matte(frame_of(together, number, rate=rate), finder()).values
            if late is None and number >= 2 * rate and metrics.iou(found, together) > 0.9:
                late = (number - 2 * rate) / rate
        assert late is not None
        assert late <= 0.3

    def test_newcomers_without_times(self) -> None:
        """Frames of no time are taken for 30 a second."""
        matting = refined()
        here, there = person(centre=(0.25, 0.6)), person(centre=(0.8, 0.6), height=0.2)
        both = np.maximum(here, there)
        for number in range(70):
            together = both if number >= 60 else here
            found = matting.matte(frame_of(together, None), finder()).values
        assert metrics.iou(found, both) > 0.9

    def test_who_comes_back_is_seen_at_once(self) -> None:
        """Nobody is there, and then somebody again."""
        matting, matte, empty = refined(), person(centre=(0.7, 0.6)), np.zeros_like(person())
        for number in range(40):
            found = matting.matte(frame_of(empty if 10 <= number < 38 else matte, number), finder())
            if 12 <= number < 38:
                assert found.values.max() == 0
        assert metrics.iou(found.values, matte) > 0.95

    def test_who_is_too_small_for_the_whole_frame_is_not_lost(self) -> None:
        """Looks at the whole frame that see a speck of somebody change nothing for them."""
        matting, matte, look = refined(), person(centre=(0.5, 0.6), height=0.3), finder()

        def near_sighted(part: Frame) -> Any:
            found = look(part)
            if part.layout.width == SIZE[0] and number:
                found[:56] = 0  # all but the feet
            return found

        for number in range(60):  # the whole frame is looked at each second
            found = matting.matte(frame_of(matte, number), near_sighted).values
            assert metrics.iou(found, matte) > 0.9, number

    def test_few_looks_at_a_quiet_room(self) -> None:
        """While nothing else changes, the model looks at the whole once a second."""
        matting, seen = refined(), []  # type: ignore[var-annotated]
        look = finder(seen=seen)
        for number in range(100):
            matting.matte(frame_of(person(centre=(0.25, 0.6)), number), look)
        assert len(seen) <= 100 + 6 + 4  # and four times more at who is new
        assert sum(part.size == SIZE for part in seen) <= 6

    def test_specks_are_nobody(self) -> None:
        """What is a few pixels large does not appear."""
        matte = person(centre=(0.3, 0.6))
        matte[40:46, 500:506] = 1
        found = refined().matte(frame_of(matte, 0), finder((180, 320))).values
        assert found[30:60, 480:520].max() < 30


class TestChoice:
    """Which matting a segmenter gets."""

    def test_by_what_it_makes(self) -> None:
        """Mattes are only enlarged; what makes none is refined."""
        rough = PersonSegmenter()
        rough.makes_mattes = False
        assert isinstance(create_matting(Settings(), PersonSegmenter()), UpsampledMatting)
        assert isinstance(create_matting(Settings(), rough), RefinedMatting)

    @pytest.mark.parametrize("quality", list(Quality))
    def test_every_quality_finds_people(self, quality: Quality) -> None:
        """Each preset gives a good matte of somebody who moves."""

        class Drawn(PersonSegmenter):
            """Finds what is bright."""

            makes_mattes = False
            look = staticmethod(finder((128, 128)))

            def segment(self, frame: Frame) -> Any:
                return self.look(frame)

        matting = create_matting(Settings(quality=quality), Drawn())
        for number in range(8):
            matte = person(centre=(0.3 + 0.02 * number, 0.6))
            found = matting.matte(frame_of(matte, number), Drawn().segment).values
        assert metrics.iou(found, matte) > 0.96

    @pytest.mark.parametrize(
        ("values", "name"),
        [
            ({"people": "main"}, "people"),
            ({"keep_region": "1,1,9,9"}, "keep_region"),
            ({"plate": "room.png"}, "plate"),
        ],
    )
    def test_what_has_no_effect_is_refused(self, values: dict[str, Any], name: str) -> None:
        """Nobody believes to be alone in the picture who is not."""
        with pytest.raises(SettingsError, match="makes mattes itself") as error:
            create_matting(Settings(**values), PersonSegmenter())
        assert error.value.name == name

    def test_a_fast_matting_keeps_nothing(self) -> None:
        """It learns no room, of which something could be kept."""
        rough = PersonSegmenter()
        rough.makes_mattes = False
        settings = Settings(quality="fast", keep_region="1,1,9,9")
        with pytest.raises(SettingsError, match="balanced or best"):
            create_matting(settings, rough)
