"""The room in blocks: the person's colours stay out, and what is shown is worked out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.ndimage import gaussian_filter

from greenroom import Settings
from greenroom.backgrounds import create_background
from greenroom.errors import SettingsError
from greenroom.media.colour import COVER_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte
from greenroom.sources.synthetic_person import person_mask
from greenroom.testing import ROOM_RGB, count_room_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")


def layout_of(format_: Format, size: tuple[int, int] = (320, 180)) -> Layout:
    """Return a layout of a format."""
    return Layout(*size, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))


def empty_matte(size: tuple[int, int] = (320, 180)) -> Matte:
    """Return the matte of nobody."""
    return Matte(np.zeros(size[::-1], np.uint8))


def rendered(spec: str, frame: Frame, matte: Matte) -> Frame:
    """Return what a background makes of a frame."""
    return create_background(Settings(background=spec)).render(frame, matte, 0.0)


class TestPixelate:
    """Blocks."""

    @pytest.mark.parametrize("format_", FORMATS)
    def test_blocks_are_means_of_the_blurred_room(
        self, format_: Format, rng: np.random.Generator
    ) -> None:
        """Where nobody is, a block is the mean of what SciPy's Gaussian filter leaves."""
        frame = Frame.empty(layout_of(format_, (320, 160)))
        for plane in frame.planes:
            plane[:] = cv2.resize(rng.integers(0, 256, (8, 16)).astype(np.uint8), plane.shape[::-1])
        result = rendered("pixelate:1", frame, empty_matte((320, 160)))  # blocks of 32 pixels
        for plane, source in zip(result.planes, frame.planes, strict=True):
            sigma = [
                0.15 * 160 * length / of for length, of in zip(plane.shape, (160, 320), strict=True)
            ]
            near, wide = (
                gaussian_filter(source.astype(float), [times * one for one in sigma])
                for times in (1, 3)
            )
            blurred = (near + 0.05 * wide) / 1.05
            rows, columns = plane.shape[0] // 5, plane.shape[1] // 10
            blocks = blurred.reshape(5, rows, 10, columns).mean(axis=(1, 3))
            expected = np.repeat(np.repeat(blocks, rows, axis=0), columns, axis=1)
            # The grid is coarse, and its values are rounded to even ones.
            assert abs(plane - expected).max() <= 4
            assert abs(plane - expected).mean() <= 1

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("spec", ["pixelate:0.4", "pixelate", "pixelate:1"])
    def test_the_person_s_colours_stay_out(self, spec: str, format_: Format) -> None:
        """Whatever colour the person has, the blocks are the same."""
        layout = layout_of(format_)
        mask = person_mask((180, 320), 0)
        matte = Matte(np.ascontiguousarray(255 * mask.astype(np.uint8)))
        results = []
        for person in (20, 235):
            frame = Frame.filled(layout, (120, 90, 60))
            for plane in frame.planes:
                step = 1 if plane.shape == mask.shape else 2
                plane[mask[::step, ::step]] = person
            results.append(rendered(spec, frame, matte))
        for first, second in zip(results[0].planes, results[1].planes, strict=True):
            # Halved samples at the edge are partly the person's, and count that little.
            assert abs(first.astype(int) - second).max() <= 3

    def test_covered_blocks_are_like_their_neighbours(self) -> None:
        """Behind the person are the colours that are beside them, not those of the whole room."""
        frame = Frame.filled(layout_of("gbrp"), (200, 40, 40))
        frame.planes[1][:, 160:], frame.planes[2][:, 160:] = 200, 40
        values = np.zeros((180, 320), np.uint8)
        values[60:120, 40:100] = 255
        result = rendered("pixelate", frame, Matte(values)).to_rgb()
        assert abs(result[90, 70].astype(int) - (200, 40, 40)).max() <= 6

    def test_more_strength_makes_larger_blocks(self) -> None:
        """The stronger, the fewer colours are left in a slope."""
        frame = Frame.filled(layout_of("yuv420p"), (0, 0, 0))
        frame.planes[0][:] = np.linspace(16, 235, 320)
        counts = [
            len(np.unique(rendered(f"pixelate:{strength}", frame, empty_matte()).planes[0]))
            for strength in (0.4, 0.6, 1)
        ]
        assert counts[0] > counts[1] > counts[2] > 4

    @given(
        size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
        format_=st.sampled_from(FORMATS),
        covered=st.booleans(),
        spec=st.sampled_from(["pixelate", "blur:0.4", "blur:1"]),
    )
    def test_any_size(
        self, *, size: tuple[int, int], format_: Format, covered: bool, spec: str
    ) -> None:
        """Frames of any size, with everything covered or nothing, become blocks or are blurred."""
        frame = Frame.filled(layout_of(format_, size), (120, 90, 60))
        matte = Matte(np.full(size[::-1], 255 * covered, np.uint8))
        result = rendered(spec, frame, matte)
        assert result.layout == frame.layout
        if not covered:
            for plane, source in zip(result.planes, frame.planes, strict=True):
                assert abs(plane.astype(int) - source).max() <= 1


class TestGrayscale:
    """The room without colour."""

    @pytest.mark.parametrize("format_", FORMATS)
    def test_luma_stays_and_colour_goes(self, format_: Format, portrait: NDArray[np.uint8]) -> None:
        """Every pixel is gray and as bright as it was."""
        frame = Frame.from_rgb(portrait).converted(layout_of(format_, (512, 512)))
        result = rendered("grayscale", frame, empty_matte((512, 512)))
        assert result.layout == frame.layout
        if format_ == "gbrp":
            expected = portrait @ np.array([0.299, 0.587, 0.114])
            for plane in result.planes:
                assert abs(plane - expected).max() <= 0.51
        else:
            assert_array_equal(result.planes[0], frame.planes[0])
            assert all((plane == 128).all() for plane in result.planes[1:])
        rgb = result.to_rgb().astype(int)
        assert np.ptp(rgb, axis=2).max() <= 2


class TestBoth:
    """What they have in common."""

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("spec", ["pixelate", "pixelate:0.4", "grayscale"])
    def test_cover_shows_nothing_of_the_room(self, spec: str, format_: Format) -> None:
        """After frames of the room, too, the cover is a plain dark grey."""
        layout = layout_of(format_)
        background = create_background(Settings(background=spec))
        background.render(Frame.filled(layout, ROOM_RGB), empty_matte(), 0.0)
        cover = background.cover(layout, 1.0)
        assert count_room_pixels(cover) == 0
        for plane, other in zip(cover.planes, Frame.filled(layout, COVER_RGB).planes, strict=True):
            assert_array_equal(plane, other)

    @pytest.mark.parametrize("kind", ["blur", "pixelate"])
    @pytest.mark.parametrize(
        "strength", ["0", "-0.5", "1.1", "much", "nan", "inf", "-inf", "1e300"]
    )
    def test_wrong_strength_is_an_error(self, kind: str, strength: str) -> None:
        """A strength out of range is an error that shows a right one."""
        with pytest.raises(SettingsError, match=rf"0\.4 to 1, as in {kind}:0\.6"):
            create_background(Settings(background=f"{kind}:{strength}"))

    @pytest.mark.parametrize("kind", ["blur", "pixelate"])
    @pytest.mark.parametrize("strength", ["1e-30", "0.1", "0.399"])
    def test_strength_that_hides_nothing_is_refused(self, kind: str, strength: str) -> None:
        """An effect too weak to hide lettering is an error that names what is strong enough."""
        with pytest.raises(SettingsError, match=rf"smallest strength is {kind}:0\.4.* say none"):
            create_background(Settings(background=f"{kind}:{strength}"))

    @pytest.mark.parametrize("spec", ["blur", "pixelate"])
    def test_a_still_room_stays_still(self, spec: str, rng: np.random.Generator) -> None:
        """A camera's noise is not seen, so that an average of many frames tells no more."""
        background = create_background(Settings(background=spec))
        shown = []
        for _ in range(20):
            frame = Frame.filled(layout_of("yuv420p"), (90, 120, 60))
            frame.planes[0][:] = np.linspace(60, 180, 320) + rng.normal(0, 4, (180, 320))
            shown.append(background.render(frame, empty_matte(), 0.0).planes[0].copy())
        for plane in shown[1:]:
            assert_array_equal(plane, shown[0])
