"""Compositing against the formula in exact arithmetic."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.compositing import composite
from greenroom.compositing.blend_kernels import over
from greenroom.errors import FormatError
from greenroom.media.colour import FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
# Of what planes are made: as they are, cut out, mirrored, every other sample.
VIEWS: Final = ("whole", "padded")
NO_VIEWS: Final = ("upside down", "mirrored", "sparse")


def exact(foreground: Plane, background: Plane, matte: Plane) -> Plane:
    """Blend by the formula, in integers, rounded to the nearest."""
    cover = matte.astype(np.int64)
    total = cover * foreground + (255 - cover) * background
    return np.asarray((2 * total + 255) // 510, np.uint8)


def quarter(values: Plane) -> Plane:
    """Return the rounded mean of every 2x2 samples, odd edges repeated."""
    height, width = values.shape
    padded = np.pad(values, ((0, height % 2), (0, width % 2)), mode="edge").astype(int)
    blocks = padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2)
    return np.asarray((blocks.sum(axis=(1, 3)) + 2) // 4, np.uint8)


def plane(draw_seed: int, shape: tuple[int, int], view: str = "whole") -> Plane:
    """Return a plane of random samples that lies in memory in one of several ways."""
    source = np.random.default_rng(draw_seed)
    height, width = shape
    if view == "padded":
        return source.integers(0, 256, (height + 3, width + 7), np.uint8)[2:-1, 3:-4]
    if view == "sparse":
        return source.integers(0, 256, (2 * height, 2 * width), np.uint8)[::2, ::2]
    whole = source.integers(0, 256, shape, np.uint8)
    if view == "upside down":
        return whole[::-1]
    return whole[:, ::-1] if view == "mirrored" else whole


def random_frame(layout: Layout, seed: int) -> Frame:
    """Return a frame of random samples."""
    shapes = layout.plane_shapes
    return Frame(tuple(plane(seed + index, shape) for index, shape in enumerate(shapes)), layout)


def layout_of(format_: Format, size: tuple[int, int]) -> Layout:
    """Return a layout with a colour description that suits its format."""
    return Layout(*size, format_, FULL_RANGE_RGB if format_ == "gbrp" else Colour(1, 1))


class TestOver:
    """The kernel that blends one plane."""

    def test_every_triple_is_exact(self) -> None:
        """For all 256 x 256 x 256 samples the result is the formula's, rounded to nearest."""
        levels = np.arange(256, dtype=np.uint8)
        background, matte = np.meshgrid(levels, levels)
        out = np.empty((256, 256), np.uint8)
        for sample in range(256):
            foreground = np.full((256, 256), sample, np.uint8)
            over(foreground, background, matte, out)
            assert_array_equal(out, exact(foreground, background, matte))

    def test_reference_is_the_rounded_fraction(self) -> None:
        """The reference in integers is the exact fraction, rounded: no result is half way."""
        levels = (0, 1, 2, 127, 128, 129, 254, 255)
        for front, back, cover in itertools.product(levels, repeat=3):
            value = Fraction(cover * front + (255 - cover) * back, 255)
            (result,) = exact(*(np.array([part], np.uint8) for part in (front, back, cover)))
            assert abs(value - int(result)) < Fraction(1, 2)

    @given(
        st.tuples(st.integers(1, 70), st.integers(1, 70)),
        st.tuples(*[st.sampled_from(VIEWS)] * 3),
        st.integers(0, 2**31),
    )
    def test_any_shape_and_stride_is_exact(
        self, shape: tuple[int, int], views: tuple[str, str, str], seed: int
    ) -> None:
        """Planes of any shape, padded or not, are blended, and only they."""
        first, second, third = (
            plane(seed + index, shape, view) for index, view in enumerate(views)
        )
        matte = plane(seed + 3, shape)
        before = [part.copy() for part in (first, second, matte)]
        around = np.full((shape[0] + 2, shape[1] + 5), 99, np.uint8)
        around[1:-1, 2:-3] = third
        over(first, second, matte, around[1:-1, 2:-3])
        assert_array_equal(around[1:-1, 2:-3], exact(first, second, matte))
        around[1:-1, 2:-3] = 99
        assert (around == 99).all()
        for part, earlier in zip((first, second, matte), before, strict=True):
            assert_array_equal(part, earlier)

    @pytest.mark.parametrize("view", NO_VIEWS)
    @pytest.mark.parametrize("index", [0, 1, 3])
    def test_planes_that_lie_otherwise_are_refused(self, view: str, index: int) -> None:
        """Rows whose samples are apart, or that go backwards, are a TypeError."""
        planes = [plane(number, (4, 6)) for number in range(4)]
        planes[index] = plane(index, (4, 6), view)
        with pytest.raises(TypeError, match="the core expected"):
            over(*planes)

    def test_a_plane_is_blended_into_the_background(self) -> None:
        """The result may be the background's own memory."""
        front, back, matte = (plane(number, (9, 33)) for number in range(3))
        expected = exact(front, back, matte)
        over(front, back, matte, back)
        assert_array_equal(back, expected)


class TestComposite:
    """Frames through a matte."""

    @given(
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        st.sampled_from(FORMATS),
        st.integers(0, 2**31),
    )
    def test_every_plane_is_blended_at_its_own_size(
        self, size: tuple[int, int], format_: Format, seed: int
    ) -> None:
        """Luma goes through the matte, chroma of 4:2:0 through the mean of its 2x2 samples."""
        layout = layout_of(format_, size)
        frame, background = random_frame(layout, seed), random_frame(layout, seed + 10)
        matte = Matte(plane(seed + 20, (size[1], size[0])))
        frame = frame.shown_at(5, Fraction(1, 25), 1)
        result = composite(frame, matte, background)
        assert result.layout == layout
        assert (result.pts, result.time_base, result.duration) == (5, Fraction(1, 25), 1)
        assert result.alpha is None
        for index, (front, back) in enumerate(zip(frame.planes, background.planes, strict=True)):
            small = index > 0 and format_ == "yuv420p"
            cover = quarter(matte.values) if small else matte.values
            assert_array_equal(result.planes[index], exact(front, back, cover))

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize(("coverage", "shown"), [(255, "frame"), (0, "background")])
    def test_all_or_nothing_is_exact(self, format_: Format, coverage: int, shown: str) -> None:
        """Full coverage shows the frame untouched, none the background untouched."""
        layout = layout_of(format_, (31, 17))
        frame, background = random_frame(layout, 1), random_frame(layout, 2)
        result = composite(frame, Matte(np.full((17, 31), coverage, np.uint8)), background)
        expected = frame if shown == "frame" else background
        for ours, theirs in zip(result.planes, expected.planes, strict=True):
            assert_array_equal(ours, theirs)

    @pytest.mark.parametrize("format_", FORMATS)
    def test_result_is_in_new_memory(self, format_: Format) -> None:
        """A result shares no memory with its inputs or earlier results, and changes none."""
        layout = layout_of(format_, (20, 10))
        frame, background = random_frame(layout, 1), random_frame(layout, 2)
        matte = Matte(plane(3, (10, 20)))
        inputs = [*frame.planes, *background.planes, matte.values]
        before = [part.copy() for part in inputs]
        first = composite(frame, matte, background)
        kept = [part.copy() for part in first.planes]
        second = composite(background, matte, frame)
        for part in second.planes:
            assert not any(np.shares_memory(part, other) for other in (*inputs, *first.planes))
        for part, earlier in zip((*inputs, *first.planes), (*before, *kept), strict=True):
            assert_array_equal(part, earlier)

    @given(
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        st.sampled_from(FORMATS),
        st.integers(0, 2**31),
    )
    def test_over_transparency_the_matte_is_the_alpha(
        self, size: tuple[int, int], format_: Format, seed: int
    ) -> None:
        """Over transparency alpha is the matte, and colour the frame's where it is not zero."""
        layout = layout_of(format_, size)
        frame = random_frame(layout, seed)
        background = Frame.filled(layout, (0, 0, 0), alpha=0)
        values = plane(seed + 20, (size[1], size[0])) & plane(seed + 21, (size[1], size[0]))
        values[values < 90] = 0
        result = composite(frame, Matte(values), background)
        assert result.alpha is not None
        assert_array_equal(result.alpha, values)
        assert not np.shares_memory(result.alpha, values)
        for index, (front, back) in enumerate(zip(frame.planes, background.planes, strict=True)):
            small = index > 0 and format_ == "yuv420p"
            cover = quarter(values) if small else values
            assert_array_equal(result.planes[index], np.where(cover > 0, front, back))

    def test_layouts_that_differ_are_refused(self) -> None:
        """Frames of another size, format or colour than the background's are refused."""
        frame = random_frame(Layout(8, 6, "yuv420p", Colour(1, 1)), 0)
        matte = Matte(np.zeros((6, 8), np.uint8))
        for other in (
            Layout(6, 8, "yuv420p", Colour(1, 1)),
            Layout(8, 6, "yuv444p", Colour(1, 1)),
            Layout(8, 6, "yuv420p", Colour(1, 2)),
            Layout(8, 6, "yuv420p", Colour(5, 1)),
        ):
            with pytest.raises(FormatError, match="does not fit"):
                composite(frame, matte, random_frame(other, 1))

    @pytest.mark.parametrize("shape", [(8, 6), (3, 4), (6, 9), (1, 1), (12, 16)])
    def test_matte_of_another_size_is_refused(self, shape: tuple[int, int]) -> None:
        """A matte that is not of the frame's size is refused, even if a plane's size fits."""
        layout = Layout(8, 6, "yuv420p", Colour(1, 1))
        with pytest.raises(FormatError, match="does not fit"):
            composite(random_frame(layout, 0), Matte(plane(0, shape)), random_frame(layout, 1))
