"""The loops over the small grids against NumPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from grids import SHAPES, enlarged, halved, mean3, somebody, window
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom.matting.grid_kernels import (
    count_found,
    half_of,
    halve_part,
    know,
    mask_coverage,
    place,
    put,
    settle,
)

small = st.tuples(st.integers(1, 40), st.integers(1, 40))
seeds = st.integers(0, 2**31)
kinds = st.sampled_from(["some", "nobody", "everybody", "noise"])


class TestPlace:
    """An answer in its place."""

    @settings(deadline=None)
    @given(small, st.tuples(st.integers(1, 45), st.integers(1, 50)))
    def test_is_bilinear(self, low: tuple[int, int], shape: tuple[int, int]) -> None:
        """It is OpenCV's interpolation, into a part of a larger grid and nowhere else."""
        values = np.random.default_rng(4).random(low, np.float32)
        grid = np.zeros((50, 60), np.float32)
        part = grid[3 : 3 + shape[0], 7 : 7 + shape[1]]
        place(values, part)
        expected = cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)
        assert_allclose(part, np.asarray(expected).reshape(shape), atol=1e-5)
        part[...] = 0
        assert not grid.any()


class TestHalvePart:
    """The half grid, and who is there."""

    @settings(deadline=None)
    @given(small, kinds, seeds)
    def test_is_the_mean(self, shape: tuple[int, int], kind: str, seed: int) -> None:
        """Every sample is the mean of four, and what is covered by half or more is counted."""
        rng = np.random.default_rng(seed)
        left, right = sorted(rng.integers(0, shape[1] + 1, 2).tolist())
        top, bottom = sorted(rng.integers(0, shape[0] + 1, 2).tolist())
        grid = np.zeros(shape, np.float32)
        grid[top:bottom, left:right] = somebody(shape, seed, kind)[top:bottom, left:right]
        half = np.full(half_of(shape), np.nan, np.float32)
        seen = halve_part(grid, (left, top, right, bottom), half)
        assert_allclose(half, halved(grid), atol=1e-6)
        rows, columns = np.nonzero(half >= 0.5)
        assert seen.area == len(rows)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None
        assert tuple(seen[1:5]) == (box or (0, 0, 0, 0))
        assert seen.is_anybody == bool((grid >= 0.5).any())
        part = grid[top:bottom, left:right]
        assert seen.is_full == bool(part.size and (part[::4, ::4] >= 0.5).all())

    @settings(deadline=None)
    @given(small, small, kinds, seeds)
    def test_put_is_both(
        self, shape: tuple[int, int], low: tuple[int, int], kind: str, seed: int
    ) -> None:
        """An answer that is put is placed and halved as if one came after the other."""
        rng = np.random.default_rng(seed)
        left, right = sorted(rng.integers(0, shape[1] + 1, 2).tolist())
        top, bottom = sorted(rng.integers(0, shape[0] + 1, 2).tolist())
        part, answer = (left, top, right, bottom), somebody(low, seed, kind)
        grid, half = np.zeros(shape, np.float32), np.empty(half_of(shape), np.float32)
        seen = put(answer, grid, part, half)
        expected = np.zeros(shape, np.float32)
        if left < right and top < bottom:
            place(answer, expected[top:bottom, left:right])
        assert_array_equal(grid, expected)
        expected_half = np.empty_like(half)
        assert seen == halve_part(expected, part, expected_half)
        assert_array_equal(half, expected_half)

    @pytest.mark.parametrize("part", [(-1, 0, 4, 4), (0, 0, 5, 4), (3, 0, 2, 4), (0, 2, 4, 1)])
    def test_a_part_lies_within(self, part: tuple[int, int, int, int]) -> None:
        """The core is never told to look outside of a grid."""
        with pytest.raises(ValueError, match="is not within"):
            halve_part(np.zeros((4, 4), np.float32), part, np.zeros((2, 2), np.float32))


class TestCountFound:
    """Who is found, and how many of them nobody knows."""

    @settings(deadline=None)
    @given(small, st.integers(0, 50), kinds, kinds, seeds)
    def test_is_as_opencv_has_it(
        self, shape: tuple[int, int], reach: int, kind: str, before: str, seed: int
    ) -> None:
        """Those are strangers whom a window around the known does not reach."""
        half = somebody(shape, seed, kind)
        known = (somebody(shape, seed + 1, before) >= 0.9).astype(np.uint8)
        near = cv2.dilate(known, window(reach)).reshape(shape)
        found = half >= 0.5
        assert count_found(half, known, reach) == (found.sum(), (found & (near == 0)).sum())
        assert count_found(half, None, reach) == (found.sum(), found.sum())


@settings(deadline=None)
@given(small, kinds, st.booleans(), seeds)
def test_know(shape: tuple[int, int], kind: str, first: bool, seed: int) -> None:
    """Where anybody is, and where anybody is or was."""
    half = somebody(shape, seed, kind)
    last = (somebody(shape, seed + 1) >= 0.5).astype(np.uint8)
    now, either, area = know(half, None if first else last)
    assert_array_equal(now, half >= 0.5)
    assert_array_equal(either, (half >= 0.5) | ((last > 0) & (not first)))
    assert area == (half >= 0.5).sum()


@settings(deadline=None)
@given(st.tuples(st.integers(1, 50), st.integers(1, 120)), kinds, kinds, seeds)
def test_mask_coverage(shape: tuple[int, int], kind: str, masked: str, seed: int) -> None:
    """Coverage is multiplied by the mask, enlarged; it is told whether half of any is left."""
    coverage = somebody(shape, seed, kind)
    mask = (somebody(half_of(shape), seed + 1, masked) >= 0.5).astype(np.uint8)
    expected = coverage * enlarged(mask.astype(np.float32), shape)
    assert mask_coverage(mask, coverage) == (coverage >= 0.5).any()
    assert_allclose(coverage, expected, atol=1e-6)


class TestSettle:
    """What is followed over time."""

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("kind", ["some", "nobody", "everybody", "noise"])
    @pytest.mark.parametrize("weighed", [True, False])
    def test_three_frames(self, shape: tuple[int, int], kind: str, weighed: bool) -> None:
        """Shares by how still the picture is, Bayes' rule, and a share of the way: NumPy's."""
        rng = np.random.default_rng(1)
        size, half = shape[0] * shape[1], half_of(shape)
        history = np.zeros(size + 3 * half[0] * half[1], np.float32)
        picture = np.zeros(shape, np.int16)
        steady, reference = np.zeros(shape), np.zeros(shape)
        reference_half, age = np.zeros(half), np.zeros(half)
        surest, still, least = 0.9, 30.0, 0.1
        half_luma = rng.integers(0, 256, half, dtype=np.uint8)
        for number in range(3):
            coarse = somebody(shape, number, kind)
            prior = halved(coarse).astype(np.float32)
            odds = (0.05 + 0.9 * rng.random(half, np.float32)) if weighed else None
            noise = rng.integers(-20, 20, half)
            half_luma = np.clip(half_luma.astype(int) + noise, 0, 255).astype(np.uint8)
            luma = rng.integers(0, 256, (shape[0], shape[1] + 5), dtype=np.uint8)[:, : shape[1]]
            box = settle(
                history,
                picture,
                coarse,
                prior,
                odds,
                half_luma,
                luma,
                surest=surest,
                still=still,
                least=least,
            )
            moving = np.clip(mean3(np.abs(half_luma - reference_half)) / still - 1, 0, 1)
            age = age * (1 - moving) + 1
            share = np.maximum(np.maximum(1 / age, moving), least)
            reference_half += share * (half_luma - reference_half)
            way, value = enlarged(share, shape), np.minimum(coarse, surest).astype(np.float64)
            p = 0.5 if odds is None else enlarged(odds, shape)
            steady += way * (value * p / (value * p + (1 - value) * (1 - p)) - steady)
            steady[steady <= 2**-20] = 0
            reference += way * (luma - reference)
            ours = np.split(history, np.cumsum([size, *[half[0] * half[1]] * 2]))
            for one, expected in zip(
                ours, (steady, halved(steady), reference_half, age), strict=True
            ):
                assert_allclose(one.reshape(expected.shape), expected, rtol=1e-4, atol=5e-4)
            assert_allclose(picture / 128, reference, atol=0.05)
            rows, columns = np.nonzero(ours[1].reshape(half) >= 0.5)
            expected_box = (0, 0, 0, 0)
            if len(rows):
                expected_box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert box == expected_box

    def followed(self, history: np.ndarray, coarse: np.ndarray, *, nobody: bool = False) -> None:
        """Follow a still picture for a frame."""
        half = half_of(coarse.shape)
        settle(
            history,
            np.zeros(coarse.shape, np.int16),
            coarse,
            halved(coarse).astype(np.float32),
            None,
            np.zeros(half, np.uint8),
            np.zeros(coarse.shape, np.uint8),
            surest=1,
            still=3,
            least=0.1,
            is_nobody=nobody,
        )

    def test_ends_at_nothing(self) -> None:
        """Where nobody is any more the matte becomes 0 and not ever smaller, denormal numbers."""
        history = np.zeros(80 + 3 * 20, np.float32)
        self.followed(history, np.ones((8, 10), np.float32))
        assert (history[:80] == 1).all()
        for _ in range(200):
            self.followed(history, np.zeros((8, 10), np.float32))
        assert_array_equal(history[:80], 0)
        assert_array_equal(history[80:100], 0)

    def test_leaves_nothing_of_nobody(self) -> None:
        """Where nobody is said to be the matte is 0 at once, on both grids."""
        history = np.zeros(80 + 3 * 20, np.float32)
        self.followed(history, np.ones((8, 10), np.float32))
        self.followed(history, np.full((8, 10), 0.4, np.float32), nobody=True)
        assert_array_equal(history[:80], 0)
        assert_array_equal(history[80:100], 0)

    def test_what_is_not_a_number_is_nobody(self) -> None:
        """A value that is not a number never becomes part of a matte."""
        history = np.zeros(80 + 3 * 20, np.float32)
        coarse = np.ones((8, 10), np.float32)
        coarse[3, 4] = np.nan
        half = np.ones((4, 5), np.float32)
        odds, luma = np.full((4, 5), 0.5, np.float32), np.zeros((8, 10), np.uint8)
        picture = np.zeros((8, 10), np.int16)
        settle(
            history,
            picture,
            coarse,
            half,
            odds,
            luma[::2, ::2].copy(),
            luma,
            surest=1,
            still=3,
            least=0.1,
        )
        assert history[3 * 10 + 4] == 0
        assert np.isfinite(history).all()
