"""What is learned of person and room, and what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from people_drawn import frame_of, person, room

from greenroom.frames import Frame
from greenroom.matting.evidence import Evidence
from greenroom.matting.evidence_kernels import BINS, judge, learn, weigh
from greenroom.matting.plate import CleanPlate


def halved(matte: Any) -> Any:  # noqa: ANN401
    """Return a matte on the half grid."""
    return matte.reshape(180, 2, 320, 2).mean(axis=(1, 3)).astype(np.float32)


def watched(frames: int = 15, *, drift: float = 0.0) -> Evidence:
    """Return what is learned while a person walks from left to right."""
    evidence = Evidence()
    for number in range(frames):
        matte = person(centre=(0.3 + 0.02 * number, 0.6))
        behind = np.clip(room() + drift * number, 0, 255)
        frame = frame_of(matte, number, behind=behind)
        evidence.weigh(frame, halved(matte))
        evidence.learn(frame, halved(matte))
    return evidence


class TestPlate:
    """The clean plate."""

    def test_is_the_room_where_nobody_was(self) -> None:
        """It has the room's samples, and the person's nowhere."""
        plate = watched(25).plate
        assert plate is not None
        truth = frame_of(0 * person(), 0).half_planes
        known = plate.confidence > 0
        assert known.mean() > 0.9
        for ours, theirs in zip(plate.planes, truth, strict=True):
            assert np.abs(ours - theirs)[known].max() < 2

    def test_is_not_known_behind_somebody_who_stays(self) -> None:
        """What was never seen has no confidence."""
        evidence, matte = Evidence(), person()
        for number in range(20):
            evidence.weigh(frame_of(matte, number), halved(matte))
            evidence.learn(frame_of(matte, number), halved(matte))
        assert evidence.plate is not None
        assert (evidence.plate.confidence[halved(matte) > 0] == 0).all()

    def test_follows_slow_light(self) -> None:
        """A room that becomes brighter by a level every two frames is still known."""
        plate = watched(40, drift=0.5).plate
        assert plate is not None
        assert (plate.confidence > 0).mean() > 0.8
        now = frame_of(0 * person(), 0, behind=np.clip(room() + 0.5 * 39, 0, 255)).half_planes[0]
        assert np.abs(plate.planes[0] - now)[plate.confidence > 0].mean() < 5

    def test_is_dropped_when_the_camera_moves(self) -> None:
        """A room that is elsewhere is another room."""
        evidence = watched(20)
        for number in range(20, 24):
            frame = frame_of(person(), number, behind=255 - room())
            evidence.weigh(frame, halved(person()))
            evidence.learn(frame, halved(person()))
            if number == 22:
                assert evidence.plate is not None
                assert evidence.plate.seen.max() <= 1

    @pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "gbrp"])
    def test_as_a_picture_and_back(self, kind: str) -> None:
        """What is known survives being saved; what is not stays unknown."""
        frame = frame_of(0 * person(), 0, kind=kind)
        plate = CleanPlate(frame.half_planes.shape[1:], 3)
        plate.planes[...] = frame.half_planes
        plate.seen[:, 100:] = 25
        picture = plate.to_picture(frame.layout)
        assert picture.shape == (360, 640, 4)
        assert set(np.unique(picture[..., 3])) == {0, 255}
        again = CleanPlate.from_picture(picture, frame.layout)
        assert_allclose(again.confidence[:, 102:], 1)
        assert_allclose(again.confidence[:, :98], 0)
        assert np.abs(again.planes - plate.planes)[:, :, 102:].mean() < 1.5


class TestEvidence:
    """Probabilities."""

    def test_the_room_is_told_from_a_model_that_errs(self) -> None:
        """What looks like the room there is none of the person, unless deep inside them."""
        evidence = watched(25)
        wrong = person(centre=(0.3, 0.3), height=0.08)
        matte = person(centre=(0.7, 0.6))
        frame = frame_of(matte, 25)
        found = evidence.weigh(frame, halved(np.maximum(matte, wrong)))
        assert found[halved(wrong) > 0.9].max() < 0.2
        assert found[halved(matte) > 0.99].min() >= 0.5

    def test_a_camouflaged_spot_is_no_hole(self) -> None:
        """Deep inside a person, samples like the room's say nothing."""
        evidence = watched(25)
        matte = person(centre=(0.5, 0.5), height=0.45)
        frame = frame_of(matte, 25)
        luma = frame.planes[0].copy()
        luma[170:190, 310:330] = room()[170:190, 310:330]
        spotted = Frame((luma, *frame.planes[1:]), frame.layout)
        prior = halved(matte)
        assert evidence.weigh(spotted, prior)[85:95, 155:165].min() >= 0.35

    def test_doubt_where_the_room_was_never_seen(self) -> None:
        """What the model wavers at, away from the person, is rather the room, but at first."""
        evidence, matte = Evidence(colours=False), person(centre=(0.3, 0.6))
        half = halved(matte)
        half[20:40, 220:240] = 0.5
        first = evidence.weigh(frame_of(matte, 0), half)
        evidence.learn(frame_of(matte, 0), half)
        second = evidence.weigh(frame_of(matte, 1), half)
        assert_allclose(first[30, 230], 0.5)
        assert second[30, 230] < 0.3
        assert_allclose(second[half > 0.9], 0.5)

    def test_says_nothing_of_what_is_certain(self) -> None:
        """Where the model finds nobody at all, evidence is not asked."""
        found = watched(25).weigh(frame_of(person(), 25), 0 * halved(person()))
        assert_allclose(found, 0.5)

    def test_nothing_is_similar_before_anything_is_known(self) -> None:
        """Nor after a reset."""
        evidence = Evidence()
        assert evidence.similarity is None
        evidence = watched(20)
        assert evidence.similarity is not None
        assert 0 <= evidence.similarity.min() <= evidence.similarity.max() <= 1
        evidence.reset()
        assert evidence.similarity is None


class TestKernels:
    """Against NumPy."""

    RNG = np.random.default_rng(3)
    SHAPE = (13, 17)
    PLANES = RNG.integers(0, 256, (3, *SHAPE), dtype=np.uint8)
    ROOM = (255 * RNG.random((3, *SHAPE))).astype(np.float32)

    def test_weigh(self) -> None:
        """Ratios are looked up by colour, differences are weighted sums of squares."""
        weights = np.array([0.01, 0.04, 0.02], np.float32)
        ratios = self.RNG.normal(size=BINS**3).astype(np.float32)
        numbers = np.empty(self.SHAPE, np.uint16)
        colour, difference = np.empty(self.SHAPE, np.float32), np.empty(self.SHAPE, np.float32)
        weigh(self.PLANES, weights, self.ROOM, ratios, numbers, colour, difference)
        bins = self.PLANES.astype(int) // 16
        expected = (bins[0] * BINS + bins[1]) * BINS + bins[2]
        assert (numbers == expected).all()
        assert_allclose(colour, ratios[expected])
        squares = weights[:, None, None] * (self.PLANES - self.ROOM.astype(float)) ** 2
        assert_allclose(difference, squares.sum(axis=0), rtol=1e-5)

    def test_judge(self) -> None:
        """Log odds add up; the plate counts by its confidence and up to a limit."""
        colour = self.RNG.normal(size=self.SHAPE).astype(np.float32)
        difference = (20 * self.RNG.random(self.SHAPE)).astype(np.float32)
        seen = self.RNG.integers(0, 12, self.SHAPE).astype(np.float32)
        inside = self.RNG.integers(0, 256, self.SHAPE, dtype=np.uint8)
        around = self.RNG.integers(200, 256, self.SHAPE, dtype=np.uint8)
        prior = np.full(self.SHAPE, 0.5, np.float32)
        found = np.empty(self.SHAPE, np.float32)
        weights = np.array([0.5, 0.5, 3, 2, 1], np.float32)
        judge(colour, difference, seen, inside, around, prior, weights, found)
        trust = np.where(seen >= 3, np.minimum(seen / 8, 1), 0)
        told = trust * np.minimum(0.5 * difference - 3, 2)
        told = np.where(inside > 242, np.maximum(told, 0), told)
        told = np.where((trust == 0) & (around <= 230), told - 1, told)
        assert_allclose(found, 1 / (1 + np.exp(-0.5 * colour - told)), rtol=1e-4)

    def test_learn(self) -> None:
        """Colours are counted where it is sure whose they are, and the room is averaged."""
        least = self.RNG.choice(np.array([0, 250], np.uint8), self.SHAPE)
        most = np.where(least > 0, 255, self.RNG.choice([0, 90], self.SHAPE)).astype(np.uint8)
        plate, seen = self.ROOM.copy(), self.RNG.integers(0, 8, self.SHAPE).astype(np.float32)
        before = seen.copy()
        counts = np.zeros((2, BINS**3), np.float32)
        numbers = self.RNG.integers(0, BINS**3, self.SHAPE).astype(np.uint16)
        difference = (18 * self.RNG.random(self.SHAPE)).astype(np.float32)
        report = np.zeros(3)
        learn(self.PLANES, numbers, least, most, difference, plate, seen, counts, 5.0, report)
        mine, nobody = least > 242, most < 25
        assert counts[0].sum() == mine.sum()
        assert (np.bincount(numbers[nobody], minlength=BINS**3) == counts[1]).all()
        after = np.where(nobody, np.minimum(before + 1, 5), before)
        assert_allclose(seen, after)
        averaged = self.ROOM + (self.PLANES - self.ROOM) / np.maximum(after, 1)
        assert_allclose(plate, np.where(nobody, averaged, self.ROOM), rtol=1e-4, atol=1e-3)
        known = nobody & (before >= 3)
        fits = known & (difference <= 9)
        assert report[0] == known.sum()
        assert report[1] == known.sum() - fits.sum()
        assert_allclose(report[2], (self.PLANES[0] - self.ROOM[0])[fits].sum(), rtol=1e-3)


def test_colours_that_are_gone_are_forgotten() -> None:
    """What faded for long is 0, not a denormal number, with which processors are slow."""
    evidence = watched(5)
    room_only = frame_of(0 * person(), 6, behind=np.full_like(room(), 90))
    nobody = halved(0 * person())
    evidence.weigh(room_only, nobody)
    for _ in range(700):
        evidence.learn(room_only, nobody)
    counts = evidence._counts  # noqa: SLF001 - what is learned
    assert counts is not None
    assert np.count_nonzero(counts[0]) == 0
    assert counts[1].sum() == pytest.approx(1)
    assert counts[counts > 0].min() > np.finfo(np.float32).tiny
