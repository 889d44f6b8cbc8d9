"""A frame's planes at small sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom.media.pyramid import crop, halved, halvings_to, pyramid, working_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

kinds = st.sampled_from(["yuv420p", "yuv444p", "gray"])
sizes = st.tuples(st.integers(1, 1300), st.integers(1, 1300))


def drawn(size: tuple[int, int], kind: str, seed: int = 0) -> tuple[Plane, ...]:
    """Return planes of noise, whose rows are padded, in memory that ends with them."""
    width, height = size
    half = (height + 1) // 2, (width + 1) // 2
    further = {"yuv420p": [half, half], "yuv444p": 2 * [(height, width)], "gray": []}[kind]
    rng = np.random.default_rng(seed)
    shapes = [(height, width), *further]
    return tuple(rng.integers(0, 256, (h, w + 5), np.uint8)[:, 5:] for h, w in shapes)


def waves(shape: tuple[int, ...]) -> Plane:
    """Return a smooth picture."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(127.5 + 60 * np.sin(x / 41) + 60 * np.cos(y / 47), np.uint8)


def mean_of_four(plane: Plane) -> Plane:
    """Return the rounded mean of every 2x2 samples, without the core."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge").astype(int)
    blocks = padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2)
    return np.asarray((blocks.sum(axis=(1, 3)) + 2) // 4, np.uint8)


class TestPyramid:
    """All small planes of a frame."""

    @settings(max_examples=40, deadline=None)
    @given(sizes, kinds, st.integers(0, 2**32 - 1))
    def test_is_what_halving_again_and_again_makes(
        self, size: tuple[int, int], kind: str, seed: int
    ) -> None:
        """Every level is the rounded mean of 2x2 samples of the one before it."""
        planes = drawn(size, kind, seed)
        made = pyramid(planes)
        expected = planes
        for _ in range(halvings_to(size, (256, 256))):
            expected = tuple(mean_of_four(plane) for plane in expected)
        assert made.small[0].shape == working_size(size)[::-1]
        for found, wanted in zip(made.small, expected, strict=True):
            if working_size(size) == expected[0].shape[::-1]:
                assert_array_equal(found, wanted)
            assert found.flags.c_contiguous
        check_halves(made.small, made.halves, made.glance)

    @pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 9), (3, 200), (511, 1), (1030, 515)])
    @pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "gray"])
    def test_odd_sizes(self, size: tuple[int, int], kind: str) -> None:
        """The smallest sizes and odd ones have all levels, too."""
        made = pyramid(drawn(size, kind))
        check_halves(made.small, made.halves, made.glance)

    @pytest.mark.parametrize("size", [(640, 480), (480, 640), (1025, 769), (2047, 385), (854, 482)])
    @pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "gray"])
    def test_two_thirds_are_nearly_means_of_the_area(
        self, size: tuple[int, int], kind: str
    ) -> None:
        """Where halving is too much or too little, a sample is nearly the mean of 1.5x1.5."""
        planes = tuple(waves(plane.shape) for plane in drawn(size, kind))
        made = pyramid(planes)
        width, height = working_size(size)
        assert (width % 4, height % 4) == (0, 0)
        assert 256 <= min(width, height) < 384
        for found, plane in zip(made.small, halved(planes, made.halvings), strict=True):
            means = cv2.resize(plane, found.shape[::-1], interpolation=cv2.INTER_AREA)
            assert_allclose(found, means, atol=5)
            assert abs(found.astype(float).mean() - plane.mean()) < 0.5
        check_halves(made.small, made.halves, made.glance)

    @pytest.mark.parametrize("value", [0, 1, 127, 255])
    def test_two_thirds_of_one_colour_are_that_colour(self, value: int) -> None:
        """Weights add up to one, and nothing overflows."""
        made = pyramid((np.full((480, 640), value, np.uint8),))
        assert_array_equal(made.small[0], np.full((320, 428), value))

    def test_small_frames_are_not_copied(self) -> None:
        """What is small enough and contiguous is the frame's own memory."""
        planes = tuple(np.ascontiguousarray(plane) for plane in drawn((320, 200), "yuv420p"))
        assert pyramid(planes).small is planes

    def test_planes_that_do_not_belong_together_are_refused(self) -> None:
        """Planes of other sizes or types are an error, not read in the dark."""
        first, second, third = drawn((64, 48), "yuv420p")
        wrong: list[Any] = [
            (first, second[:-1], third),
            (first, second, third[:-1]),
            (first.view(np.int8), second, third),
            (first, second.T, third),
        ]
        for planes in wrong:
            with pytest.raises(TypeError):
                pyramid(planes)


def check_halves(small: tuple[Plane, ...], halves: NDArray[np.uint8], glance: Plane) -> None:
    """Compare the half grid and the glance with what the working grid makes them."""
    assert_array_equal(halves[0], mean_of_four(small[0]))
    for found, plane in zip(halves[1:], small[1:], strict=True):
        assert_array_equal(found, plane if plane.shape == found.shape else mean_of_four(plane))
    assert_array_equal(glance, mean_of_four(mean_of_four(halves[0])))


class TestCut:
    """Parts of the picture for a model."""

    @pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "gray"])
    @pytest.mark.parametrize("size", [(2050, 1101), (1280, 720), (300, 200)])
    def test_is_part_of_the_halved_planes(self, size: tuple[int, int], kind: str) -> None:
        """A part is what it is of planes that were halved as a whole, odd borders included."""
        planes = drawn(size, kind)
        made = pyramid(planes)
        height, width = made.small[0].shape
        boxes = [(0, 0, width, height), (10, 20, 190, 100), (width // 4 * 2, 8, width, height)]
        for box in boxes:
            parts = crop(planes, made, box)
            shorter = min(box[2] - box[0], box[3] - box[1])
            times = made.halvings
            while times and shorter << (made.halvings - times) < 256:
                times -= 1
            scale = 1 << (made.halvings - times)
            for found, whole in zip(parts, halved(planes, times), strict=True):
                step = 1 if whole.shape == halved(planes, times)[0].shape else 2
                left, top = box[0] * scale // step, box[1] * scale // step
                wanted = whole[top:, left:][: found.shape[0], : found.shape[1]]
                assert_array_equal(found, wanted)
            if box[2:] != (width, height):
                assert parts[0].shape == ((box[3] - box[1]) * scale, (box[2] - box[0]) * scale)

    def test_of_two_thirds_is_cut_from_what_was_halved(self) -> None:
        """A model is given the picture as it was before; a place is off by a sample at most."""
        planes = drawn((1281, 961), "yuv420p")
        made = pyramid(planes)
        whole = halved(planes, 1)
        height, width = made.small[0].shape
        assert_array_equal(crop(planes, made, (0, 0, width, height))[0], whole[0])
        found = crop(planes, made, (40, 20, width, 300))[0]
        left, top = (2 * round(place / 2 * 1.5) for place in (40, 20))
        bottom = 2 * round(300 * whole[0].shape[0] / height / 2)
        assert_array_equal(found, whole[0][top:bottom, left:])
