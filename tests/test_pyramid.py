"""A frame's planes at small sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.pyramid import cut, halved, halvings_to, pyramid, working_size

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
            assert_array_equal(found, wanted)
            assert found.flags.c_contiguous
        check_halves(made.small, made.halves, made.glance)

    @pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 9), (3, 200), (511, 1), (1030, 515)])
    @pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "gray"])
    def test_odd_sizes(self, size: tuple[int, int], kind: str) -> None:
        """The smallest sizes and odd ones have all levels, too."""
        made = pyramid(drawn(size, kind))
        check_halves(made.small, made.halves, made.glance)

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
            parts = cut(planes, made, box)
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
