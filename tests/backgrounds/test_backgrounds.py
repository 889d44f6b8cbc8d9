"""Backgrounds: one suite that all kinds pass, and what is special about each."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.backgrounds import Background, create_background
from greenroom.backgrounds.fitting import fitted
from greenroom.errors import BackgroundError, SettingsError
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte
from greenroom.settings import Fit, Settings
from greenroom.sources.synthetic_person import person_mask
from greenroom.specs import NAMES, rgb_of
from greenroom.testing import ROOM_RGB, count_room_pixels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Make = Callable[..., Path]

KINDS: Final = ("picture", "video", "folder", "color:#204060", "blur", "transparent")
SIZES: Final = ((64, 36), (33, 17), (1, 1), (2, 5))
LAYOUTS: Final = tuple(
    Layout(*size, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
    for size in SIZES
    for format_ in ("yuv420p", "yuv444p", "gbrp")
)
RED, GREEN, BLUE = (200, 30, 30), (30, 160, 30), (30, 30, 200)


def flat(rgb: tuple[int, int, int], size: tuple[int, int] = (32, 24)) -> Plane:
    """Return a picture of one colour."""
    return np.full((size[1], size[0], 3), rgb, np.uint8)


def matte_for(layout: Layout) -> Matte:
    """Return the matte of the synthetic person."""
    mask = person_mask((layout.height, layout.width), 0)
    return Matte(np.ascontiguousarray(255 * mask.astype(np.uint8)))


def centre(frame: Frame) -> tuple[int, ...]:
    """Return the colour in the middle of a frame."""
    rgb = frame.to_rgb()
    return tuple(int(value) for value in rgb[rgb.shape[0] // 2, rgb.shape[1] // 2])


def near(colour: tuple[int, ...], other: tuple[int, int, int], tolerance: int = 8) -> bool:
    """Tell whether two colours look the same."""
    return bool(np.abs(np.subtract(colour, other)).max() <= tolerance)


@pytest.fixture
def make(make_picture: Make, make_video: Make, tmp_path: Path) -> Callable[[str], Background]:
    """Return a function that makes a background of a kind."""

    def of(kind: str) -> Background:
        spec = kind
        if kind == "picture":
            spec = str(make_picture(flat(RED)))
        elif kind == "video":
            spec = str(make_video([flat(RED), flat(GREEN)]))
        elif kind == "folder":
            make_picture(flat(RED), "slides/a.png")
            make_picture(flat(GREEN), "slides/b.png")
            spec = str(tmp_path / "slides")
        return create_background(Settings(background=spec, slide_seconds=2))

    return of


@pytest.mark.parametrize("kind", KINDS)
class TestEveryBackground:
    """What all promise."""

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_fits_the_frame(
        self, kind: str, layout: Layout, make: Callable[[str], Background]
    ) -> None:
        """What is rendered, and the cover, have the frame's very layout; the frame stays."""
        background = make(kind)
        frame = Frame.filled(layout, ROOM_RGB)
        before = frame.copy()
        rendered = background.render(frame, matte_for(layout), 0.0)
        assert rendered.layout == layout
        assert background.cover(layout, 0.0).layout == layout
        for plane, old in zip(frame.planes, before.planes, strict=True):
            assert_array_equal(plane, old)
        background.reset()
        background.close()

    def test_cover_is_not_made_of_the_room(
        self, kind: str, make: Callable[[str], Background]
    ) -> None:
        """After frames of the room have been seen, the cover still shows none of it."""
        background = make(kind)
        layout = LAYOUTS[0]
        for number in range(3):
            background.render(Frame.filled(layout, ROOM_RGB), matte_for(layout), number / 25)
        assert count_room_pixels(background.cover(layout, 0.2), 60) == 0
        background.close()


class TestBlur:
    """The room, blurred."""

    @pytest.mark.parametrize("format_", ["yuv420p", "yuv444p", "gbrp"])
    def test_gray_stays_gray(self, format_: Format) -> None:
        """Weights and samples are reduced alike: nothing is tinted or darkened at an edge."""
        colour = Colour(0, 2) if format_ == "gbrp" else Colour(1, 1)
        layout = Layout(640, 360, format_, colour)
        blur = create_background(Settings(background="blur"))
        result = blur.render(Frame.filled(layout, (120, 120, 120)), matte_for(layout), 0)
        assert np.abs(result.to_rgb().astype(int) - 120).max() <= 2

    @pytest.mark.parametrize("spec", ["blur:0.4", "blur", "blur:1"])
    def test_person_does_not_bleed(self, spec: str) -> None:
        """Whatever colour the person has, the blurred room is the same."""
        layout = Layout(640, 360, "yuv420p", Colour(1, 1))
        matte = matte_for(layout)
        results = []
        for person in ((255, 0, 0), (0, 0, 255)):
            frame = Frame.filled(layout, (90, 140, 60))
            for plane, sample in zip(frame.planes, layout.samples(*person), strict=True):
                plane[person_mask(plane.shape, 0)] = sample
            blurred = create_background(Settings(background=spec)).render(frame, matte, 0)
            results.append(blurred.to_rgb().astype(int))
        # Where 2x2 chroma samples straddle the edge, a little is left.
        assert np.abs(results[0] - results[1]).max() <= 12
        assert np.abs(results[0] - (90, 140, 60)).max() <= 12

    def test_stronger_is_smoother(self) -> None:
        """The stronger the blur, the less detail is left."""
        noise = np.random.default_rng(1).integers(0, 256, (5, 9, 3), np.uint8)
        frame = Frame.from_rgb(np.kron(noise, np.ones((36, 36, 1), np.uint8))[:, :320])
        empty = Matte(np.zeros((180, 320), np.uint8))
        detail = [
            create_background(Settings(background=f"blur:{strength}"))
            .render(frame, empty, 0)
            .to_rgb()
            .std()
            for strength in (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
        ]
        assert all(weak > strong for weak, strong in itertools.pairwise(detail))
        assert detail[-1] < 0.65 * detail[0]

    def test_all_person(self) -> None:
        """A frame that is nothing but person has no background to show, and no error."""
        layout = Layout(64, 36, "yuv420p", Colour(1, 1))
        full = Matte(np.full((36, 64), 255, np.uint8))
        result = create_background(Settings(background="blur")).render(
            Frame.filled(layout, ROOM_RGB), full, 0
        )
        assert count_room_pixels(result) == 0


class TestTime:
    """Backgrounds that move."""

    def test_video_keeps_its_own_time(self, make_video: Make) -> None:
        """A loop of 100 and 300 ms is followed whatever the frame rate of the camera is."""
        path = make_video([flat(RED), flat(BLUE)], [0, 100], "loop.gif", last=300)
        for rate in (5, 24, 60, 1000):
            video = create_background(Settings(background=str(path)))
            for number in range(3 * rate):
                time_s = number / rate
                shown = centre(video.cover(LAYOUTS[0], time_s))
                in_loop = (time_s + 1e-9) % 0.4
                if min(abs(in_loop - edge) for edge in (0, 0.1, 0.4)) > 0.002:
                    assert near(shown, RED if in_loop < 0.1 else BLUE), (rate, time_s)
            video.close()

    def test_slides_change_by_the_clock(self, make: Callable[[str], Background]) -> None:
        """A folder shows each picture for as long as it is told to, over and over."""
        slides = make("folder")
        shown = [centre(slides.cover(LAYOUTS[0], time_s)) for time_s in (0, 1.9, 2.1, 3.9, 4.1)]
        for colour, expected in zip(shown, (RED, RED, GREEN, GREEN, RED), strict=True):
            assert near(colour, expected)


class TestFitting:
    """How a picture fills a frame."""

    @staticmethod
    def quarters() -> Frame:
        """Return a picture, 80x40: red and green above, blue and white below."""
        picture = np.empty((40, 80, 3), np.uint8)
        picture[:20, :40], picture[:20, 40:] = RED, GREEN
        picture[20:, :40], picture[20:, 40:] = BLUE, (255, 255, 255)
        return Frame.from_rgb(picture)

    @pytest.mark.parametrize("format_", ["yuv420p", "gbrp"])
    @pytest.mark.parametrize("size", [(40, 40), (160, 80), (41, 23), (80, 40)])
    def test_cover_cuts_the_middle_out(self, format_: Format, size: tuple[int, int]) -> None:
        """All of the frame is filled, the proportions stay, and the middle stays the middle."""
        layout = Layout(*size, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
        rgb = fitted(self.quarters(), layout, Fit.COVER).to_rgb()
        width, height = size
        for x, y, colour in ((1, 1, RED), (3, 1, GREEN), (1, 3, BLUE), (3, 3, (255, 255, 255))):
            assert near(tuple(rgb[height * y // 4, width * x // 4]), colour, 12)

    def test_contain_shows_all_on_black(self) -> None:
        """Nothing is cut off; what is left over is black."""
        layout = Layout(80, 80, "gbrp", Colour(0, 2))
        rgb = fitted(self.quarters(), layout, Fit.CONTAIN).to_rgb()
        assert rgb[:19].max() == 0
        assert rgb[61:].max() == 0
        assert near(tuple(rgb[25, 5]), RED)
        assert near(tuple(rgb[55, 75]), (255, 255, 255))

    def test_stretch_ignores_proportions(self) -> None:
        """All of the picture fills all of the frame."""
        rgb = fitted(self.quarters(), Layout(40, 80, "gbrp", Colour(0, 2)), Fit.STRETCH).to_rgb()
        assert near(tuple(rgb[2, 2]), RED)
        assert near(tuple(rgb[77, 2]), BLUE)
        assert near(tuple(rgb[2, 37]), GREEN)

    def test_tile_repeats(self) -> None:
        """The picture is repeated at its own size."""
        layout = Layout(200, 100, "gbrp", Colour(0, 2))
        rgb = fitted(self.quarters(), layout, Fit.TILE).to_rgb()
        expected = np.tile(self.quarters().to_rgb(), (3, 3, 1))[:100, :200]
        assert_array_equal(rgb, expected)

    @given(
        st.tuples(st.integers(1, 50), st.integers(1, 50)),
        st.tuples(st.integers(1, 50), st.integers(1, 50)),
        st.sampled_from(list(Fit)),
        st.sampled_from(["yuv420p", "yuv444p", "gbrp"]),
    )
    def test_every_size_goes_into_every_other(
        self, picture: tuple[int, int], size: tuple[int, int], fit: Fit, format_: Format
    ) -> None:
        """No size is too small, too wide or too odd."""
        layout = Layout(*size, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
        result = fitted(Frame.from_rgb(flat(RED, picture)), layout, fit)
        assert result.layout == layout
        if fit is not Fit.CONTAIN:
            assert near(centre(result), RED, 12)


def test_video_whose_pixels_are_not_square_has_its_shape(tmp_path: Path) -> None:
    """A square film that fills a frame of 2:1 by pixels twice as wide fills it to the edges."""
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:8] = picture[-8:] = 255  # which "cover" would cut away of square pixels
        target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        target.mux(stream.encode(None))
    layout = Layout(128, 64, "gbrp")
    background = create_background(Settings(background=str(path)))
    shown = background.cover(layout, 0.0).to_rgb()
    assert shown[:6].min() > 200
    assert shown[-6:].min() > 200
    assert shown[16:48].max() < 50


class TestSpecifications:
    """What ``--background`` takes."""

    @given(st.sampled_from(sorted(NAMES)))
    def test_css_names(self, name: str) -> None:
        """Names are known in any case, and are their digits."""
        assert rgb_of(name.upper()) == rgb_of(f"#{NAMES[name]}")

    def test_short_notation(self) -> None:
        """Three digits stand for six."""
        assert rgb_of("#1aF") == (0x11, 0xAA, 0xFF)

    @pytest.mark.parametrize("spec", ["color:", "color:#12", "color:blu", "blur:", "blur:0"])
    def test_words_that_say_nothing(self, spec: str) -> None:
        """A specification that is none is an error that names it."""
        with pytest.raises((SettingsError, BackgroundError)) as caught:
            create_background(Settings(background=spec))
        assert spec.partition(":")[2] in str(caught.value)

    def test_none_is_the_camera_and_nothing_else_is(self) -> None:
        """Only the word ``none`` shows the room."""
        assert not create_background(Settings(background="none")).needs_matte
        for spec in ("blur", "transparent", "color:teal"):
            assert create_background(Settings(background=spec)).needs_matte
        with pytest.raises(BackgroundError):
            create_background(Settings(background="None"))


def test_time_of_a_frame_is_not_used() -> None:
    """A background does not look at the frame's clock, only at the time it is given."""
    layout = LAYOUTS[0]
    background = create_background(Settings(background="color:teal"))
    late = Frame.filled(layout, ROOM_RGB).shown_at(10**9, Fraction(1, 25))
    assert near(centre(background.render(late, matte_for(layout), 0.0)), (0, 128, 128))
