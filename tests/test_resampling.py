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

from greenroom.resampling import halve, shrink, upsample

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


def smooth(shape: tuple[int, int], sigma: float) -> Plane:
    """Return a plane without detail finer than a scale."""
    noise = np.random.default_rng(3).standard_normal(shape)
    values = ndimage.gaussian_filter(noise, sigma)
    values = (values - values.min()) / np.ptp(values)
    return np.asarray(255 * values, np.uint8)


def shrunk(plane: Plane, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a plane resized to a shape."""
    out = np.full(shape, np.nan, np.float32)
    shrink(plane, out)
    return out


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
    """The making of a model's input."""

    @given(shapes, st.integers(1, 4), seeds)
    def test_enlarging_is_bilinear(self, shape: tuple[int, int], factor: int, seed: int) -> None:
        """At the same size or a larger one this is bilinear interpolation."""
        plane = random_plane(seed, shape)
        large = (shape[0] * factor, shape[1] * factor)
        expected = cv2.resize(plane.astype(np.float32), large[::-1])
        # Weights are in steps of 1/256, in both directions.
        assert_allclose(shrunk(plane, large), np.asarray(expected), atol=2)

    @given(shapes, shapes, st.integers(0, 255))
    def test_flat_stays_flat(
        self, shape: tuple[int, int], target: tuple[int, int], value: int
    ) -> None:
        """A plane of one value keeps exactly that value at any size."""
        plane = np.full(shape, value, np.uint8)
        assert_allclose(shrunk(plane, target), value, atol=1e-3)

    @pytest.mark.parametrize("shape", [(144, 256), (256, 256), (100, 150), (270, 480)])
    def test_smooth_pictures_shrink_as_by_area(self, shape: tuple[int, int]) -> None:
        """What has no detail finer than the result looks as OpenCV's mean over areas."""
        plane = smooth((540, 960), 30)
        expected = cv2.resize(plane.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
        assert_allclose(shrunk(plane, shape), np.asarray(expected), atol=2)

    @pytest.mark.parametrize("factor", [2, 3])
    def test_fine_stripes_become_grey(self, factor: int) -> None:
        """Detail finer than the result is averaged, not sampled."""
        plane = np.zeros((60 * factor, 80 * factor), np.uint8)
        plane[:, ::2] = 255
        result = shrunk(plane, (60, 80))[:, 2:-2]
        assert np.ptp(result) < 60
        assert abs(result - 127.5).max() < 60

    def test_nothing_is_shifted(self) -> None:
        """The centre of mass of a spot stays where it is."""
        y, x = np.mgrid[0:360, 0:640]
        plane = np.asarray(255 * np.exp(-((x - 200.5) ** 2 + (y - 100.5) ** 2) / 800), np.uint8)
        for shape in ((144, 256), (256, 256), (180, 320)):
            result = shrunk(plane, shape)
            centre = [
                (place + 0.5) * 640 / shape[1] if axis else (place + 0.5) * 360 / shape[0]
                for axis, place in enumerate(ndimage.center_of_mass(result))
            ]
            assert_allclose(centre, [101, 201], atol=0.6)

    def test_input_is_not_changed(self) -> None:
        """The plane is only read."""
        plane = random_plane(1, (90, 120))
        before = plane.copy()
        shrunk(plane, (20, 30))
        assert_array_equal(plane, before)
