"""Low light: a curve that brightens dark pictures, and only these, and does not flicker."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.effects.low_light import LowLight, Tone, brightened, brightness
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
LAYOUTS: Final = [
    Layout(64, 36, format_, colour)
    for format_ in FORMATS
    for colour in ([Colour(0, 2)] if format_ == "gbrp" else [Colour(1, 1), Colour(5, 2)])
]


def picture(layout: Layout, scale: float, rng: np.random.Generator) -> Frame:
    """Return a picture of smooth colours, from black to a share of white."""
    grid = rng.random((4, 6, 3)) * 255 * scale
    rgb = np.repeat(np.repeat(grid, 9, axis=0), 11, axis=1)[: layout.height, : layout.width]
    return Frame.from_rgb(np.rint(rgb).astype(np.uint8)).converted(layout)


def reference(frame: Frame, exponent: float) -> list[NDArray[np.float64]]:
    """Work out what is expected in floating point, one pixel after the other."""
    full = frame.layout.colour.is_full_range
    black, white = (0.0, 255.0) if full else (16.0, 235.0)
    planes = [plane.astype(float) for plane in frame.planes]
    luma = planes[0]
    if frame.format == "gbrp":
        k_r, k_b = frame.layout.colour.luma_coefficients(frame.size)
        luma = np.rint((1 - k_r - k_b) * planes[0] + k_b * planes[1] + k_r * planes[2])

    def bent(values: NDArray[np.float64]) -> NDArray[np.float64]:
        light = np.clip((values - black) / (white - black), 0, 1)
        curve = 1 - (1 - light) ** exponent
        return np.asarray(black + (curve - light) * (white - black) + values - black)

    def gain(values: NDArray[np.float64]) -> NDArray[np.float64]:
        light = np.clip((values - black) / (white - black), 1e-9, 1)
        return np.asarray(np.sqrt((1 - (1 - light) ** exponent) / light))

    if frame.format == "gbrp":
        exact = (1 - k_r - k_b) * planes[0] + k_b * planes[1] + k_r * planes[2]
        return [np.clip(bent(luma) + (p - exact) * gain(luma), 0, 255) for p in planes]
    at_chroma = luma
    if frame.format == "yuv420p":
        height, width = luma.shape
        at_chroma = luma.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    chroma = [np.clip(128 + (p - 128) * gain(at_chroma), 0, 255) for p in planes[1:]]
    return [np.clip(bent(luma), 0, 255), *chroma]


def gray(level: float, time_s: float | None = None) -> Frame:
    """Return a gray picture of a brightness, as a frame of a time."""
    value = round(16 + 219 * level)
    frame = Frame.filled(Layout(64, 36, "yuv420p", Colour(1, 1)), (128, 128, 128))
    frame.planes[0][:] = value
    if time_s is None:
        return frame
    return frame.shown_at(round(time_s * 1_000_000), Fraction(1, 1_000_000))


class TestCurve:
    """The pure part."""

    @pytest.mark.parametrize("exponent", [1.0, 1.7, 4.0])
    @pytest.mark.parametrize("layout", LAYOUTS, ids=str)
    def test_agrees_with_the_formula(
        self, layout: Layout, exponent: float, rng: np.random.Generator
    ) -> None:
        """In every format and range, samples are what the formula in floating point gives."""
        frame = picture(layout, 0.5, rng)
        result = brightened(frame, exponent)
        assert result.layout == layout
        for plane, expected in zip(result.planes, reference(frame, exponent), strict=True):
            # Gains of chroma have steps of a 64th, of which luma's own rounding makes some more.
            assert abs(plane - expected).max() <= (1.01 if layout.format == "gbrp" else 2.5)

    @given(exponent=st.floats(1, 4), full=st.booleans())
    def test_curve_rises_and_keeps_its_ends(self, *, exponent: float, full: bool) -> None:
        """The curve never falls, leaves black and white alone, and amplifies by a limit."""
        layout = Layout(64, 36, "yuv420p", Colour(1, 2 if full else 1))
        curve = Tone.of(layout, exponent).curve.astype(float)
        black, white = (0, 255) if full else (16, 235)
        assert (np.diff(curve) >= -1e-4).all()
        assert curve[black] == pytest.approx(black)
        assert curve[white] == pytest.approx(white)
        assert np.diff(curve).max() <= exponent + 1e-3
        assert (curve >= np.arange(256) - 1e-3).all()

    def test_memory_is_new(self, rng: np.random.Generator) -> None:
        """The frame stays as it was."""
        frame = picture(LAYOUTS[0], 0.3, rng)
        before = [plane.copy() for plane in frame.planes]
        result = brightened(frame, 2.0)
        for plane, source, kept in zip(result.planes, frame.planes, before, strict=True):
            assert_array_equal(source, kept)
            assert not np.shares_memory(plane, source)

    @pytest.mark.parametrize("layout", LAYOUTS, ids=str)
    def test_brightness_is_that_of_luma(self, layout: Layout) -> None:
        """A gray picture has the brightness it was filled with, in every format and range."""
        assert brightness(Frame.filled(layout, (51, 51, 51))) == pytest.approx(0.2, abs=0.006)


class TestLowLight:
    """What it does over time."""

    @pytest.mark.parametrize("layout", LAYOUTS, ids=str)
    def test_bright_pictures_stay_as_they_are(self, layout: Layout) -> None:
        """A picture that is bright enough is returned itself."""
        frame = Frame.filled(layout, (120, 130, 125))
        assert LowLight().apply(frame, 1.0) is frame

    def test_dark_pictures_are_brought_up(self) -> None:
        """A dark picture becomes about as bright as a well lit one, at once on the first frame."""
        result = LowLight().apply(gray(0.15), 1.0)
        assert brightness(result) == pytest.approx(0.4, abs=0.01)

    def test_strength_is_a_share_of_the_way(self) -> None:
        """Half the strength lies between nothing and all."""
        frame = gray(0.15)
        some, much = (brightness(LowLight().apply(frame, s)) for s in (0.5, 1.0))
        assert 0.2 < some < much

    def test_what_is_nearly_black_is_not_blown_up(self) -> None:
        """Nothing becomes more than two stops brighter."""
        assert brightness(LowLight().apply(gray(0.02), 1.0)) <= 0.08 + 0.01

    def test_lamps_do_not_count(self) -> None:
        """A lamp in a twentieth of a dark picture does not keep it dark."""
        frame = gray(0.15)
        frame.planes[0][:, :3] = 235
        assert brightness(LowLight().apply(frame, 1.0)) > 0.35

    def test_moves_slowly_and_by_the_clock(self) -> None:
        """When the light goes out it takes about a second, whatever the frame rate."""
        reached = []
        for rate in (10, 60):
            effect = LowLight()
            effect.apply(gray(0.5, 0), 1.0)
            levels = [
                brightness(effect.apply(gray(0.15, 0.1 + n / rate), 1.0)) for n in range(5 * rate)
            ]
            assert np.diff(levels).min() >= 0
            assert np.diff(levels).max() < 0.4 / rate
            reached.append((levels[rate - 1], levels[-1]))
        assert reached[0] == pytest.approx(reached[1], abs=0.015)
        assert 0.25 < reached[0][0] < 0.38
        assert reached[0][1] == pytest.approx(0.4, abs=0.01)

    def test_does_not_flicker(self, rng: np.random.Generator) -> None:
        """While the light only trembles, the same sample is always shown as the same."""
        effect = LowLight()
        shown = set()
        for number in range(90):
            frame = gray(0.15 + 0.003 * float(rng.normal()), number / 30)
            frame.planes[0][:2, :2] = 60
            shown.add(int(effect.apply(frame, 1.0).planes[0][0, 0]))
        assert len(shown) == 1

    def test_reset_forgets(self) -> None:
        """After a reset the next frame gets its own curve at once."""
        effect = LowLight()
        effect.apply(gray(0.5, 0), 1.0)
        effect.reset()
        assert brightness(effect.apply(gray(0.15, 1 / 30), 1.0)) == pytest.approx(0.4, abs=0.01)
