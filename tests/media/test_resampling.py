"""Resizing kernels against OpenCV, SciPy and NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage  # type: ignore[import-untyped, unused-ignore]

from greenroom.media.resampling import halve, shrink, upsample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
seeds = st.integers(0, 2**31)


def random_plane(seed: int, shape: tuple[int, int]) -> Plane:
    """Return a plane of random samples with padded rows."""
    height, width = shape
    source = np.random.default_rng(seed)
    return source.integers(0, 256, (height, width + 5), np.uint8)[:, 2:-3]


class TestUpsample:
    """The enlarging of a matte."""

    @given(shapes, shapes, seeds)
    def test_is_bilinear(self, small: tuple[int, int], large: tuple[int, int], seed: int) -> None:
        """Values are interpolated as OpenCV does, to ±1, whichever size is larger."""
        coarse = np.random.default_rng(seed).random(small, np.float32)
        out = np.empty(large, np.uint8)
        upsample(coarse, out)
        expected = cv2.resize(255 * coarse, large[::-1], interpolation=cv2.INTER_LINEAR)
        assert_allclose(out.astype(float), np.asarray(expected), atol=1)

    @given(shapes, st.integers(1, 5), seeds)
    def test_agrees_with_scipy(self, small: tuple[int, int], factor: int, seed: int) -> None:
        """At whole factors the result is SciPy's spline of order one on aligned centres."""
        coarse = np.random.default_rng(seed).random(small, np.float32)
        out = np.empty((small[0] * factor, small[1] * factor), np.uint8)
        upsample(coarse, out)
        places = np.meshgrid(
            *((np.arange(length) + 0.5) / factor - 0.5 for length in out.shape), indexing="ij"
        )
        expected = ndimage.map_coordinates(255 * coarse, places, order=1, mode="nearest")
        assert_allclose(out.astype(float), expected, atol=1)

    @given(shapes, shapes, st.sampled_from([0.0, 1.0]))
    def test_ends_are_exact(
        self, small: tuple[int, int], large: tuple[int, int], value: float
    ) -> None:
        """All background stays 0 and all foreground 255."""
        out = np.full(large, 99, np.uint8)
        upsample(np.full(small, value, np.float32), out)
        assert_array_equal(out, np.full(large, 255 * value))

    def test_rounding_errors_of_a_model_do_not_wrap(self) -> None:
        """Values a little outside 0..1, as models answer, become 0 and 255."""
        coarse = np.array([[-1e-3, 1 + 1e-3], [1 + 1e-3, -1e-3]], np.float32)
        out = np.empty((64, 64), np.uint8)
        upsample(coarse, out)
        assert (out[0, 0], out[0, -1], out[-1, 0], out[-1, -1]) == (0, 255, 255, 0)
        assert (abs(np.diff(out.astype(int), axis=1)) < 20).all()


class TestHalve:
    """The mean of 2x2 samples."""

    @given(shapes, seeds)
    def test_is_the_rounded_mean(self, shape: tuple[int, int], seed: int) -> None:
        """Each sample is the rounded mean of four, odd edges repeated."""
        plane = random_plane(seed, shape)
        out = np.empty(((shape[0] + 1) // 2, (shape[1] + 1) // 2), np.uint8)
        halve(plane, out)
        padded = np.pad(plane, ((0, shape[0] % 2), (0, shape[1] % 2)), mode="edge").astype(int)
        blocks = padded.reshape(out.shape[0], 2, out.shape[1], 2)
        assert_array_equal(out, (blocks.sum(axis=(1, 3)) + 2) // 4)


class TestShrink:
    """The mean over areas."""

    @given(shapes, shapes, seeds)
    def test_is_the_mean_of_the_area(
        self, one: tuple[int, int], other: tuple[int, int], seed: int
    ) -> None:
        """Each sample is the mean of what it covers, parts of samples by their share."""
        large, small = (tuple(map(pick, one, other)) for pick in (max, min))
        plane = random_plane(seed, (large[0], large[1]))
        out = np.empty(small, np.float32)
        shrink(plane, out)
        # Each sample becomes as many as the small grid has, and each of that as many as the large.
        parts = plane.astype(float).repeat(small[0], axis=0).repeat(small[1], axis=1)
        blocks = parts.reshape(small[0], large[0], small[1], large[1])
        assert_allclose(out, blocks.mean(axis=(1, 3)), atol=1e-3)

    def test_is_not_for_enlarging(self) -> None:
        """A grid larger than the plane is a TypeError."""
        with pytest.raises(TypeError, match="cannot be shrunk"):
            shrink(random_plane(0, (4, 4)), np.empty((4, 5), np.float32))
