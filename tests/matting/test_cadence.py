"""Cadence: mattes that are used again while nothing moves, and never when something does."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from people_drawn import SIZE, finder, frame_of, person, room

from greenroom.engine.engine import VirtualBackground
from greenroom.evaluation import metrics
from greenroom.evaluation.evaluate import evaluate
from greenroom.matting import (
    Cadence,
    Matting,
    RefinedMatting,
    Steps,
    UpsampledMatting,
    cadence_of,
    create_matting,
    following,
)
from greenroom.matting.cadence import StillTest
from greenroom.matting.cadence_kernels import BINS, checked_planes, tell_still
from greenroom.matting.inference import Inference
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.testing import PersonSegmenter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greenroom.matting.matting import Look
    from greenroom.media.matte import Matte
    from greenroom.segmenters import Segmenter

RATE = 30
HD = (1920, 1080)
CLIPS = Path(os.environ.get("GREENROOM_DATA_DIR", Path(__file__).parents[3] / "shared/data/clips"))
LAZY = (Cadence.MOVED, Cadence.FOURTH)


def matting_of(cadence: Cadence, **values: Any) -> RefinedMatting:
    """Return a new matting."""
    matting = RefinedMatting(Settings(**values))
    matting.cadence = cadence
    return matting


class Watched:
    """A model that finds what is bright, and tells at which frames it looked."""

    def __init__(self) -> None:
        self.number = 0
        self.looked: list[int] = []
        self._look = finder()

    def __call__(self, part: Frame) -> Any:
        """Look."""
        if self.number not in self.looked:
            self.looked.append(self.number)
        return self._look(part)


class Scene:
    """A person who sits still before a room, filmed by a camera with noise of 3 levels."""

    def __init__(
        self, cadence: Cadence, size: tuple[int, int] = SIZE, sigma: float = 3, count: int = 8
    ) -> None:
        self.matte = person(size)
        self.look = Watched()
        self.matting = matting_of(cadence)
        rng = np.random.default_rng(3)
        shape = size[1], size[0]
        self._noise = [rng.normal(0, sigma, shape).astype(np.float32) for _ in range(count)]
        self._still = frame_of(self.matte).planes[0].astype(np.float32)
        self._chroma = frame_of(self.matte).planes[1:]
        self._layout = frame_of(self.matte).layout
        self.number = 0

    def frame(self, luma: Any = None, time_s: float | None = None) -> Frame:
        """Film the scene, or another picture in its place."""
        noise = self._noise[self.number % len(self._noise)]
        values = (self._still if luma is None else luma) + noise
        planes = np.clip(np.rint(values), 0, 255).astype(np.uint8), *self._chroma
        pts = round(1e6 * (self.number / RATE if time_s is None else time_s))
        return Frame(planes, self._layout, pts, Fraction(1, 10**6))

    def film(self, luma: Any = None) -> bool:
        """Make the matte of one more frame; tell whether the model was asked."""
        self.look.number = self.number
        self.found = self.matting.matte(self.frame(luma), self.look).values
        self.number += 1
        return self.look.looked[-1] == self.number - 1

    def settle(self) -> None:
        """Film until mattes are used again, at the beginning of such a time."""
        before = True
        for _ in range(60):
            looked = self.film()
            if before and not looked and self.number > 30:
                return
            before = looked
        pytest.fail("no matte was used again")

    def drawn(self, matte: Any) -> Any:
        """Draw the person elsewhere, with a room of its own kind behind."""
        return frame_of(matte).planes[0].astype(np.float32)

    @property
    def still(self) -> Any:
        """The picture without noise, to be changed."""
        return self._still.copy()


class TestStillness:
    """When a matte is used again."""

    @pytest.mark.parametrize("cadence", LAZY)
    @pytest.mark.parametrize("sigma", [0, 1, 3])
    def test_noise_is_not_movement(self, cadence: Cadence, sigma: float) -> None:
        """Of a still person, the model sees two frames a second besides the first ones."""
        scene = Scene(cadence, sigma=sigma)
        for _ in range(120):
            scene.film()
        assert len([one for one in scene.look.looked if one >= 30]) <= 2 * 3 + 1

    def test_every_frame_is_looked_at_by_default(self) -> None:
        """Of the steps, nothing is used again before somebody says so."""
        scene = Scene(RefinedMatting(Settings()).cadence)
        assert all(scene.film() for _ in range(40))

    @pytest.mark.parametrize(
        ("quality", "cadence"),
        [("fast", Cadence.EVERY), ("balanced", Cadence.FOURTH), ("best", Cadence.EVERY)],
    )
    def test_balanced_looks_at_every_second_frame(self, quality: str, cadence: Cadence) -> None:
        """The other qualities look at every one, and so do models that make mattes themselves."""
        values = Settings(quality=quality)
        assert create_matting(values, _Drawn()).cadence is cadence
        assert cadence_of(values.quality) is cadence
        assert create_matting(values, _OfMattes()).cadence is Cadence.EVERY

    @pytest.mark.parametrize("cadence", LAZY)
    def test_half_a_second_is_the_most(self, cadence: Cadence) -> None:
        """However still the picture is, no matte is older."""
        scene = Scene(cadence)
        for _ in range(120):
            scene.film()
        assert max(b - a for a, b in pairwise(scene.look.looked)) <= RATE / 2 + 1

    def test_what_is_used_again_is_as_good(self) -> None:
        """The matte of the frozen scene is that of a matting that looks at every frame."""
        lazy, eager = Scene(Cadence.MOVED), Scene(Cadence.EVERY)
        for _ in range(60):
            lazy.film()
            eager.film()
            assert np.abs(lazy.found.astype(int) - eager.found).mean() < 0.2

    def test_mattes_share_no_memory(self) -> None:
        """Who writes into a matte spoils no other."""
        scene = Scene(Cadence.MOVED)
        scene.settle()
        first, kept = scene.found, scene.found.copy()
        first[:] = 77
        assert not scene.film()
        assert_array_equal(scene.found, kept)

    @pytest.mark.parametrize("cadence", LAZY)
    def test_frames_without_a_time(self, cadence: Cadence) -> None:
        """Each is looked at: they are photographs."""
        look, matting, matte = Watched(), matting_of(cadence), person()
        for number in range(40):
            look.number = number
            matting.matte(frame_of(matte, None), look)
        assert look.looked == list(range(40))

    def test_time_that_goes_back(self) -> None:
        """A frame from before the last matte is looked at."""
        scene = Scene(Cadence.MOVED)
        scene.settle()
        before = len(scene.look.looked)
        scene.look.number = 1000
        scene.matting.matte(scene.frame(time_s=0.1), scene.look)
        assert len(scene.look.looked) == before + 1


@pytest.mark.parametrize("cadence", LAZY)
class TestMovement:
    """What is noticed in the very frame in which it happens, or before it matters."""

    def test_two_pixels(self, cadence: Cadence) -> None:
        """A person who moves by 2 px of 1080p has moved."""
        scene = Scene(cadence, HD, count=3)
        scene.settle()
        assert scene.film(scene.drawn(person(HD, (0.5 + 2 / HD[0], 0.6))))

    def test_a_finger(self, cadence: Cadence) -> None:
        """A finger of 16 px of 1080p that is stretched out beside the person is seen."""
        scene = Scene(cadence, HD, count=3)
        scene.settle()
        luma = scene.still
        y, x = np.nonzero(scene.matte > 0.5)
        right, middle = int(x.max()), int(y[x.argmax()])
        luma[middle - 8 : middle + 8, right : right + 40] = 150
        assert scene.film(luma)

    def test_light(self, cadence: Cadence) -> None:
        """The same picture by 3 levels brighter is another one."""
        scene = Scene(cadence)
        scene.settle()
        assert scene.film(scene.still + 3)

    def test_somebody_at_the_border(self, cadence: Cadence) -> None:
        """The first 6 px of a shoulder that comes in are seen."""
        scene = Scene(cadence)
        scene.settle()
        luma = scene.still
        luma[200:300, :6] = 160
        assert scene.film(luma)

    def test_colour_alone(self, cadence: Cadence) -> None:
        """What has another colour of the same brightness is seen."""
        scene = Scene(cadence)
        scene.settle()
        frame = scene.frame()
        c_b = frame.planes[1].copy()
        c_b[60:80, 20:40] += 20
        scene.look.number = 1000
        changed = Frame((frame.planes[0], c_b, frame.planes[2]), frame.layout, frame.pts)
        scene.matting.matte(changed.at(frame), scene.look)
        assert scene.look.looked[-1] == 1000

    def test_a_slow_drift(self, cadence: Cadence) -> None:
        """Who moves by 0.05 px a frame is never left behind by more than a pixel."""
        scene = Scene(cadence)
        scene.settle()
        behind = room()
        for step in range(90):
            matte = person(centre=(0.5 + 0.05 * step / SIZE[0], 0.6))
            scene.film(frame_of(matte, behind=behind).planes[0].astype(np.float32))
            shown, there = scene.found > 127, person(centre=(0.5 + 0.05 * step / SIZE[0], 0.6))
            outside = np.roll(there, 3, axis=1) + np.roll(there, -3, axis=1) + there == 0
            assert not (shown & outside).any()

    def test_a_cut(self, cadence: Cadence) -> None:
        """Another scene gets the matte that it would have without anything before."""
        scene = Scene(cadence)
        scene.settle()
        other = 1 - person(centre=(0.2, 0.6))
        assert scene.film(scene.drawn(other))
        fresh = matting_of(Cadence.EVERY)
        scene.number -= 1
        expected = fresh.matte(scene.frame(scene.drawn(other)), finder()).values
        assert_array_equal(scene.found, expected)

    def test_another_layout(self, cadence: Cadence) -> None:
        """A frame of another size whose small planes are as large is another one."""
        scene = Scene(cadence)
        scene.settle()
        frame, look = scene.frame(), scene.look
        look.number = 1000
        planes = tuple(np.pad(plane, ((0, 0), (0, 1)), mode="edge") for plane in frame.planes)
        wide = frame_of(np.zeros((SIZE[1], SIZE[0] + 2), np.float32))
        found = scene.matting.matte(Frame(_cut(planes, wide), wide.layout).at(frame), look)
        assert look.looked[-1] == 1000
        assert found.values.shape == (SIZE[1], SIZE[0] + 2)

    def test_a_model_that_fails(self, cadence: Cadence) -> None:
        """After a failure no earlier matte is used again, though nothing moved."""
        scene = Scene(cadence)
        scene.settle()

        def fail(_: Frame) -> Any:
            message = "it broke"
            raise RuntimeError(message)

        with pytest.raises(RuntimeError, match="it broke"):
            scene.matting.matte(scene.frame(scene.still + 9), fail)
        assert scene.film()


def _cut(planes: tuple[Any, ...], like: Frame) -> tuple[Any, ...]:
    wide = (np.pad(one, ((0, 0), (0, 2)), mode="edge") for one in planes)
    return tuple(
        np.ascontiguousarray(one[:height, :width])
        for one, (height, width) in zip(wide, like.layout.plane_shapes, strict=True)
    )


class TestStillTest:
    """The comparison by itself."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.tuples(st.integers(0, 352), st.integers(0, 632)),
        st.tuples(st.integers(4, 40), st.integers(4, 40)),
        st.integers(20, 90),
        st.floats(0, 3),
    )
    def test_no_patch_is_overlooked(
        self, corner: tuple[int, int], size: tuple[int, int], contrast: int, sigma: float
    ) -> None:
        """Whatever is at least 4 samples of the picture high and wide and of some contrast."""
        rng, test = np.random.default_rng(corner), StillTest()
        still = room().astype(np.float32)

        def noisy() -> Frame:
            noise = rng.standard_normal(still.shape, np.float32)
            return _gray(still + np.float32(sigma) * noise)

        for _ in range(25):
            frame = noisy()
            test.is_still(frame)
            test.remember(frame)
        # Noise alone looks like movement in one frame of ten thousand, never in two running.
        assert test.is_still(noisy()) or test.is_still(noisy())
        top, left = min(corner[0], 356), min(corner[1], 636)
        still[top : top + size[0], left : left + size[1]] += contrast
        assert not test.is_still(noisy())

    def test_much_movement_is_not_taken_for_noise(self) -> None:
        """Whoever moves in most of the picture for ten seconds still moves in the end."""
        rng, test = np.random.default_rng(1), StillTest()
        for number in range(300):
            luma = np.roll(room(), 3 * number, axis=1) + rng.normal(0, 1, SIZE[::-1])
            assert not test.is_still(_gray(luma))
            test.remember(_gray(luma))

    def test_memory_that_gets_another_picture(self) -> None:
        """A small frame that is compared with keeps its picture, whatever its memory gets."""
        rng, test = np.random.default_rng(2), StillTest()
        still = np.full((120, 160), 90.0)
        for _ in range(25):
            frame = _small(still + rng.normal(0, 1, still.shape))
            test.is_still(frame)
            test.remember(frame)
        frame.planes[0][:] = 200
        assert test.is_still(_small(still + rng.normal(0, 1, still.shape)))

    @pytest.mark.parametrize("shape", [(64, 80), (67, 91), (1, 9), (8, 8), (33, 5), (1, 1)])
    @pytest.mark.parametrize("sigma", [0, 1, 4])
    def test_it_learns_as_in_numpy(self, shape: tuple[int, int], sigma: float) -> None:
        """What is told of planes and learned of their noise is what NumPy finds, block by block."""
        rng = np.random.default_rng(shape)
        scene = 120 + 110 * np.sin(np.indices(shape).sum(axis=0) / 30)
        noise = np.full((1, BINS), 32, np.float32)
        expected = noise.copy()
        before = checked_planes((_noisy(scene, sigma, rng),))
        for number in range(20):
            scene[: shape[0] // 2, : shape[1] // 2] += 10 * (number > 15)
            now = checked_planes((_noisy(scene, sigma, rng),))
            still = _told_by_numpy(now.planes[0], before.planes[0], expected[0])
            assert tell_still(now, before, noise) is still
            assert_allclose(noise, expected, rtol=1e-5)
            before = now


def _noisy(scene: Any, sigma: float, rng: np.random.Generator) -> Any:
    return np.clip(np.rint(scene + rng.normal(0, sigma, scene.shape)), 0, 255).astype(np.uint8)


def _told_by_numpy(now: Any, before: Any, noise: Any) -> bool:
    """Tell whether a plane is still, and learn, by the rules of `StillTest`."""
    corners = [(y, x) for y in range(0, len(now), 8) for x in range(0, now.shape[1], 8)]
    parts = [np.s_[y : y + 8, x : x + 8] for y, x in corners]
    changes = [now[part].astype(float) - before[part] for part in parts]
    variances = np.array([one.var() for one in changes])
    bins = np.array([int(before[part].mean() * BINS / 256) for part in parts])
    typical = np.sort(variances)[len(parts) // 4] / 0.87
    most, still = 4 * max(typical, 0.5), True
    for change, variance, level in zip(changes, variances, bins, strict=True):
        expected = min(noise[level], most)
        still &= variance <= expected * (1 + 10 / change.size**0.5) * (1 + 1e-6)
        still &= abs(change.mean()) <= max(1.5, 6 * (expected / change.size) ** 0.5) * (1 + 1e-6)
    sizes = np.bincount(bins, minlength=BINS)
    known = sizes >= (64 if sizes.max() >= 64 else 1)
    if typical > 0:
        for level in np.flatnonzero(known):
            surplus = np.mean(variances[bins == level] < 0.87 * noise[level]) - 0.25
            factor = np.exp(-(0.5 if surplus > 0 else 0.04) * surplus)
            noise[level] = np.clip(noise[level] * factor, 0.5, 32)
        noise[~known] = noise[known].max()
    return bool(still)


def _small(luma: Any) -> Frame:
    """Return a gray frame that is its own small one."""
    plane = np.clip(np.rint(luma), 0, 255).astype(np.uint8)
    return Frame((plane,), Layout(luma.shape[1], luma.shape[0], "gray"), 0, Fraction(1, RATE))


def _gray(luma: Any) -> Frame:
    plane = np.clip(np.rint(luma), 0, 255).astype(np.uint8)
    height, width = plane.shape
    layout = Layout(width, height, "yuv420p", Colour(1, 1))
    chroma = np.full(layout.plane_shapes[1], 128, np.uint8)
    return Frame((plane, chroma, chroma), layout, 0, Fraction(1, RATE))


class TestSwitching:
    """The cadence is changed between two frames."""

    def test_what_was_learned_stays(self) -> None:
        """Cadences that come and go leave the mattes of a person who moves what they are."""
        steady, switched = matting_of(Cadence.EVERY), matting_of(Cadence.EVERY)
        for number in range(30):
            matte = person(centre=(0.3 + 0.01 * number, 0.6))
            switched.cadence = Cadence.MOVED if number % 5 < 3 else Cadence.EVERY
            frame = frame_of(matte, number)
            assert_array_equal(
                switched.matte(frame, finder()).values, steady.matte(frame, finder()).values
            )

    def test_every_means_every(self) -> None:
        """As soon as every frame is to be looked at, the next one is."""
        scene = Scene(Cadence.MOVED)
        scene.settle()
        scene.matting.cadence = Cadence.EVERY
        assert scene.film()
        scene.matting.cadence = Cadence.MOVED
        assert scene.film()

    def test_the_engine_passes_it_on(self) -> None:
        """Its cadence holds for stages made before and after; new settings take effect at once."""
        scene = Scene(Cadence.EVERY)
        segmenter = _Drawn()
        with VirtualBackground(background="color:black", segmenter=segmenter) as engine:
            engine.cadence = Cadence.MOVED
            for number in range(60):
                scene.number = number
                engine.process(scene.frame())
            asked = segmenter.asked
            assert asked < 30
            engine.update(threshold=0.5)
            scene.number = 61
            engine.process(scene.frame())
            assert segmenter.asked == asked + 1
            assert engine.matte is not None
            assert set(np.unique(engine.matte)) <= {0, 255}


class _Drawn(PersonSegmenter):
    """Finds what is bright."""

    makes_mattes = False

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self._look = finder()

    def segment(self, frame: Frame) -> Any:
        self.asked += 1
        return self._look(frame)


class _OfMattes(_Drawn):
    """Makes mattes itself."""

    makes_mattes = True


class _Forgetful(_OfMattes):
    """Says that it does not remember earlier frames."""

    remembers = False


class TestMatteModels:
    """Models that make mattes themselves."""

    @pytest.mark.parametrize(
        ("made", "looks"),
        [(_OfMattes, (60,)), (_Forgetful, range(13, 18))],
        ids=["remembers", "forgets"],
    )
    def test_one_that_remembers_sees_every_frame(
        self, made: Callable[[], _Drawn], looks: Sequence[int]
    ) -> None:
        """Others need not be asked about what has not changed."""
        scene, model = Scene(Cadence.MOVED), made()
        matting = create_matting(Settings(), model)
        assert isinstance(matting, UpsampledMatting)
        matting.cadence = Cadence.MOVED
        for number in range(60):
            scene.number = number
            matting.matte(scene.frame(), model.segment)
        assert model.asked in looks


class _Fixed(Matting):
    """A matting of one cadence, whatever the engine asks for."""

    def __init__(self, matting: Matting, cadence: Cadence) -> None:
        self._matting = matting
        self._always = cadence
        self.cadence = cadence

    def matte(self, frame: Frame, look: Look) -> Matte:
        """See `Matting.matte`."""
        self._matting.cadence = self._always
        return self._matting.matte(frame, look)

    def reset(self) -> None:
        """See `Matting.reset`."""
        self._matting.reset()


@pytest.mark.slow
@pytest.mark.parametrize("cadence", LAZY)
def test_no_more_of_the_room_is_shown(cadence: Cadence) -> None:
    """On labelled clips of people who move, the leak is not above that of looking every time."""
    if not CLIPS.is_dir():
        pytest.skip(f"the labelled clips are not in {CLIPS}")

    def make(one: Cadence) -> Callable[[Settings, Segmenter], Matting]:
        return lambda settings, segmenter: _Fixed(create_matting(settings, segmenter), one)

    every, lazy = (evaluate(CLIPS, matting=make(one)).cases for one in (Cadence.EVERY, cadence))
    more = {Cadence.MOVED: 0.0, Cadence.FOURTH: 0.02}[cadence]
    for name, scores in every.items():
        assert lazy[name]["leak"] <= scores["leak"] + more


class TestFollowing:
    """What was found in one frame is moved into the next one."""

    def _walk(self, steps: list[float], sigma: float = 1) -> tuple[Watched, list[float]]:
        """Film somebody who goes by some pixels a frame; return how well each was found."""
        matting, look, at, rng = matting_of(Cadence.FOURTH), Watched(), 200.0, _rng(sigma)
        found = []
        for number, step in enumerate(steps):
            at += step
            matte = person(centre=(at / SIZE[0], 0.6))
            luma = frame_of(matte, behind=room()).planes[0] + rng(SIZE[::-1])
            frame = frame_of(matte, number, behind=room())
            planes = np.clip(np.rint(luma), 0, 255).astype(np.uint8), *frame.planes[1:]
            look.number = number
            shown = matting.matte(Frame(planes, frame.layout).at(frame), look).values
            found.append(metrics.iou(shown, matte))
        return look, found

    def test_every_fourth_frame_is_looked_at(self) -> None:
        """Of somebody who moves slowly, and their matte is as good in between."""
        look, found = self._walk([2.0] * 60)
        assert len([one for one in look.looked if one >= 20]) <= 22
        assert min(found[20:]) > 0.95

    @pytest.mark.parametrize("first", [31, 32, 33, 34])
    def test_a_newcomer_is_late_by_a_frame_at_the_most(self, first: int) -> None:
        """Somebody who comes while somebody else is followed is seen in the next frame."""
        matting, look, at = matting_of(Cadence.FOURTH), Watched(), 200.0
        everybody = RefinedMatting(Settings(), Steps(region=False))  # the whole frame is looked at
        everybody.cadence = Cadence.FOURTH
        for one in (matting, everybody):
            for number in range(first + 2):
                at += 1
                matte = person(centre=(at / SIZE[0], 0.6))
                if number >= first:
                    matte = np.maximum(matte, person(centre=(0.85, 0.6)))
                look.number = number
                one.matte(frame_of(matte, number, behind=room()), look)
            assert look.looked[-1] >= first
            look.looked.clear()

    def test_who_is_found_again_is_waited_for_in_every_frame(self) -> None:
        """Who has to be found some times more to be believed is looked for in every frame."""
        matting, look, at = matting_of(Cadence.FOURTH), Watched(), 200.0
        (inference,) = (step for step in matting.steps if isinstance(step, Inference))
        for number in range(40):
            at += 2
            look.number = number
            matting.matte(frame_of(person(centre=(at / SIZE[0], 0.6)), number), look)
            inference.newcomers.is_waiting |= number >= 30
        assert look.looked[-9:] == list(range(31, 40))

    def test_it_is_tried_seldom_where_it_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Somebody fast is looked at in every frame, and every fourth time it is tried to follow.

        Once they are slow it is at most so long until every second frame is looked at again.
        """
        tries: list[bool] = []
        follow = following.follow_motion

        def watched(*planes: Any) -> following.Motion:
            tries.append(follow(*planes).is_sure)
            return following.Motion(tries[-1], 0, 0)

        monkeypatch.setattr(following, "follow_motion", watched)
        fast = [30.0 * (-1) ** (number // 8) for number in range(48)]
        look, found = self._walk([1.0] * 20 + fast + [1.0] * 24)
        failed = tries.index(False)
        assert 4 + 8 <= tries[failed:].index(True) <= 4 + 48 // 4
        assert [one for one in look.looked if 22 <= one < 68] == list(range(22, 68))
        assert len([one for one in look.looked if one >= 72]) <= 11
        assert min(found[20:]) > 0.95

    def test_who_jumps_is_looked_at(self) -> None:
        """A movement that cannot be followed is looked at in the very frame."""
        for jump in (30, 31):
            look, found = self._walk([2.0] * jump + [90.0] + [2.0] * 3)
            assert jump in look.looked
            assert min(found[20:]) > 0.93


def _rng(sigma: float) -> Callable[[tuple[int, ...]], Any]:
    made = np.random.default_rng(4)
    return lambda shape: made.normal(0, sigma, shape)
