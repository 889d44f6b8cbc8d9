"""The loops that steady a matte and give it edges, against NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom.matting.edge_kernels import follow, guide, place, settle, sharpen
from greenroom.matting.guided_kernels import EDGE, EMPTY, FULL, classify, fit

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPES = [(2, 2), (8, 10), (9, 11), (27, 48), (33, 2)]


def enlarged(values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Enlarge bilinearly, samples' centres aligned, edges repeated."""
    result = values.astype(np.float64)
    for axis, length in enumerate(shape):
        count = result.shape[axis]
        # Of an odd length the half grid stands for a sample more.
        factor = 2.0 if count == (length + 1) // 2 else length / count
        places = np.clip((np.arange(length) + 0.5) / factor - 0.5, 0, count - 1)
        low = np.minimum(places.astype(int), max(count - 2, 0))
        high = np.minimum(low + 1, count - 1)
        share = (places - low).reshape([-1 if one == axis else 1 for one in range(2)])
        result = np.take(result, low, axis) * (1 - share) + np.take(result, high, axis) * share
    return result


def half(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the shape of the half grid."""
    return (shape[0] + 1) // 2, (shape[1] + 1) // 2


@pytest.mark.parametrize("shape", SHAPES)
def test_settle(shape: tuple[int, int]) -> None:
    """Bayes' rule, and then a share of the way."""
    rng = np.random.default_rng(1)
    coarse, steady, reference = (rng.random(shape, np.float32) for _ in range(3))
    odds, share = (0.05 + 0.9 * rng.random(half(shape), np.float32) for _ in range(2))
    luma = np.pad(rng.integers(0, 256, shape, dtype=np.uint8), ((0, 0), (0, 5)))[:, : shape[1]]
    way, p = enlarged(share, shape), enlarged(odds, shape)
    prior = np.minimum(coarse, 0.9)
    posterior = prior * p / (prior * p + (1 - prior) * (1 - p))
    expected = steady + way * (posterior - steady), reference + way * (luma - reference)
    settle(coarse, 0.9, odds, share, luma, steady, reference)
    assert_allclose(steady, expected[0], atol=1e-5)
    assert_allclose(reference, expected[1], atol=1e-3)


def test_settle_ends_at_nothing() -> None:
    """Where nobody is any more the matte becomes 0 and not ever smaller, denormal numbers."""
    shape = (8, 10)
    steady, reference = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    share = np.full(half(shape), 0.1, np.float32)
    odds = np.full(half(shape), 0.5, np.float32)
    for _ in range(200):
        settle(
            np.zeros(shape, np.float32),
            0.997,
            odds,
            share,
            np.zeros(shape, np.uint8),
            steady,
            reference,
        )
    assert_array_equal(steady, 0)


@pytest.mark.parametrize("shape", SHAPES)
def test_guide(shape: tuple[int, int]) -> None:
    """The local linear models are applied to the guide, and made steeper."""
    rng = np.random.default_rng(2)
    slopes, offsets = (rng.normal(size=half(shape)).astype(np.float32) for _ in range(2))
    reference = rng.random(shape, np.float32)
    base, slope = np.empty(shape, np.float32), np.empty(shape, np.float32)
    guide(slopes, offsets, reference, 0.6, 1.5, base, slope)
    steep = enlarged(slopes, shape)
    value = steep * reference + enlarged(offsets, shape)
    assert_allclose(base, (value - 0.6) * 1.5 + 0.5, atol=1e-5)
    assert_allclose(slope, 1.5 * steep, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(2, 20), st.integers(2, 20)),
    st.floats(1, 5),
    st.floats(0, 10, width=32),
    st.integers(0, 99),
)
def test_sharpen(shape: tuple[int, int], factor: float, core: float, seed: int) -> None:
    """Everything is enlarged, and detail beyond the noise counts by the slope."""
    rng = np.random.default_rng(seed)
    large = round(shape[0] * factor), round(shape[1] * factor)
    base = (2 * rng.random(shape, np.float32) - 0.5).astype(np.float32)
    slope = (0.01 * rng.normal(size=shape)).astype(np.float32)
    reference = (255 * rng.random(shape, np.float32)).astype(np.float32)
    luma = np.pad(rng.integers(0, 256, large, dtype=np.uint8), ((0, 0), (0, 3)))[:, : large[1]]
    out = np.empty(large, np.uint8)
    kinds = np.full(half(shape), EDGE, np.uint8)
    sharpen(base, slope, reference, kinds, luma, core, out)

    def stretched(values: NDArray[np.float32]) -> NDArray[np.float64]:
        rows, columns = (
            np.clip((np.arange(n) + 0.5) * m / n - 0.5, 0, m - 1)
            for n, m in zip(large, shape, strict=True)
        )
        across = np.stack([np.interp(columns, np.arange(shape[1]), row) for row in values])
        return np.stack(
            [np.interp(rows, np.arange(shape[0]), column) for column in across.T], axis=1
        )

    step = luma - stretched(reference)
    detail = np.sign(step) * np.maximum(np.abs(step) - core, 0)
    expected = 255 * np.clip(stretched(base) + stretched(slope) * detail, 0, 1)
    assert np.abs(out - expected).max() <= 1


def test_sharpen_fills_in() -> None:
    """Where the matte is certain nothing is computed."""
    base = np.full((8, 8), 0.5, np.float32)
    kinds = np.array([[EMPTY] * 4, [EMPTY, FULL, FULL, EMPTY], [FULL] * 4, [EDGE] * 4], np.uint8)
    out = np.empty((32, 32), np.uint8)
    sharpen(base, 0 * base, base, kinds, np.zeros((32, 32), np.uint8), 0.0, out)
    expected = np.repeat(np.repeat(np.array([0, 255, 128])[kinds], 8, 0), 8, 1)
    assert_array_equal(out, expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (2, 2), (5, 3), (27, 48)])
def test_fit(shape: tuple[int, int]) -> None:
    """The guided filter's coefficients, as its paper has them, with OpenCV's means."""
    rng = np.random.default_rng(5)
    guided, matte = 255 * rng.random(shape), rng.random(shape)
    slopes, offsets = np.empty(shape, np.float32), np.empty(shape, np.float32)
    fit(guided.astype(np.float32), matte.astype(np.float32), 200.0, slopes, offsets)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(values, (3, 3)))

    covariance = mean(guided * matte) - mean(guided) * mean(matte)
    slope = covariance / (mean(guided * guided) - mean(guided) ** 2 + 200)
    assert_allclose(slopes, mean(slope), atol=1e-6)
    assert_allclose(offsets, mean(mean(matte) - slope * mean(guided)), atol=1e-4)


def test_classify() -> None:
    """At either end whatever the guide is, or an edge."""
    offsets = np.repeat(np.array([[-1, 0, 0.5, 1, 2]], np.float32), 3, axis=1)
    kinds = np.empty(offsets.shape, np.uint8)
    expected = {
        0: [EMPTY, EMPTY, EDGE, FULL, FULL],
        1: [EMPTY, EDGE, EDGE, FULL, FULL],
        -1: [EMPTY, EMPTY, EDGE, EDGE, FULL],
    }
    for slope, alone in expected.items():
        classify(0 * offsets + slope / 255, offsets, 255.0, 0.0, 1.0, kinds)
        assert kinds[0, 1::3].tolist() == alone


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.integers(0, 99))
def test_neighbours_of_another_kind_are_edges(shape: tuple[int, int], seed: int) -> None:
    """Where the matte is enlarged, all samples around are of the kind that is filled in."""
    offsets = np.random.default_rng(seed).choice([-1, 0.5, 2], shape, p=[0.45, 0.1, 0.45])
    kinds = np.empty(shape, np.uint8)
    classify(0 * offsets.astype(np.float32), offsets.astype(np.float32), 255.0, 0.0, 1.0, kinds)
    own = np.select([offsets < 0, offsets > 1], [EMPTY, FULL], EDGE).astype(np.uint8)
    low, high = (edit(own, np.ones((3, 3), np.uint8)) for edit in (cv2.erode, cv2.dilate))
    assert_array_equal(kinds, np.where(low == high, own, EDGE))


def test_follow() -> None:
    """A still picture is averaged evenly at first, a moving one taken as it is."""
    shape = (1, 3)
    age, reference = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    share = np.empty(shape, np.float32)
    luma = np.full(shape, 90, np.uint8)
    change = np.array([[0, 3, 6]], np.float32)
    for count in range(1, 30):
        follow(change, luma, 3.0, 0.1, age, reference, share)
        assert_allclose(share, [[max(1 / count, 0.1)] * 2 + [1]], rtol=1e-5)
    assert_allclose(reference, 90)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (17, 30), (40, 41)])
def test_place(shape: tuple[int, int]) -> None:
    """It is OpenCV's bilinear interpolation, into a part of a larger grid."""
    values = np.random.default_rng(4).random((8, 9), np.float32)
    grid = np.zeros((50, 60), np.float32)
    place(values, grid[3 : 3 + shape[0], 7 : 7 + shape[1]])
    expected = cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)
    assert_allclose(grid[3 : 3 + shape[0], 7 : 7 + shape[1]], expected, atol=1e-5)
    grid[3 : 3 + shape[0], 7 : 7 + shape[1]] = 0
    assert not grid.any()
