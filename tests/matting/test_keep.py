"""Keep: marked objects of the room stay, and nothing else does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from greenroom.errors import SettingsError
from greenroom.matting.keep import KeptRegions
from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.specs import Rectangle, parse_regions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SIZE = (640, 360)
LAYOUTS = [
    Layout(*SIZE, "yuv420p", Colour(1, 1)),
    Layout(*SIZE, "yuv444p", Colour(6, 2)),
    Layout(*SIZE, "gbrp", Colour(0, 2)),
]
LAYOUT = LAYOUTS[0]
AROUND_CHAIR = "380,120,160,230"


@dataclass
class KnownRoom:
    """A plate as the engine learns it."""

    planes: tuple[Floats, ...]
    confidence: Floats


def chair() -> NDArray[np.bool_]:
    """Return where the chair is: a rounded back on a seat on a leg."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    cv2.ellipse(mask, (460, 190), (55, 60), 0, 0, 360, 1, -1)
    cv2.rectangle(mask, (405, 250), (515, 285), 1, -1)
    cv2.rectangle(mask, (450, 285), (470, 340), 1, -1)
    return mask.astype(np.bool_)


def room(layout: Layout = LAYOUT, *, furnished: bool = True) -> KnownRoom:
    """Return a room: a shaded wall with noise, a dark shelf, and a chair of red cloth."""
    rng = np.random.default_rng(3)
    width, height = SIZE
    shade = np.linspace(0.8, 1.1, width)[None, :, None]
    rgb = shade * np.array((170, 165, 150)) + rng.normal(0, 4, (height, width, 1))
    rgb[40:90, 60:300] = (70, 50, 40)
    if furnished:
        cloth = np.array((130, 40, 45)) + rng.normal(0, 8, (height, width, 1))
        rgb[chair()] = cloth[chair()]
    frame = Frame.from_rgb(np.clip(rgb, 0, 255).astype(np.uint8)).converted(layout)
    planes = tuple(plane.astype(np.float32) for plane in frame.small_planes)
    return KnownRoom(planes, np.ones(planes[0].shape, np.float32))


def nothing() -> Floats:
    """Return the matte of nobody."""
    return np.zeros(SIZE[::-1], np.float32)


def alike(unlike: tuple[slice, slice] | None = None) -> Floats:
    """Return that the frame looks like the plate, except for a part of it."""
    similarity = np.ones(SIZE[::-1], np.float32)
    if unlike is not None:
        similarity[unlike] = 0
    return similarity


def overlap(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    """Return the intersection over the union."""
    return float((one & two).sum() / (one | two).sum())


class TestOutline:
    """What is kept of a rectangle."""

    @pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.format)
    @pytest.mark.parametrize("text", [AROUND_CHAIR, "59.4%,33.3%,25%,63.9%"])
    def test_is_that_of_the_object(self, layout: Layout, text: str) -> None:
        """The chair is found in a rectangle around it, in any format, in pixels or in %."""
        regions = KeptRegions(Settings(keep_region=text))
        kept = regions.apply(nothing(), room(layout), alike(), layout)
        assert overlap(kept > 0.5, chair()) > 0.9
        assert kept[:100].max() == 0

    def test_is_found_once(self) -> None:
        """Later plates do not change it."""
        regions = KeptRegions(Settings(keep_region=AROUND_CHAIR))
        first = regions.apply(nothing(), room(), alike(), LAYOUT)
        second = regions.apply(nothing(), room(furnished=False), alike(), LAYOUT)
        assert_array_equal(first, second)

    def test_waits_until_the_place_is_known(self) -> None:
        """While more than a tenth of the rectangle is unknown nothing is kept there."""
        regions = KeptRegions(Settings(keep_region=AROUND_CHAIR))
        known = room()
        known.confidence[120:160] = 0
        assert regions.apply(nothing(), known, alike(), LAYOUT).max() == 0
        (notice,) = regions.notices
        assert "Step out of the picture" in notice
        assert AROUND_CHAIR in notice
        known.confidence[:] = 1
        assert overlap(regions.apply(nothing(), known, alike(), LAYOUT) > 0.5, chair()) > 0.9
        assert regions.notices == ()

    def test_of_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """Where nothing stands out from the room nothing is kept, and it is said."""
        flat = room()
        for plane in flat.planes:
            plane[:] = 100
        regions = KeptRegions(Settings(keep_region=AROUND_CHAIR))
        kept = regions.apply(nothing(), flat, alike(), LAYOUT)
        assert (kept.max() == 0) == ("nothing stands out" in caplog.text)
        assert (kept.max() == 0) == any("Nothing stands out" in one for one in regions.notices)

    def test_gray(self) -> None:
        """A plate of one plane is enough."""
        layout = Layout(*SIZE, "gray", Colour(2, 2))
        known = room()
        regions = KeptRegions(Settings(keep_region=AROUND_CHAIR))
        kept = regions.apply(
            nothing(), KnownRoom(known.planes[:1], known.confidence), alike(), layout
        )
        assert overlap(kept > 0.5, chair()) > 0.9


class TestMatte:
    """What becomes of the matte."""

    def test_person_before_the_chair_stays_as_they_are(self) -> None:
        """The matte is only ever raised."""
        alpha = np.random.default_rng(1).random(SIZE[::-1], np.float32)
        before = alpha.copy()
        regions = KeptRegions(Settings(keep_region=AROUND_CHAIR))
        kept = regions.apply(alpha, room(), alike((slice(200, 300), slice(400, 460))), LAYOUT)
        assert (kept >= alpha).all()
        assert_array_equal(alpha, before)
        assert not np.shares_memory(kept, alpha)

    def test_stranger_before_the_chair_does_not_appear(self) -> None:
        """Where the frame does not look like the room nothing is kept."""
        unlike = slice(150, 250), slice(430, 480)
        regions = KeptRegions(Settings(keep_region=AROUND_CHAIR))
        kept = regions.apply(nothing(), room(), alike(unlike), LAYOUT)
        assert kept[unlike].max() == 0
        assert kept[200, 415] > 0.9

    def test_without_a_plate_nothing_is_kept(self) -> None:
        """Nor with another one, of another view, what was found on the first."""
        regions = KeptRegions(Settings(keep_region=AROUND_CHAIR))
        assert regions.apply(nothing(), room(), alike(), LAYOUT).max() > 0.9
        assert regions.apply(nothing(), None, None, LAYOUT).max() == 0
        moved = room(furnished=False)
        cv2.circle(moved.planes[0], (420, 300), 30, 20, -1)
        kept = regions.apply(nothing(), moved, alike(), LAYOUT)
        assert kept[150:220, 420:500].max() == 0

    def test_what_is_not_known_is_not_kept(self) -> None:
        """However much it looks like what is behind it."""
        regions = KeptRegions(Settings(keep_region=AROUND_CHAIR))
        known = room()
        known.confidence[200:210] = 0
        assert regions.apply(nothing(), known, alike(), LAYOUT)[200:210].max() == 0

    def test_without_the_setting_it_is_the_matte_itself(self) -> None:
        """It costs nothing."""
        alpha = nothing()
        assert KeptRegions(Settings()).apply(alpha, room(), alike(), LAYOUT) is alpha


class TestPicture:
    """A picture says what is kept."""

    def test_is_taken_as_it_is(self, make_picture: Callable[..., Path]) -> None:
        """White is kept, scaled to the frame; with other regions both are."""
        picture = np.zeros((90, 160, 3), np.uint8)
        picture[45:, :40] = 255
        path = make_picture(picture, "mask.png")
        regions = KeptRegions(Settings(keep_region=f"{path}; {AROUND_CHAIR}"))
        kept = regions.apply(nothing(), room(), alike(), LAYOUT)
        assert kept[190:, :150].min() == 1
        assert kept[:170, :380].max() == 0
        assert overlap(kept[:, 300:] > 0.5, chair()[:, 300:]) > 0.9

    def test_that_cannot_be_read(self, tmp_path: Path) -> None:
        """It is an error that names the setting and the file."""
        (tmp_path / "mask.png").write_bytes(b"no picture")
        for name in ("mask.png", "missing.png"):
            with pytest.raises(
                SettingsError, match=f"keep_region.*{name}.* cannot be read"
            ) as error:
                KeptRegions(Settings(keep_region=str(tmp_path / name)))
            assert error.value.name == "keep_region"


class TestText:
    """How regions are written."""

    @given(
        st.lists(
            st.tuples(*[st.integers(0, 49)] * 2, *[st.integers(1, 50)] * 2, *[st.booleans()] * 4),
            min_size=1,
            max_size=3,
        )
    )
    def test_is_read_as_it_is_written(self, rectangles: list[tuple[Any, ...]]) -> None:
        """Any number of rectangles, each number in pixels or in %."""
        text = " ; ".join(
            ", ".join(f"{value}{'%' * sign}" for value, sign in zip(one[:4], one[4:], strict=True))
            for one in rectangles
        )
        read = parse_regions(text)
        assert [(*one.values, *one.in_percent) for one in read if isinstance(one, Rectangle)] == [
            tuple(one) for one in rectangles
        ]
        for one in read:
            assert isinstance(one, Rectangle)
            left, top, right, bottom = one.placed((100, 100), (50, 50))
            assert 0 <= left < right <= 51
            assert 0 <= top < bottom <= 51

    @pytest.mark.parametrize(
        "text", ["1,2,3", "1,2,0,4", "1,2,3,4,5", "a,2,3,4", "-1,2,3,4", ";", "1,2,3,4px"]
    )
    def test_malformed(self, text: str) -> None:
        """It is an error that says what is expected and what came."""
        with pytest.raises(
            SettingsError, match=r"keep_region.*expected x,y,width,height.*not"
        ) as error:
            Settings(keep_region=text)
        assert error.value.name == "keep_region"

    @pytest.mark.parametrize("text", ["600,0,41,10", "0,50%,10,51%", "0,0,641,10"])
    def test_outside_the_frame(self, text: str) -> None:
        """It is an error as soon as a frame is there, with or without a plate."""
        regions = KeptRegions(Settings(keep_region=text))
        with pytest.raises(SettingsError, match=r"does not lie within the frame of 640x360"):
            regions.apply(nothing(), None, None, LAYOUT)
