"""What is learned of person and room, and what it says."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from grids import mean3, somebody, window
from numpy.testing import assert_allclose
from people_drawn import frame_of, person, room

from greenroom.matting.clean_plate import CleanPlate
from greenroom.matting.evidence import Evidence
from greenroom.matting.evidence_kernels import BINS, learn, weigh
from greenroom.media.frame import Frame


def halved(matte: Any) -> Any:
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
        first = evidence.weigh(frame_of(matte, 0), half).copy()
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


SHAPES = [(1, 1), (1, 9), (12, 1), (13, 17), (20, 80)]
KINDS = ["some", "nobody", "everybody", "noise"]


class TestKernels:
    """Against NumPy and OpenCV."""

    SPREAD = np.array([0.01, 0.04, 0.02], np.float32)

    def room(self, shape: tuple[int, int]) -> tuple[Any, Any, Any]:
        """Return a frame, a room that is like it here and there, and how often that was seen."""
        rng = np.random.default_rng(3)
        planes = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
        plate = planes + rng.normal(0, 20, (3, *shape)) * (rng.random(shape) < 0.5)
        return planes, plate.astype(np.float32), rng.integers(0, 12, shape).astype(np.float32)

    def numbers(self, planes: Any) -> Any:
        """Return the number of every sample's colour."""
        bins = planes.astype(int) // 16
        return (bins[0] * BINS + bins[1]) * BINS + bins[2]

    def difference(self, planes: Any, plate: Any) -> Any:
        """Return the squared difference from the room, averaged over neighbours."""
        squares = self.SPREAD[:, None, None] * (planes - plate.astype(float)) ** 2
        return mean3(squares.sum(axis=0))

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(("deep", "clear"), [(2, 1), (1, 1), (7, 12)])
    def test_weigh(self, shape: tuple[int, int], kind: str, deep: int, clear: int) -> None:
        """Log odds add up; the plate counts by its confidence and up to a limit."""
        planes, plate, seen = self.room(shape)
        ratios = np.random.default_rng(4).normal(size=BINS**3).astype(np.float32)
        prior = somebody(shape, 5, kind)
        terms = np.array([0.5, 0.5, 3, 2, 1], np.float32)
        found, difference = np.empty((2, *shape), np.float32)
        given = planes, self.SPREAD, plate, seen, ratios, prior, terms
        weigh(*given, found, difference, deep=deep, clear=clear)
        expected = self.difference(planes, plate)
        assert_allclose(difference, expected, rtol=1e-4, atol=1e-3)
        values = np.rint(255 * prior).astype(np.uint8)
        inside = cv2.erode(values, window(deep)).reshape(shape)
        around = cv2.dilate(values, window(clear)).reshape(shape)
        trust = np.where(seen >= 3, np.minimum(seen / 8, 1), 0)
        told = trust * np.minimum(0.5 * expected - 3, 2)
        told = np.where(inside > 242, np.maximum(told, 0), told)
        told = np.where((trust == 0) & (around <= 230), told - 1, told)
        colour = mean3(ratios[self.numbers(planes)].astype(float))
        expected = 1 / (1 + np.exp(-0.5 * colour - told))
        idle = (prior < 1e-3) | ((prior > 0.998) & ((trust == 0) | (inside > 242)))
        assert_allclose(found, np.where(idle, 0.5, expected), rtol=1e-3)
        alone = np.empty(shape, np.float32)
        weigh(*given, alone, deep=deep, clear=clear)
        assert_allclose(alone, found, rtol=1e-6)

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("joined", [False, True])
    def test_learn(self, shape: tuple[int, int], kind: str, joined: bool) -> None:
        """Colours are counted where it is sure whose they are, and the room is averaged."""
        planes, plate, seen = self.room(shape)
        difference = self.difference(planes, plate).astype(np.float32)
        matte, other = somebody(shape, 5, kind), somebody(shape, 6) if joined else None
        colours = np.random.default_rng(7).random((2, BINS**3), np.float32)
        colours /= BINS**3
        ratios = np.empty(BINS**3, np.float32)
        new_plate, new_seen, new_colours = plate.copy(), seen.copy(), colours.copy()
        report = learn(
            planes,
            matte,
            other,
            difference,
            new_plate,
            new_seen,
            new_colours,
            ratios,
            clear=2,
            memory=5.0,
            share=0.2,
            unseen=1e-4,
            far=3.0,
        )
        both = matte if other is None else np.maximum(matte, other)
        values = np.rint(255 * both).astype(np.uint8)
        mine = cv2.erode(values, window(1)).reshape(shape) > 242
        nobody = cv2.dilate(values, window(2)).reshape(shape) < 25
        for ours, before, cells in zip(new_colours, colours, (mine, nobody), strict=True):
            counts = np.bincount(self.numbers(planes)[cells], minlength=BINS**3)
            assert_allclose(ours, before + 0.2 * (counts / max(cells.sum(), 1) - before), atol=1e-6)
        person, room_ = new_colours.astype(float) + 1e-4
        assert_allclose(ratios, np.clip(np.log(person / room_), -3, 3), atol=1e-5)
        after = np.where(nobody, np.minimum(seen + 1, 5), seen)
        assert_allclose(new_seen, after)
        averaged = plate + (planes - plate) / np.maximum(after, 1)
        assert_allclose(new_plate, np.where(nobody, averaged, plate), rtol=1e-4, atol=1e-3)
        known = nobody & (seen >= 3)
        fits = known & (difference <= 9)
        assert report[:2] == (known.sum(), known.sum() - fits.sum())
        assert_allclose(report[2], (planes[0] - plate[0])[fits].sum(), rtol=1e-3, atol=1e-2)


def test_colours_that_are_gone_are_forgotten() -> None:
    """What faded for long is 0, not a denormal number, with which processors are slow."""
    evidence = watched(5)
    room_only = frame_of(0 * person(), 6, behind=np.full_like(room(), 90))
    nobody = halved(0 * person())
    evidence.weigh(room_only, nobody)
    for _ in range(700):
        evidence.learn(room_only, nobody)
    counts = evidence._colours  # noqa: SLF001 - what is learned
    assert counts is not None
    assert np.count_nonzero(counts[0]) == 0
    assert counts[1].sum() == pytest.approx(1)
    assert counts[counts > 0].min() > np.finfo(np.float32).tiny
