"""Compositing with the person's own colours at the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom import VirtualBackground
from greenroom.compositing import composite
from greenroom.compositing.edge_colours import EdgeColours
from greenroom.matting import edge_colours
from greenroom.media.colour import FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte
from greenroom.testing import PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
SIZES: Final = st.tuples(st.integers(1, 100), st.integers(1, 70))


def layout_of(format_: Format, size: tuple[int, int]) -> Layout:
    """Return a layout with a colour description that suits its format."""
    return Layout(*size, format_, FULL_RANGE_RGB if format_ == "gbrp" else Colour(1, 1))


def random_frame(layout: Layout, source: np.random.Generator) -> Frame:
    """Return a frame of random samples in padded memory."""
    planes = []
    for height, width in layout.plane_shapes:
        planes.append(source.integers(0, 256, (height, width + 9), np.uint8)[:, :width])
    return Frame(tuple(planes), layout)


def random_matte(size: tuple[int, int], source: np.random.Generator) -> Matte:
    """Return a matte with clear, soft and solid parts of any shape."""
    width, height = size
    values = source.integers(-300, 556, (height, width))
    left, right = np.sort(source.integers(0, width + 1, 2))
    values[:, :left], values[:, right:] = 0, 255
    return Matte(np.clip(values, 0, 255).astype(np.uint8))


def random_edges(layout: Layout, cell_px: int, source: np.random.Generator) -> EdgeColours:
    """Return maps of random colours and doubts."""
    rows, columns = (-(-length // cell_px) + 1 for length in (layout.height, layout.width))
    shape = len(layout.plane_shapes), 1, rows, columns
    colours = source.random((shape[0], 2, rows, columns), np.float32) * 255
    doubt = source.random(shape, np.float32) * 4 + np.float32(0.1)
    return EdgeColours(np.concatenate([colours, doubt], axis=1), cell_px)


def own_colour(
    plane: Plane, matte: Plane, maps: NDArray[np.float32], side: int
) -> NDArray[np.float64]:
    """Take samples apart by the formula, in double precision."""
    height, width = plane.shape
    down, along = (np.arange(height) + 0.5) / side, (np.arange(width) + 0.5) / side
    row, column = down.astype(int), along.astype(int)
    down, along = (down - row)[:, None], along - column

    def enlarged(values: NDArray[np.float32]) -> NDArray[np.float64]:
        upper, lower = values[row].astype(np.float64), values[row + 1].astype(np.float64)
        left = upper[:, column] + (lower - upper)[:, column] * down
        right = upper[:, column + 1] + (lower - upper)[:, column + 1] * down
        return np.asarray(left + (right - left) * along)

    person, room, doubt = (enlarged(values) for values in maps)
    share = matte / 255
    excess = plane - share * person - (1 - share) * room
    return np.asarray(
        np.clip(person + excess * share / (share**2 + doubt * (1 - share) ** 2), 0, 255)
    )


@given(
    SIZES,
    st.sampled_from(FORMATS),
    st.sampled_from([4, 8, 16]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_every_plane_is_what_the_formula_says(
    size: tuple[int, int],
    format_: Format,
    cell_px: int,
    transparent: bool,
    seed: int,
) -> None:
    """Soft samples are blended, or written beside alpha, with the person's own colour."""
    source = np.random.default_rng(seed)
    layout = layout_of(format_, size)
    frame, matte = random_frame(layout, source), random_matte(size, source)
    background = random_frame(layout, source)
    if transparent:
        background = Frame.filled(layout, (9, 99, 199), alpha=0)
    edges = random_edges(layout, cell_px, source)
    result = composite(frame, matte, background, edges)
    for index, plane in enumerate(frame.planes):
        behind = background.planes[index]
        coverage = matte.for_plane(plane.shape)
        side = cell_px if plane.shape == matte.values.shape else cell_px // 2
        own = own_colour(plane, coverage, edges.maps[index], side)
        share = (coverage > 0).astype(float) if transparent else coverage / 255
        expected = share * own + (1 - share) * behind
        assert_allclose(result.planes[index], expected, atol=0.51)
        assert_array_equal(result.planes[index][coverage == 0], behind[coverage == 0])
        assert_array_equal(result.planes[index][coverage == 255], plane[coverage == 255])
    if transparent:
        assert result.alpha is not None
        assert_array_equal(result.alpha, matte.values)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("size", [(640, 360), (405, 721)])
def test_room_leaves_a_soft_edge(format_: Format, size: tuple[int, int]) -> None:
    """Of a person and a room of one colour each, the true composite comes out."""
    width, height = size
    layout = layout_of(format_, size)
    x, y = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    values = np.clip(127 + (min(size) / 4 - np.hypot(x, y)) * 20, 0, 255).astype(np.uint8)
    matte = Matte(values)
    person, room, new = (220, 180, 150), (30, 60, 200), (0, 177, 64)
    colours = [Frame.filled(layout, rgb) for rgb in (person, room, new)]
    frame = composite(colours[0], matte, colours[1])
    true = composite(colours[0], matte, colours[2])
    plain = composite(frame, matte, colours[2])
    clean = composite(frame, matte, colours[2], edge_colours(frame, matte))
    for index, plane in enumerate(true.planes):
        before = np.abs(plain.planes[index].astype(int) - plane)
        after = np.abs(clean.planes[index].astype(int) - plane)
        assert after.max() <= max(6, before.max() // 4)


def test_mirroring_the_inputs_mirrors_the_result(rng: np.random.Generator) -> None:
    """Nothing depends on which side a person is on."""
    layout = layout_of("yuv420p", (192, 128))
    frame, matte = random_frame(layout, rng), random_matte((192, 128), rng)
    background = random_frame(layout, rng)
    result = composite(frame, matte, background, edge_colours(frame, matte))

    def mirrored(one: Frame) -> Frame:
        return Frame(tuple(np.ascontiguousarray(part[:, ::-1]) for part in one.planes), layout)

    turned = Matte(np.ascontiguousarray(matte.values[:, ::-1]))
    other = composite(
        mirrored(frame), turned, mirrored(background), edge_colours(mirrored(frame), turned)
    )
    for ours, theirs in zip(result.planes, other.planes, strict=True):
        assert_allclose(ours[:, ::-1].astype(int), theirs, atol=1)


@given(st.sampled_from(FORMATS), st.integers(0, 2**31), st.booleans())
def test_no_sample_of_the_room_is_seen_where_the_matte_is_zero(
    format_: Format,
    seed: int,
    transparent: bool,
) -> None:
    """Two rooms that differ where the matte is 0 give the same result there, to the bit."""
    source = np.random.default_rng(seed)
    layout = layout_of(format_, (96, 64))
    background = Frame.filled(layout, (1, 2, 3), alpha=0 if transparent else None)
    matte = random_matte((96, 64), source)
    for _ in range(2):
        frame = random_frame(layout, source)
        result = composite(frame, matte, background, edge_colours(frame, matte))
        for plane, behind in zip(result.planes, background.planes, strict=True):
            hidden = matte.for_plane(plane.shape) == 0
            assert_array_equal(plane[hidden], behind[hidden])


def test_little_coverage_does_not_amplify_noise(rng: np.random.Generator) -> None:
    """Beside alpha, the colour where little is covered varies little more than the camera's."""
    layout = layout_of("yuv444p", (640, 360))
    values = np.full((360, 640), 255, np.uint8)
    values[:, 240:] = 5
    values[:, 400:] = 0
    noise = rng.normal(0, 3, (360, 640))
    share = values / 255
    planes = tuple(
        np.clip(share * one + (1 - share) * other + noise, 0, 255).astype(np.uint8)
        for one, other in ((200, 60), (120, 130), (140, 120))
    )
    background = Frame.filled(layout, (0, 0, 0), alpha=0)
    frame, matte = Frame(planes, layout), Matte(values)
    result = composite(frame, matte, background, edge_colours(frame, matte))
    for plane in result.planes:
        assert plane[:, 240:400].std() < 12


class ColouredSegmenter(PersonSegmenter):
    """Finds the synthetic person softly, and may give colours of their own."""

    def __init__(self, rgb: tuple[int, int, int] | None) -> None:
        super().__init__()
        self._rgb = rgb

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        return np.asarray(super().segment(frame) * np.float32(0.6), np.float32)

    def foreground(self, frame: Frame) -> Frame | None:
        """See `Segmenter.foreground`."""
        return None if self._rgb is None else Frame.filled(frame.layout, self._rgb).at(frame)


def test_engine_cleans_edges_unless_told_not_to() -> None:
    """The setting decides, between two frames, whether the room is taken out."""
    frame = PersonSource((256, 144), 1).frame(0)
    with VirtualBackground(background="color:white", segmenter=ColouredSegmenter(None)) as engine:
        clean = engine.process(frame)
        matte = Matte(np.array(engine.matte))
        engine.update(clean_edges=False)
        plain = engine.process(frame)
    background = Frame.filled(frame.layout, (255, 255, 255))
    expected = {
        "clean": composite(frame, matte, background, edge_colours(frame, matte)),
        "plain": composite(frame, matte, background),
    }
    for ours, theirs in ((clean, expected["clean"]), (plain, expected["plain"])):
        for plane, other in zip(ours.planes, theirs.planes, strict=True):
            assert_array_equal(plane, other)
    assert (clean.planes[0] != plain.planes[0]).any()


def test_colours_of_a_model_take_precedence() -> None:
    """Where a model gives the person's own colours, they are blended as they are."""
    frame = PersonSource((256, 144), 1).frame(0)
    segmenter = ColouredSegmenter((20, 200, 30))
    with VirtualBackground(background="color:white", segmenter=segmenter) as engine:
        result = engine.process(frame)
        matte = Matte(np.array(engine.matte))
    own = Frame.filled(frame.layout, (20, 200, 30))
    expected = composite(own, matte, Frame.filled(frame.layout, (255, 255, 255)))
    for plane, other in zip(result.planes, expected.planes, strict=True):
        assert_array_equal(plane, other)
