"""The colours on both sides of a soft edge."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom.matting import edge_colours
from greenroom.media.colour import FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp", "gray")
PERSON, ROOM = (200, 90, 140), (40, 160, 110)


def layout_of(format_: Format, size: tuple[int, int]) -> Layout:
    """Return a layout with a colour description that suits its format."""
    return Layout(*size, format_, FULL_RANGE_RGB if format_ == "gbrp" else Colour(1, 1))


def ramp(size: tuple[int, int]) -> Matte:
    """Return a matte that rises from left to right within 12 pixels."""
    width, height = size
    x = np.arange(width) + 0.5 - width / 2
    row = np.clip(x / 12 + 0.5, 0, 1) * 255
    return Matte(np.tile(np.rint(row).astype(np.uint8), (height, 1)))


def mixed(layout: Layout, matte: Matte) -> Frame:
    """Mix a person of one colour with a room of another."""
    planes = []
    for shape, person, room in zip(layout.plane_shapes, PERSON, ROOM, strict=False):
        share = matte.for_plane(shape) / 255
        planes.append(np.rint(share * person + (1 - share) * room).astype(np.uint8))
    return Frame(tuple(planes), layout)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (33, 65), (640, 360), (721, 405)])
def test_two_colours_are_told_apart(format_: Format, size: tuple[int, int]) -> None:
    """Of a person and a room of one colour each, both are found on either side of the edge."""
    layout, matte = layout_of(format_, size), ramp(size)
    colours = edge_colours(mixed(layout, matte), matte)
    planes = len(layout.plane_shapes)
    rows, columns = (-(-length // colours.cell_px) + 1 for length in reversed(size))
    assert colours.maps.shape == (planes, 3, rows, columns)
    assert np.isfinite(colours.maps).all()
    assert (colours.maps[:, 2] > 0).all()
    if min(size) >= 360:
        middle = colours.maps[:, :, :, columns // 2]
        for index in range(planes):
            assert_allclose(middle[index, 0], PERSON[index], atol=8)
            assert_allclose(middle[index, 1], ROOM[index], atol=8)


@pytest.mark.parametrize("coverage", [0, 255])
def test_where_one_side_is_missing_nothing_breaks(coverage: int) -> None:
    """Without a person, or without a room, the maps are finite and in the range of samples."""
    layout = layout_of("yuv420p", (320, 180))
    matte = Matte(np.full((180, 320), coverage, np.uint8))
    maps = edge_colours(Frame.filled(layout, (10, 200, 90)), matte).maps
    assert np.isfinite(maps).all()
    assert maps[:, :2].min() >= 0
    assert maps[:, :2].max() <= 255


@given(st.integers(0, 2**31), st.sampled_from(FORMATS), st.sampled_from([(64, 32), (96, 160)]))
def test_maps_stay_in_the_range_of_samples(
    seed: int, format_: Format, size: tuple[int, int]
) -> None:
    """Whatever the samples are, colours are means of samples and the doubt is bounded."""
    source = np.random.default_rng(seed)
    layout = layout_of(format_, size)
    planes = tuple(source.integers(0, 256, shape, np.uint8) for shape in layout.plane_shapes)
    matte = Matte(source.integers(0, 256, size[::-1], np.uint8))
    maps = edge_colours(Frame(planes, layout), matte).maps
    assert maps[:, :2].min() >= -1e-2
    assert maps[:, :2].max() <= 255.01
    assert maps[:, 2].min() >= 0.09
    assert maps[:, 2].max() <= 8.01


@pytest.mark.parametrize("axis", [0, 1])
def test_mirroring_the_inputs_mirrors_the_maps(rng: np.random.Generator, axis: int) -> None:
    """Nothing depends on where a picture begins, if cells divide its size."""
    layout = layout_of("yuv420p", (192, 128))
    planes = tuple(rng.integers(0, 256, shape, np.uint8) for shape in layout.plane_shapes)
    values = rng.integers(0, 256, (128, 192), np.uint8)
    maps = edge_colours(Frame(planes, layout), Matte(values)).maps
    flipped = Frame(tuple(np.ascontiguousarray(np.flip(part, axis)) for part in planes), layout)
    mirrored = edge_colours(flipped, Matte(np.ascontiguousarray(np.flip(values, axis)))).maps
    assert_allclose(np.flip(mirrored, axis + 2), maps, rtol=1e-3, atol=1e-2)


def test_result_is_in_new_memory(rng: np.random.Generator) -> None:
    """A result shares no memory with an earlier one, and the inputs are not changed."""
    layout, matte = layout_of("yuv420p", (64, 48)), Matte(rng.integers(0, 256, (48, 64), np.uint8))
    frame = mixed(layout, matte)
    before = [part.copy() for part in (*frame.planes, matte.values)]
    first = edge_colours(frame, matte).maps
    assert not np.shares_memory(first, edge_colours(frame, matte).maps)
    for part, earlier in zip((*frame.planes, matte.values), before, strict=True):
        assert_array_equal(part, earlier)
