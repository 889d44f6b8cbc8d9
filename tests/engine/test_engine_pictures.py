"""Effects in the engine: in which order, on what, and still never the room."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from greenroom import VirtualBackground
from greenroom.effects import Follow, crop, mirrored
from greenroom.effects.low_light import brightness
from greenroom.errors import SettingsError
from greenroom.media.colour import COVER_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte
from greenroom.testing import (
    PERSON_RGB,
    Fault,
    FaultySegmenter,
    PersonSegmenter,
    PersonSource,
    count_room_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]
    Make = Callable[..., Path]

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
VIEWS: Final = frozenset({"after", "before", "matte"})
TEAL: Final = (0, 128, 128)
AMBER: Final = (160, 120, 0)
ROOM: Final = (200, 30, 160)

pytestmark = pytest.mark.usefixtures("no_thread_left")


class BoxSegmenter(PersonSegmenter):
    """Sees the person in a box, whatever is shown; keeps how bright the frames were."""

    def __init__(self, box: tuple[float, float, float, float] = (0.6, 0.4, 0.8, 0.9)) -> None:
        super().__init__()
        self.box = box
        self.seen: list[float] = []

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        self.seen.append(brightness(frame))
        coarse = np.zeros((90, 160), np.float32)
        left, top, right, bottom = self.box
        coarse[round(90 * top) : round(90 * bottom), round(160 * left) : round(160 * right)] = 1
        return coarse


class ColouringSegmenter(BoxSegmenter):
    """Knows the person's colours itself: what is left of the middle is red, the rest is blue."""

    def foreground(self, frame: Frame) -> Frame | None:
        """See `Segmenter.foreground`."""
        result = Frame.filled(frame.layout, (220, 20, 20))
        for plane, sample in zip(result.planes, frame.layout.samples(20, 20, 220), strict=True):
            plane[:, round(0.7 * plane.shape[1]) :] = sample
        return result


@pytest.fixture
def two_halves(make_picture: Make) -> str:
    """Return a picture that is teal on the left and amber on the right."""
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[:, :160], picture[:, 160:] = TEAL, AMBER
    return str(make_picture(picture))


@pytest.fixture
def logo(make_picture: Make) -> str:
    """Return a white picture of 20x12 pixels."""
    return str(make_picture(np.full((12, 20, 3), 255, np.uint8), "logo.png"))


def frame_of(
    format_: Format = "yuv420p", size: tuple[int, int] = (320, 180), number: int = 0
) -> Frame:
    """Return a frame of the room with a person who is green left of 0.7 and yellow right of it."""
    colour = Colour(0, 2) if format_ == "gbrp" else Colour(1, 1)
    layout = Layout(*size, format_, colour)
    frame = Frame.filled(layout, ROOM)
    for left, right, rgb in ((0.6, 0.7, (20, 160, 20)), (0.7, 0.8, (200, 200, 20))):
        for plane, sample in zip(frame.planes, layout.samples(*rgb), strict=True):
            height, width = plane.shape
            rows = slice(round(0.4 * height), round(0.9 * height))
            plane[rows, round(left * width) : round(right * width)] = sample
    return frame.shown_at(number, Fraction(1, 30))


def is_near(colour: Any, expected: tuple[int, int, int], tolerance: int = 12) -> bool:
    """Tell whether two colours look the same."""
    return bool(np.abs(np.subtract(colour, expected, dtype=int)).max() <= tolerance)


class TestMirror:
    """What is sent, mirrored."""

    @pytest.mark.parametrize("format_", FORMATS)
    def test_person_changes_sides_and_background_does_not(
        self, format_: Format, two_halves: str
    ) -> None:
        """Only the person is mirrored, in front of the background as it is."""
        with VirtualBackground(background=two_halves, segmenter=BoxSegmenter(), mirror=True) as vb:
            rgb = vb.process(frame_of(format_)).to_rgb()
        assert is_near(rgb[10, 10], TEAL)
        assert is_near(rgb[10, -10], AMBER)
        assert is_near(rgb[110, 320 - 208], (20, 160, 20))
        assert is_near(rgb[110, 320 - 240], (200, 200, 20))
        assert is_near(rgb[110, 240], AMBER)

    @pytest.mark.parametrize("background", ["blur", "pixelate", "grayscale"])
    def test_a_room_is_mirrored_with_the_person(self, background: str) -> None:
        """A background that is made of the frame is mirrored too: all of the picture is."""
        frame = frame_of()
        results = []
        for mirror in (False, True):
            with VirtualBackground(
                background=background, segmenter=BoxSegmenter(), mirror=mirror
            ) as vb:
                results.append(vb.process(frame))
        for plane, other in zip(mirrored(results[0]).planes, results[1].planes, strict=True):
            difference = abs(plane.astype(int) - other)
            assert np.percentile(difference, 99) <= 3

    def test_view_shows_what_is_sent(self, two_halves: str) -> None:
        """With the mirror on, what is sent is what the page shows; it is not mirrored twice."""
        with VirtualBackground(background=two_halves, segmenter=BoxSegmenter(), mirror=True) as vb:
            rendered = vb.render(frame_of(), VIEWS)
        for view, plane in zip(rendered.views["after"].planes, rendered.frame.planes, strict=True):
            assert_array_equal(view, plane)
            assert not np.shares_memory(view, plane)

    def test_matte_is_that_of_the_frame_as_it_came(self) -> None:
        """`matte` is not mirrored."""
        with VirtualBackground(
            background="color:teal", segmenter=BoxSegmenter(), mirror=True, framing="follow"
        ) as vb:
            vb.process(frame_of())
            matte = vb.matte
        assert matte is not None
        assert matte[110, 210]
        assert not matte[110, 110]


class TestFraming:
    """Crop and zoom in the engine."""

    @pytest.mark.parametrize("format_", FORMATS)
    def test_zooms_the_person_and_not_what_is_behind(
        self, format_: Format, two_halves: str
    ) -> None:
        """The person becomes larger; the background stays as it is, to the sample."""
        frame = frame_of(format_)
        results = []
        for framing in ("off", "follow"):
            with VirtualBackground(
                background=two_halves, segmenter=BoxSegmenter(), framing=framing
            ) as vb:
                results.append(vb.process(frame).to_rgb())
        person = [
            np.count_nonzero(
                np.logical_not(abs(r.astype(int) - TEAL).max(axis=2) < 12)
                & np.logical_not(abs(r.astype(int) - AMBER).max(axis=2) < 12)
            )
            for r in results
        ]
        assert person[1] > 2 * person[0]
        assert_array_equal(results[0][:, 150:170][:8], results[1][:, 150:170][:8])

    def test_is_the_crop_of_frame_and_matte(self) -> None:
        """What is sent is the cropped frame through the cropped matte."""
        frame = frame_of()
        with VirtualBackground(
            background="color:black",
            segmenter=BoxSegmenter(),
            framing="follow",
            clean_edges=False,
        ) as vb:
            result = vb.process(frame)
            assert vb.matte is not None
            matte = Matte(vb.matte)
        box = Follow().step(matte, 0.0)
        expected, shown = crop(frame, matte, box)
        share = shown.values / 255
        luma = share * expected.planes[0] + (1 - share) * 16
        assert abs(result.planes[0] - luma).max() <= 0.51

    def test_clean_edges_use_the_cropped_picture(self) -> None:
        """No colour of the room is left at the edge of the zoomed person."""
        frame = frame_of(size=(640, 360))
        with VirtualBackground(
            background="color:black", segmenter=BoxSegmenter(), framing="follow", edge_softness=1
        ) as vb:
            rgb = vb.process(frame).to_rgb().astype(int)
        # The room is the only thing with more blue than green.
        assert (rgb[..., 2] - rgb[..., 1] > 60).mean() < 0.002

    @pytest.mark.parametrize("mirror", [False, True])
    def test_a_model_s_own_colours_come_along(self, *, mirror: bool) -> None:
        """Colours that a model found are cropped and mirrored like the matte."""
        with VirtualBackground(
            background="color:black",
            segmenter=ColouringSegmenter(),
            framing="follow",
            mirror=mirror,
        ) as vb:
            rgb = vb.process(frame_of()).to_rgb()
            assert vb.matte is not None
            box = Follow().step(Matte(vb.matte), 0.0)
        seam = (0.7 - box.left) / box.size * 320
        row = round((0.65 - box.top) / box.size * 180)
        left, right = round(seam - 16), round(seam + 16)
        if mirror:
            left, right = 319 - left, 319 - right
        assert is_near(rgb[row, left], (220, 20, 20), 20)
        assert is_near(rgb[row, right], (20, 20, 220), 20)

    def test_begins_anew_when_it_is_switched_on(self) -> None:
        """Switching it on frames the next frame at once; switching it off shows all again."""
        with VirtualBackground(background="color:black", segmenter=BoxSegmenter()) as vb:
            plain = vb.process(frame_of(number=0))
            vb.update(framing="follow")
            close = vb.process(frame_of(number=1))
            vb.update(framing="off")
            again = vb.process(frame_of(number=2))
        assert (close.planes[0] != 16).mean() > 2 * (plain.planes[0] != 16).mean()
        assert_array_equal(plain.planes[0], again.planes[0])

    def test_reset_begins_anew(self) -> None:
        """After a reset another picture is framed at once."""
        segmenter = BoxSegmenter()
        with VirtualBackground(
            background="color:black", segmenter=segmenter, framing="follow"
        ) as vb:
            vb.process(frame_of(number=0))
            segmenter.box = (0.1, 0.1, 0.3, 0.6)
            still = vb.process(frame_of(number=1))
            vb.reset()
            framed = vb.process(frame_of(number=2))
        assert (framed.planes[0] != 16).mean() > 2 * (still.planes[0] != 16).mean()


class TestLowLight:
    """Brightening in the engine."""

    def test_comes_before_the_model(self) -> None:
        """The model sees the brightened picture."""
        dark = Frame.filled(Layout(320, 180, "yuv420p", Colour(1, 1)), (40, 40, 40))
        segmenter = BoxSegmenter()
        with VirtualBackground(background="color:teal", segmenter=segmenter) as vb:
            vb.process(dark)
            vb.update(low_light=1.0)
            vb.process(dark)
        assert segmenter.seen[0] == pytest.approx(40 / 255, abs=0.01)
        assert segmenter.seen[-1] == pytest.approx(0.4, abs=0.02)

    def test_before_is_the_camera_s_own_picture(self) -> None:
        """The view of the camera is not brightened, what is sent is."""
        dark = Frame.filled(Layout(320, 180, "yuv420p", Colour(1, 1)), (40, 40, 40))
        with VirtualBackground(
            background="color:teal", segmenter=BoxSegmenter(), low_light=1.0
        ) as vb:
            rendered = vb.render(dark, VIEWS)
        assert brightness(rendered.views["before"]) == pytest.approx(40 / 255, abs=0.01)
        assert rendered.frame.planes[0][110, 224] > 90


class TestOverlay:
    """The overlay in the engine."""

    @pytest.mark.parametrize("background", ["color:teal", "blur", "transparent", "none"])
    @pytest.mark.parametrize("format_", FORMATS)
    def test_is_in_front_of_everything(self, format_: Format, background: str, logo: str) -> None:
        """It is in front of any background and of the person, in what is sent and in the view."""
        frame = frame_of(format_, (640, 360))
        before = [plane.copy() for plane in frame.planes]
        with VirtualBackground(
            background=background, segmenter=BoxSegmenter(), overlay=f"{logo}@right"
        ) as vb:
            rendered = vb.render(frame, VIEWS)
        for shown in (rendered.frame, rendered.views["after"]):
            assert is_near(shown.to_rgb()[180, 620], (255, 255, 255), 4)
            assert not is_near(shown.to_rgb()[180, 19], (255, 255, 255), 40)
            if background == "transparent":
                assert shown.alpha is not None
                assert shown.alpha[180, 620] == 255
        for plane, kept in zip(frame.planes, before, strict=True):
            assert_array_equal(plane, kept)

    @pytest.mark.parametrize("mirror", [False, True])
    def test_is_not_mirrored(self, logo: str, *, mirror: bool) -> None:
        """It stays on its side, mirrored or not."""
        with VirtualBackground(
            background="color:teal", segmenter=BoxSegmenter(), overlay=f"{logo}@left", mirror=mirror
        ) as vb:
            rendered = vb.render(frame_of(), VIEWS)
        for shown in (rendered.frame, rendered.views["after"]):
            assert is_near(shown.to_rgb()[90, 14], (255, 255, 255), 4)
            assert is_near(shown.to_rgb()[90, -14], TEAL)

    @pytest.mark.parametrize("mirror", [False, True])
    def test_views_of_halved_frames_have_it_too(self, logo: str, *, mirror: bool) -> None:
        """In a view of half the size it is half as large, at half the place."""
        with VirtualBackground(
            background="color:teal", segmenter=BoxSegmenter(), overlay=f"{logo}@left", mirror=mirror
        ) as vb:
            rendered = vb.render(frame_of(size=(1280, 720)), VIEWS)
        view = rendered.views["after"].to_rgb()
        assert view.shape == (360, 640, 3)
        assert is_near(view[180, 15], (255, 255, 255), 4)
        assert is_near(view[180, 24], TEAL)

    def test_is_on_the_cover(self, logo: str) -> None:
        """The cover has it too."""
        with VirtualBackground(
            background="blur",
            segmenter=FaultySegmenter({0: Fault.RAISE}),
            overlay=logo,
            on_failure="cover",
        ) as vb:
            cover = vb.process(frame_of()).to_rgb()
        assert is_near(cover[-11, -15], (255, 255, 255), 4)
        assert is_near(cover[10, 10], COVER_RGB, 4)

    def test_can_be_changed_while_running(self, logo: str) -> None:
        """It can be put on and taken off; a wrong one changes nothing."""
        with VirtualBackground(background="color:teal", segmenter=BoxSegmenter()) as vb:
            plain = vb.process(frame_of()).to_rgb()
            vb.update(overlay=logo)
            with pytest.raises(SettingsError, match="cannot be read"):
                vb.update(overlay="missing.png", background="color:black")
            decorated = vb.process(frame_of()).to_rgb()
            vb.update(overlay=None)
            again = vb.process(frame_of()).to_rgb()
        assert is_near(decorated[-11, -15], (255, 255, 255), 4)
        assert is_near(decorated[10, 10], TEAL)
        assert_array_equal(plain, again)

    def test_a_wrong_one_leaves_no_thread(self) -> None:
        """An engine whose overlay cannot be read is not made."""
        with pytest.raises(SettingsError):
            VirtualBackground(background="color:teal", overlay="missing.png")


class TestTogether:
    """All effects at once."""

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("fault", list(Fault))
    @pytest.mark.parametrize("background", ["color:teal", "pixelate", "grayscale", "transparent"])
    def test_a_fault_shows_nothing_of_the_room(
        self, background: str, fault: Fault, format_: Format, logo: str
    ) -> None:
        """With every effect on, a frame that fails is covered."""
        faulty = FaultySegmenter({1: fault})
        first, second = PersonSource((128, 72), frames=2, format=format_)
        with VirtualBackground(
            background=background,
            segmenter=faulty,
            mirror=True,
            framing="follow",
            low_light=1.0,
            overlay=logo,
        ) as vb:
            assert vb.render(first, VIEWS).valid
            vb.update(timeout_s=0.01)
            rendered = vb.render(second, VIEWS)
            faulty.released.set()
        assert not rendered.valid
        assert "before" not in rendered.views
        for shown in (rendered.frame, rendered.views["after"]):
            assert count_room_pixels(shown) == 0

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("size", [(1, 1), (33, 17), (129, 73)])
    def test_any_size(self, size: tuple[int, int], format_: Format, logo: str) -> None:
        """Frames of odd sizes go through every effect."""
        frame = PersonSource(size, format=format_).frame(0)
        with VirtualBackground(
            background="pixelate",
            segmenter=PersonSegmenter(),
            mirror=True,
            framing="follow",
            low_light=1.0,
            overlay=logo,
            light_wrap=0.5,
            match_light=0.5,
        ) as vb:
            rendered = vb.render(frame, VIEWS)
        assert rendered.error == ""
        assert rendered.frame.layout == frame.layout

    def test_stages_are_timed(self, logo: str) -> None:
        """Every effect has its own time."""
        with VirtualBackground(
            background="color:teal",
            segmenter=BoxSegmenter(),
            mirror=True,
            framing="follow",
            low_light=1.0,
            overlay=logo,
        ) as vb:
            vb.render(frame_of(), VIEWS)
            stages = set(vb.timings.summary())
        assert {"low light", "framing", "mirror", "overlay", "views"} <= stages

    def test_none_has_mirror_low_light_and_overlay(self, logo: str) -> None:
        """With background ``none`` there is no crop, for nobody is looked for in the picture."""
        frame = frame_of()
        with VirtualBackground(
            background="none",
            segmenter=FaultySegmenter({0: Fault.RAISE}),
            mirror=True,
            framing="follow",
            overlay=logo,
        ) as vb:
            rendered = vb.render(frame)
        assert rendered.is_camera
        expected = frame.planes[0][:, ::-1]
        assert_array_equal(rendered.frame.planes[0][:150], expected[:150])
        assert (rendered.frame.planes[0][160:] != expected[160:]).any()

    def test_person_is_whole(self) -> None:
        """Without faults the person is in the picture, whatever effects there are."""
        frame = PersonSource((256, 144)).frame(0)
        with VirtualBackground(
            background="color:teal", segmenter=PersonSegmenter(), framing="follow", mirror=True
        ) as vb:
            rgb = vb.process(frame).to_rgb()
        assert is_near(rgb[130, 128], PERSON_RGB, 4)
        assert count_room_pixels(Frame.from_rgb(rgb)) == 0
