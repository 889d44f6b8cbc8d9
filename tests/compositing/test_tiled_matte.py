"""Mattes that are computed in tiles, when they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.compositing import composite
from greenroom.compositing.tiled_matte import TiledMatte
from greenroom.compositing.tiles import CLEAR, SOFT, SOLID, TILE, TILE_ROWS, Guide
from greenroom.errors import FormatError
from greenroom.matting.guided_kernels import EDGE, EMPTY, FULL
from greenroom.media.colour import FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp", "gray")
SIZES: Final = st.tuples(st.integers(1, 150), st.integers(1, 80))
SEEDS: Final = st.integers(0, 2**31)


def layout_of(format_: Format, size: tuple[int, int]) -> Layout:
    """Return a layout with a colour description that suits its format."""
    return Layout(*size, format_, FULL_RANGE_RGB if format_ == "gbrp" else Colour(1, 1))


def random_frame(layout: Layout, source: np.random.Generator) -> Frame:
    """Return a frame of random samples in padded memory."""
    planes = [
        source.integers(0, 256, (height, width + 7), np.uint8)[:, :width]
        for height, width in layout.plane_shapes
    ]
    return Frame(tuple(planes), layout)


def random_guide(luma: Bytes, source: np.random.Generator) -> Guide:
    """Return a guide in which some parts are certain, on a grid of any size up to the frame's."""
    height, width = luma.shape
    low = int(source.integers(1, height + 1)), int(source.integers(1, width + 1))
    half = (low[0] + 1) // 2, (low[1] + 1) // 2
    kinds = source.choice([EMPTY, FULL, EDGE], half).astype(np.uint8)
    left, right = np.sort(source.integers(0, half[1] + 1, 2))
    kinds[:, :left], kinds[:, right:] = EMPTY, FULL
    base = source.normal(0.5, 0.6, low).astype(np.float32)
    slope = source.normal(0, 0.01, low).astype(np.float32)
    reference = (255 * source.random(low, np.float32)).astype(np.float32)
    return Guide(base, slope, reference, kinds, luma, float(source.random()) * 10)


def values_of(guide: Guide) -> Bytes:
    """Return the matte of a guide by itself."""
    return TiledMatte(guide).values


@given(SIZES, SEEDS)
def test_tiles_that_are_certain_are_of_one_kind(size: tuple[int, int], seed: int) -> None:
    """Of a tile that is sorted as clear or solid every sample is 0 or 255."""
    source = np.random.default_rng(seed)
    guide = random_guide(source.integers(0, 256, size[::-1], np.uint8), source)
    coverage, values = guide.sorted_tiles(), values_of(guide)
    for (row, column), kind in np.ndenumerate(coverage.kinds):
        down, along = row * TILE_ROWS, column * TILE
        tile = values[down : down + TILE_ROWS, along : along + TILE]
        if kind != SOFT:
            assert_array_equal(tile, {CLEAR: 0, SOLID: 255}[int(kind)])
    assert len(coverage.soft) == np.count_nonzero(coverage.kinds == SOFT)


@given(SIZES, st.sampled_from(FORMATS), st.booleans(), SEEDS)
def test_a_picture_is_that_of_the_whole_matte(
    size: tuple[int, int],
    format_: Format,
    is_transparent: bool,
    seed: int,
) -> None:
    """Whether a matte is computed while the picture is made or before is the same."""
    source = np.random.default_rng(seed)
    layout = layout_of(format_, size)
    frame, background = random_frame(layout, source), random_frame(layout, source)
    if is_transparent and format_ != "gray":
        background = Frame.filled(layout, (9, 99, 199), alpha=0)
    guide = random_guide(frame.planes[0], source)
    matte = TiledMatte(guide)
    result = composite(frame, matte, background)
    plain = composite(frame, Matte(values_of(guide)), background)
    again = composite(frame, matte.again(), background)
    for one, other, third in zip(
        result.all_planes, plain.all_planes, again.all_planes, strict=True
    ):
        assert_array_equal(one, other)
        assert_array_equal(one, third)
    assert_array_equal(matte.values, values_of(guide))


class TestMemory:
    """What a matte keeps, and for how long."""

    def guide(self) -> tuple[Bytes, Guide]:
        """Return luma and a guide that is soft all over."""
        source = np.random.default_rng(3)
        luma = source.integers(0, 256, (70, 90), np.uint8)
        return luma, random_guide(luma, source)

    def test_the_frame_may_change_after_it_was_settled(self) -> None:
        """A matte that was settled does not look at the frame any more."""
        luma, guide = self.guide()
        expected, matte = values_of(guide), TiledMatte(guide)
        matte.settle()
        luma[:] = 255 - luma
        assert_array_equal(matte.values, expected)

    def test_making_a_picture_settles_it(self) -> None:
        """The guide is let go with the first use, whatever that is."""
        luma, guide = self.guide()
        frame = Frame((luma,), Layout(90, 70, "gray"))
        lazy, drawn = TiledMatte(guide), TiledMatte(guide)
        composite(frame, drawn, frame)
        assert [lazy.is_settled, drawn.is_settled] == [False, True]

    def test_values_are_each_frames_own(self) -> None:
        """The same matte for another frame has values in other memory."""
        _, guide = self.guide()
        matte = TiledMatte(guide)
        again = matte.again()
        assert not np.shares_memory(matte.values, again.values)
        matte.values[:] = 7
        assert_array_equal(again.values, values_of(guide))

    def test_small_versions_need_no_full_size(self) -> None:
        """What the working grid leads to comes from there, everything else from the full size."""
        luma = np.full((64, 96), 90, np.uint8)
        base = np.tile(np.linspace(-0.2, 1.2, 24, dtype=np.float32), (16, 1))
        kinds = np.full((8, 12), EDGE, np.uint8)
        matte = TiledMatte(Guide(base, 0 * base, 0 * base, kinds, luma, 0.0))
        whole = Matte(matte.values)
        for shape in ((16, 24), (8, 12), (4, 6), (32, 48), (64, 96)):
            small = matte.reduced_to(shape)
            difference = small.astype(int) - whole.reduced_to(shape)
            assert np.abs(difference).max() <= 4
        with pytest.raises(FormatError, match="cannot be reduced"):
            matte.reduced_to((65, 96))
        assert np.abs(matte.sampled((4, 6)).astype(int) - whole.sampled((4, 6))).max() < 30


@pytest.mark.parametrize(
    ("low", "half"), [((9, 9), (4, 4)), ((4, 20), (4, 4))], ids=["higher", "wider"]
)
def test_a_guide_that_is_larger_than_the_frame(low: tuple[int, int], half: tuple[int, int]) -> None:
    """It is refused: it is enlarged, never reduced."""
    base = np.zeros(low, np.float32)
    with pytest.raises(TypeError, match="cannot be enlarged"):
        Guide(base, base, base, np.zeros(half, np.uint8), np.zeros((8, 9), np.uint8), 0.0)
