"""Light of the scene on the person."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from greenroom import VirtualBackground
from greenroom.compositing import composite
from greenroom.compositing.light import LightMatch, wrap_light
from greenroom.media.colour import FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte
from greenroom.testing import PersonSegmenter, PersonSource

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
SIZE: Final = (320, 192)


def layout_of(format_: Format) -> Layout:
    """Return a layout with a colour description that suits its format."""
    return Layout(*SIZE, format_, FULL_RANGE_RGB if format_ == "gbrp" else Colour(1, 1))


def disk() -> Matte:
    """Return a matte of a disk with a soft edge."""
    width, height = SIZE
    x, y = np.meshgrid(np.arange(width) - width / 2, np.arange(height) - height / 2)
    return Matte(np.clip(127 + (60 - np.hypot(x, y)) * 30, 0, 255).astype(np.uint8))


def scene(
    format_: Format, person: tuple[int, int, int], room: tuple[int, int, int]
) -> tuple[Frame, Matte]:
    """Return a disk of one colour before a room of another, and its matte."""
    layout, matte = layout_of(format_), disk()
    return composite(Frame.filled(layout, person), matte, Frame.filled(layout, room)), matte


def matched(
    frame: Frame, matte: Matte, behind: tuple[int, int, int], strength: float = 1
) -> NDArray[np.uint8]:
    """Return the RGB of the person's middle in the light of a plain background."""
    background = Frame.filled(frame.layout, behind)
    result = LightMatch().match(frame, matte, background, strength, frame)
    return np.asarray(result.to_rgb()[96, 160])


@pytest.mark.parametrize("format_", FORMATS)
class TestLightMatch:
    """Exposure and white balance."""

    def test_bright_background_brightens_a_dark_person(self, format_: Format) -> None:
        """In the light of a bright background the person is brighter, by 1.4 at most."""
        frame, matte = scene(format_, (80, 70, 60), (50, 50, 50))
        middle = frame.to_rgb()[96, 160].astype(float)
        result = matched(frame, matte, (240, 240, 240))
        assert (result > 1.15 * middle).all()
        assert (result < 1.5 * middle).all()

    def test_dark_background_darkens_a_bright_person(self, format_: Format) -> None:
        """In the light of a dark background the person is darker, by 0.7 at most."""
        frame, matte = scene(format_, (200, 180, 160), (200, 200, 200))
        middle = frame.to_rgb()[96, 160].astype(float)
        result = matched(frame, matte, (20, 20, 20))
        assert (result < 0.85 * middle).all()
        assert (result > 0.6 * middle).all()

    def test_scene_like_the_room_changes_nothing(self, format_: Format) -> None:
        """In front of what has the room's light, the person stays as they are."""
        frame, matte = scene(format_, (180, 140, 120), (90, 120, 150))
        result = matched(frame, matte, (90, 120, 150))
        assert_allclose(result.astype(int), frame.to_rgb()[96, 160], atol=2)

    def test_cast_follows_the_background_a_little(self, format_: Format) -> None:
        """A warm scene makes the person warmer, and not by more than skin allows."""
        frame, matte = scene(format_, (150, 150, 150), (128, 128, 128))
        red, _, blue = matched(frame, matte, (200, 120, 40)).astype(int)
        assert 4 < red - blue < 40

    def test_strength_scales_the_change(self, format_: Format) -> None:
        """Half the strength does about half as much, none does nothing."""
        frame, matte = scene(format_, (120, 120, 120), (60, 60, 60))
        none, half, full = (
            int(matched(frame, matte, (200, 200, 200), strength)[1]) for strength in (0, 0.5, 1)
        )
        assert abs(none - 120) <= 1
        assert 0.3 < (half - none) / (full - none) < 0.7

    def test_change_takes_about_a_second(self, format_: Format) -> None:
        """The first frame takes the light at once, then it follows with its time constant."""
        frame, matte = scene(format_, (120, 120, 120), (100, 100, 100))
        behind = [Frame.filled(frame.layout, (level,) * 3) for level in (40, 220)]
        light = LightMatch()

        def shown(background: Frame, at_ms: int) -> int:
            now = frame.shown_at(at_ms, Fraction(1, 1000))
            return int(light.match(now, matte, background, 1, now).to_rgb()[96, 160, 1])

        dark = shown(behind[0], 0)
        soon, later, last = (shown(behind[1], at_ms) for at_ms in (40, 1000, 10_000))
        assert dark < 120 < last
        assert soon - dark <= 3
        assert 0.4 < (later - dark) / (last - dark) < 0.85
        light.reset()
        assert abs(shown(behind[1], 10_040) - last) <= 1

    def test_result_is_in_new_memory(self, format_: Format) -> None:
        """The frame is not changed and shares no memory with the result."""
        frame, matte = scene(format_, (80, 70, 60), (50, 50, 50))
        before = [plane.copy() for plane in frame.planes]
        background = Frame.filled(frame.layout, (240, 240, 240))
        result = LightMatch().match(frame, matte, background, 1, frame)
        for plane, earlier, new in zip(frame.planes, before, result.planes, strict=True):
            assert_array_equal(plane, earlier)
            assert not np.shares_memory(plane, new)


@pytest.mark.parametrize("format_", FORMATS)
class TestWrapLight:
    """The background's light over the person's edge."""

    def test_only_the_person_near_the_edge_changes(self, format_: Format) -> None:
        """Light falls inside the person near the edge, and nowhere else."""
        frame, matte = scene(format_, (60, 50, 40), (0, 0, 0))
        background = Frame.filled(frame.layout, (250, 250, 250))
        plain = composite(frame, matte, background)
        lit = plain.copy()
        wrap_light(lit, matte, background, 1)
        for plane, earlier in zip(lit.planes, plain.planes, strict=True):
            hidden = matte.for_plane(plane.shape) == 0
            assert_array_equal(plane[hidden], earlier[hidden])
        before, after = plain.to_rgb().astype(int)[96], lit.to_rgb().astype(int)[96]
        assert_allclose(after[150:170], before[150:170], atol=1)
        near = slice(104, 107)  # the edge is at 100
        assert (after[near] > before[near] + 20).all()

    def test_dark_background_adds_nothing(self, format_: Format) -> None:
        """A background without light leaves the person as they are."""
        frame, matte = scene(format_, (160, 150, 140), (90, 90, 90))
        background = Frame.filled(frame.layout, (0, 0, 0))
        plain = composite(frame, matte, background)
        lit = plain.copy()
        wrap_light(lit, matte, background, 1)
        for plane, earlier in zip(lit.planes, plain.planes, strict=True):
            assert_array_equal(plane, earlier)


@given(st.integers(0, 2**31), st.floats(0, 1), st.sampled_from(FORMATS))
def test_light_never_reaches_what_is_not_covered(
    seed: int, strength: float, format_: Format
) -> None:
    """Where the matte is 0 a composite stays as it is, whatever is behind."""
    source = np.random.default_rng(seed)
    layout = layout_of(format_)
    shapes = layout.plane_shapes
    frame, background = (
        Frame(tuple(source.integers(0, 256, shape, np.uint8) for shape in shapes), layout)
        for _ in range(2)
    )
    values = np.clip(source.integers(-300, 500, SIZE[::-1]), 0, 255).astype(np.uint8)
    result = composite(frame, Matte(values), background)
    before = [plane.copy() for plane in result.planes]
    wrap_light(result, Matte(values), background, strength)
    for plane, earlier in zip(result.planes, before, strict=True):
        hidden = Matte(values).for_plane(plane.shape) == 0
        assert_array_equal(plane[hidden], earlier[hidden])


@pytest.mark.parametrize("format_", FORMATS)
def test_engine_has_them_off_and_takes_them_between_two_frames(format_: Format) -> None:
    """Off, the result is the plain one; switched on while running, the person changes."""
    frames = list(PersonSource((256, 144), 3, format=format_))
    with VirtualBackground(background="color:white", segmenter=PersonSegmenter()) as engine:
        plain = engine.process(frames[0])
        engine.update(light_wrap=1.0)
        wrapped = engine.process(frames[0])
        engine.update(light_wrap=0.0, match_light=1.0)
        match = engine.process(frames[0])
        engine.update(match_light=0.0)
        again = engine.process(frames[0])
        assert engine.matte is not None
        hidden = engine.matte == 0
    for index, other in enumerate((wrapped, match)):
        assert (other.planes[0] != plain.planes[0]).any(), index
        assert_array_equal(other.planes[0][hidden], plain.planes[0][hidden])
    for ours, theirs in zip(again.planes, plain.planes, strict=True):
        assert_array_equal(ours, theirs)


def test_transparent_background_has_no_light() -> None:
    """With a transparent background neither does anything."""
    frame = PersonSource((256, 144), 1).frame(0)
    results = []
    for strength in (0, 1):
        with VirtualBackground(
            background="transparent",
            segmenter=PersonSegmenter(),
            light_wrap=strength,
            match_light=strength,
        ) as engine:
            results.append(engine.process(frame))
    for ours, theirs in zip(results[0].all_planes, results[1].all_planes, strict=True):
        assert_array_equal(ours, theirs)
