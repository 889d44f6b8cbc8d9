"""Planes at another size, and networks' inputs made of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom.media.resizing import fill, resized, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

lengths = st.integers(1, 300)
shapes = st.tuples(lengths, lengths)
seeds = st.integers(0, 2**32 - 1)


def drawn(shape: tuple[int, int], seed: int = 0) -> Plane:
    """Return a plane of noise, whose rows are padded, in memory that ends with them."""
    height, width = shape
    return np.random.default_rng(seed).integers(0, 256, (height, width + 3), np.uint8)[:, 3:]


def by_opencv(plane: Plane, shape: tuple[int, int]) -> Plane:
    """Resize by OpenCV's Gaussian filter and bicubic interpolation, in real numbers."""
    sigmas = [
        math.sqrt(max(0.0, (length / wanted) ** 2 - 1) / 6)
        for length, wanted in zip(plane.shape, shape, strict=True)
    ]
    down, across = (
        cv2.getGaussianKernel(2 * math.ceil(1.5 * sigma) + 1 if sigma > 0.3 else 1, sigma)
        for sigma in sigmas
    )
    filtered = cv2.sepFilter2D(plane.astype(np.float32), -1, across, down)
    found = cv2.resize(filtered, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.rint(np.clip(found, 0, 255)).astype(np.uint8)


def dense(length: int, wanted: int) -> NDArray[np.float64]:
    """Return the weights as a matrix (wanted, length)."""
    starts, found = weights(length, wanted)
    matrix = np.zeros((wanted, length))
    for row, start in enumerate(starts):
        matrix[row, start : start + len(found)] = found[:, row]
    return matrix


def by_weights(plane: Plane, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Resize by the whole matrices of weights."""
    down = dense(plane.shape[0], shape[0])
    across = dense(plane.shape[1], shape[1])
    return np.clip(down @ plane @ across.T, 0, 255)


class TestResized:
    """One plane."""

    @settings(deadline=None)
    @given(shapes, shapes, seeds)
    def test_is_a_gaussian_filter_and_bicubic_interpolation(
        self, shape: tuple[int, int], wanted: tuple[int, int], seed: int
    ) -> None:
        """It is what OpenCV makes with both but for the filter's ends, edges included."""
        plane = drawn(shape, seed)
        assert np.abs(resized(plane, wanted) - by_opencv(plane, wanted).astype(int)).max() <= 16
        smooth = np.asarray(cv2.blur(plane, (31, 31)), np.uint8)
        assert np.abs(resized(smooth, wanted) - by_opencv(smooth, wanted).astype(int)).max() <= 2

    @settings(deadline=None)
    @given(shapes, shapes, seeds)
    def test_is_what_its_weights_say(
        self, shape: tuple[int, int], wanted: tuple[int, int], seed: int
    ) -> None:
        """Each sample is the weighted sum of some, rounded and cut to 0..255."""
        plane = drawn(shape, seed)
        assert_allclose(resized(plane, wanted), by_weights(plane, wanted), atol=0.51)

    def test_the_same_size_stays_as_it_is(self) -> None:
        """Nothing is filtered where nothing is resized; memory is new."""
        plane = drawn((31, 47))
        assert_array_equal(resized(plane, (31, 47)), plane)
        assert not np.shares_memory(resized(plane, (31, 47)), plane)


class TestWeights:
    """What samples count."""

    @given(lengths, lengths)
    def test_count_one_together(self, length: int, wanted: int) -> None:
        """They add up to one, and no sample outside counts."""
        starts, found = weights(length, wanted)
        assert_allclose(found.sum(axis=0), 1, atol=1e-6)
        assert starts.min() >= 0
        assert starts.max() + len(found) <= length


class TestFill:
    """Three planes as a network's input."""

    @settings(max_examples=30, deadline=None)
    @given(shapes, st.sampled_from(["yuv420p", "yuv444p"]), shapes, seeds)
    def test_is_the_matrix_of_resized_planes(
        self, shape: tuple[int, int], kind: str, wanted: tuple[int, int], seed: int
    ) -> None:
        """Each channel is a weighted sum of the three planes at one size, within its limits."""
        rng = np.random.default_rng(seed)
        half = ((shape[0] + 1) // 2, (shape[1] + 1) // 2) if kind == "yuv420p" else shape
        planes = (drawn(shape, seed), drawn(half, seed + 1), drawn(half, seed + 2))
        matrix = rng.uniform(-0.01, 0.01, (3, 4)).astype(np.float32)
        limits = np.array([[-1, 1], [-0.5, 2], [0, 0.3]], np.float32)
        out = np.empty((*wanted, 3), np.float32)
        fill(planes, matrix, limits, out)
        resized = [by_weights(one, wanted) for one in planes]
        samples = np.stack([*resized, np.ones(wanted)])
        expected = np.einsum("cp,phw->hwc", matrix, samples)
        assert_allclose(out, np.clip(expected, limits[:, 0], limits[:, 1]), atol=1e-4)

    def test_other_arrays_are_refused(self) -> None:
        """What the core cannot write to is an error."""
        planes = (drawn((8, 8)), drawn((4, 4)), drawn((4, 4)))
        matrix, limits = np.zeros((3, 4), np.float32), np.zeros((3, 2), np.float32)
        wrong = [np.empty((6, 6, 3)), np.empty((6, 6, 4), np.float32)[..., :3]]
        for out in wrong:
            with pytest.raises(TypeError):
                fill(planes, matrix, limits, out)  # type: ignore[arg-type]
