"""The chroma key: synthetic people in front of screens, keyed and despilled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import pytest

from greenroom import Settings, VirtualBackground
from greenroom.errors import FormatError, ModelOutputError, ProcessingError, SettingsError
from greenroom.evaluation import metrics
from greenroom.media.colour import FULL_RANGE_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.segmenters import check_coarse_matte, create_segmenter
from greenroom.segmenters.chroma import ChromaSegmenter
from greenroom.testing import ROOM_RGB, PersonSource, count_room_pixels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.media.layout import Format

    Plane = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    RGB = tuple[int, int, int]

GREEN: Final = (0, 177, 64)
BLUE: Final = (0, 71, 187)
SIZE: Final = (640, 360)
# The bound for a matte at the resolution of chroma, noise and uneven light included.
LARGEST_MAD: Final = 0.01

LAYOUTS: Final = [
    Layout(*SIZE, "yuv420p", Colour(1, 1)),
    Layout(*SIZE, "yuv420p", Colour(5, 2)),
    Layout(*SIZE, "yuv444p", Colour(1, 2)),
    Layout(*SIZE, "yuv444p", Colour(5, 1)),
    Layout(*SIZE, "gbrp", FULL_RANGE_RGB),
]


def true_alpha(size: tuple[int, int] = SIZE) -> Floats:
    """Draw the coverage of a person: a head with wisps of hair on shoulders, soft edges."""
    width, height = size
    alpha = np.zeros((height, width), np.float32)
    middle, scale = width // 2, height / 360
    cv2.ellipse(
        alpha,
        (middle, round(150 * scale)),
        (round(60 * scale), round(85 * scale)),
        0,
        0,
        360,
        1,
        -1,
    )
    cv2.ellipse(alpha, (middle, height), (round(150 * scale), round(140 * scale)), 0, 0, 360, 1, -1)
    for angle in range(200, 341, 7):
        way = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        root, tip = ((middle, 140 * scale) + way * length * scale for length in (70, 110))
        cv2.line(alpha, root.astype(int).tolist(), tip.astype(int).tolist(), 0.8, 2)
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), 1.5), np.float32)


def person(size: tuple[int, int] = SIZE) -> Floats:
    """Paint what is inside: dark hair, skin, a white and a gray half of a shirt."""
    width, height = size
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = (40, 30, 25)
    picture[height * 3 // 10 :] = (205, 150, 120)
    picture[height * 6 // 10 :, : width // 2] = (240, 240, 240)
    picture[height * 6 // 10 :, width // 2 :] = (70, 72, 75)
    return picture


def scene(
    screen: RGB,
    layout: Layout = LAYOUTS[0],
    noise: float = 4.0,
    spill: float = 0.0,
    shirt: RGB | None = None,
) -> tuple[Frame, Floats]:
    """Put the person in front of a screen with light that differs by a quarter, and noise.

    Spill is how much of the screen's colour is mixed into all of the person's.
    """
    width, height = layout.size
    y, x = np.mgrid[0:height, 0:width]
    light = 1 + 0.25 * np.cos(np.pi * x / width) * np.cos(np.pi * y / height)
    behind = light[:, :, None] * np.array(screen)
    alpha = true_alpha(layout.size)
    own = person(layout.size)
    if shirt is not None:
        own[height * 6 // 10 :] = shirt
    own += spill * (np.array(screen, np.float32) - own)
    picture = alpha[:, :, None] * own + (1 - alpha[:, :, None]) * behind
    picture += np.random.default_rng(7).normal(0, noise, picture.shape)
    rgb = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return Frame.from_rgb(rgb).converted(layout), alpha


def matte_of(coarse: Floats, size: tuple[int, int] = SIZE) -> Floats:
    """Enlarge a coarse matte."""
    return np.asarray(cv2.resize(check_coarse_matte(coarse), size), np.float32)


def screen_share(rgb: NDArray[Any], screen: RGB) -> NDArray[np.float64]:
    """Tell how far colours go from gray in the direction of a screen's; 1 is the screen's own."""
    c_b_c_r = np.array([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    key = c_b_c_r @ screen
    return np.asarray(rgb.astype(np.float64) @ c_b_c_r.T @ key / (key @ key))


class TestCoverage:
    """Accuracy of the matte."""

    @pytest.mark.parametrize("screen", [GREEN, BLUE, ROOM_RGB], ids=["green", "blue", "magenta"])
    @pytest.mark.parametrize(
        "layout", LAYOUTS, ids=lambda layout: f"{layout.format}-{layout.colour.matrix}"
    )
    def test_true_alpha_is_found(self, layout: Layout, screen: RGB) -> None:
        """Hair, white, gray and dark clothes, noise and uneven light: every format and range."""
        frame, alpha = scene(screen, layout)
        coarse = ChromaSegmenter().segment(frame)
        assert coarse.shape == layout.plane_shapes[-1]
        assert metrics.mad(matte_of(coarse), alpha) < LARGEST_MAD

    def test_inside_and_outside_are_whole(self) -> None:
        """The person has no holes, white and gray clothes included; nothing of the screen stays."""
        frame, alpha = scene(GREEN)
        matte = matte_of(ChromaSegmenter().segment(frame))
        kernel = np.ones((9, 9), np.uint8)
        assert matte[cv2.erode(alpha, kernel) > 0.999].min() > 0.9
        assert matte[cv2.dilate(alpha, kernel) < 0.001].max() < 0.05

    @pytest.mark.parametrize("key", ["#00b140", "#009a30", "limegreen"])
    def test_a_picked_colour_does_as_well(self, key: str) -> None:
        """A colour given, also one that is a little off, does what one that is found does."""
        frame, alpha = scene(GREEN)
        picked = ChromaSegmenter(key).segment(frame)
        assert metrics.mad(matte_of(picked), alpha) < LARGEST_MAD
        assert abs(picked - ChromaSegmenter().segment(frame)).mean() < 0.005

    @pytest.mark.parametrize("screen", [(25, 80, 40), (110, 220, 130)], ids=["dark", "bright"])
    @pytest.mark.parametrize("key", [None, "#00b140"])
    def test_screens_in_other_light(self, screen: RGB, key: str | None) -> None:
        """A screen may be darker or paler than its colour says, found or picked."""
        frame, alpha = scene(screen)
        coarse = ChromaSegmenter(key).segment(frame)
        assert metrics.mad(matte_of(coarse), alpha) < LARGEST_MAD

    @pytest.mark.parametrize(
        "shirt", [(230, 210, 40), (110, 120, 60), (30, 60, 160), (200, 30, 40), (0, 0, 0)]
    )
    def test_clothes_of_other_colours(self, shirt: RGB) -> None:
        """Yellow, olive, blue, red and black are not green."""
        frame, alpha = scene(GREEN, shirt=shirt)
        assert metrics.mad(matte_of(ChromaSegmenter().segment(frame)), alpha) < LARGEST_MAD

    def test_a_person_in_the_light_of_the_screen(self) -> None:
        """A fifth of the screen's colour all over the person makes no holes, and is taken out."""
        frame, alpha = scene(GREEN, spill=0.2)
        segmenter = ChromaSegmenter()
        assert metrics.mad(matte_of(segmenter.segment(frame)), alpha) < LARGEST_MAD
        coloured = segmenter.foreground(frame)
        assert coloured is not None
        inside = alpha > 0.999
        assert screen_share(frame.to_rgb()[inside], GREEN).mean() > 0.1
        assert screen_share(coloured.to_rgb()[inside], GREEN).mean() < 0.04

    @pytest.mark.parametrize(
        ("format_", "size"),
        [("yuv420p", (2562, 1442)), ("yuv444p", (1282, 722)), ("gbrp", (1282, 722))],
    )
    def test_large_frames_are_looked_at_in_small(
        self, format_: Format, size: tuple[int, int]
    ) -> None:
        """The matte of a large frame is at most 960 samples wide or high."""
        colour = FULL_RANGE_RGB if format_ == "gbrp" else Colour(1, 1)
        layout = Layout(*size, format_, colour)
        frame, alpha = scene(GREEN, layout)
        coarse = ChromaSegmenter().segment(frame)
        assert coarse.shape == (361, 641)
        assert metrics.mad(matte_of(coarse, layout.size), alpha) < LARGEST_MAD

    @pytest.mark.parametrize("size", [(1, 1), (3, 2), (17, 9), (64, 36)])
    def test_small_frames(self, size: tuple[int, int]) -> None:
        """A screen alone, of any size, is all background."""
        frame = Frame.filled(Layout(*size, "yuv420p", Colour(1, 1)), GREEN)
        segmenter = ChromaSegmenter()
        assert segmenter.segment(frame).max() == 0
        coloured = segmenter.foreground(frame)
        assert coloured is not None
        assert coloured.layout == frame.layout

    def test_answers_have_memory_of_their_own(self) -> None:
        """An answer does not change with the next one, nor what the caller does with it."""
        frame, _ = scene(GREEN)
        segmenter = ChromaSegmenter()
        first = segmenter.segment(frame)
        kept = first.copy()
        second = segmenter.segment(Frame.filled(frame.layout, GREEN))
        assert np.array_equal(first, kept)
        assert not np.shares_memory(first, second)


class TestForeground:
    """The person's colours without the screen's."""

    @pytest.mark.parametrize("screen", [GREEN, BLUE], ids=["green", "blue"])
    @pytest.mark.parametrize(
        "layout", LAYOUTS, ids=lambda layout: f"{layout.format}-{layout.colour.matrix}"
    )
    def test_spill_is_gone(self, layout: Layout, screen: RGB) -> None:
        """Over gray, edges have no hue of the screen; without that they would."""
        frame, alpha = scene(screen, layout, noise=1)
        segmenter = ChromaSegmenter()
        matte = matte_of(segmenter.segment(frame))[:, :, None]
        coloured = segmenter.foreground(frame)
        assert coloured is not None
        assert coloured.layout == layout
        edge = (alpha > 0.2) & (alpha < 0.9)
        before, after = (
            screen_share((matte * picture.to_rgb() + (1 - matte) * 128)[edge], screen)
            for picture in (frame, coloured)
        )
        assert np.percentile(before, 95) > 0.15
        assert np.percentile(after, 95) < 0.06
        assert after.mean() < 0.02

    def test_colours_of_the_person_stay(self) -> None:
        """Away from the edge nothing of the person changes, to a level or two."""
        frame, alpha = scene(GREEN, noise=0)
        segmenter = ChromaSegmenter()
        segmenter.segment(frame)
        coloured = segmenter.foreground(frame)
        assert coloured is not None
        inside = cv2.erode(alpha, np.ones((9, 9), np.uint8)) > 0.999
        change = abs(coloured.to_rgb().astype(int) - frame.to_rgb())[inside]
        assert change.mean() < 1
        assert np.percentile(change, 99) <= 6

    def test_the_frame_is_not_touched(self) -> None:
        """The result has memory of its own, and the frame's time."""
        frame = scene(GREEN)[0]
        planes = [plane.copy() for plane in frame.planes]
        segmenter = ChromaSegmenter()
        segmenter.segment(frame)
        coloured = segmenter.foreground(frame)
        assert coloured is not None
        assert coloured.pts == frame.pts
        for plane, kept, new in zip(frame.planes, planes, coloured.planes, strict=True):
            assert np.array_equal(plane, kept)
            assert not np.shares_memory(plane, new)

    def test_none_before_a_frame_was_segmented(self) -> None:
        """Without a matte there is nothing to say of the colours."""
        segmenter = ChromaSegmenter()
        frame = scene(GREEN)[0]
        assert segmenter.foreground(frame) is None
        segmenter.segment(frame)
        segmenter.reset()
        assert segmenter.foreground(frame) is None


class TestScreen:
    """Frames without a screen, or with another one."""

    @pytest.mark.parametrize(
        "rgb", [(128, 128, 128), (0, 0, 0), (205, 170, 125), (160, 110, 60), (200, 215, 230)]
    )
    @pytest.mark.parametrize("key", [None, "#00b140"])
    def test_rooms_are_refused(self, rgb: RGB, key: str | None) -> None:
        """Gray, black, pale walls, and what has the colour of wood or skin are no screens."""
        frame = scene(rgb)[0]
        with pytest.raises(ModelOutputError, match=r"screen .* key_color"):
            ChromaSegmenter(key).segment(frame)

    @pytest.mark.parametrize("side", ["left", "right", "both", "below"])
    def test_room_beside_the_screen(self, caplog: pytest.LogCaptureFixture, side: str) -> None:
        """A screen, or a sky, that leaves room in sight has to be named; then that is said once."""
        frame, _ = scene((30, 150, 60))
        rgb = frame.to_rgb()
        height, width = rgb.shape[:2]
        if side in ("left", "both"):
            rgb[:, : width // 5] = (120, 110, 100)
        if side in ("right", "both"):
            rgb[:, -width // 5 :] = (120, 110, 100)
        if side == "below":
            rgb[height * 11 // 20 :] = (120, 110, 100)
        narrow = Frame.from_rgb(rgb).converted(frame.layout)
        with pytest.raises(ModelOutputError, match="top and both sides"):
            ChromaSegmenter().segment(narrow)
        segmenter = ChromaSegmenter("#1e963c")
        with caplog.at_level("WARNING", logger="greenroom"):
            segmenter.segment(frame)
            assert not caplog.records
            segmenter.reset()
            segmenter.segment(narrow)
            segmenter.segment(narrow)
        (record,) = caplog.records
        assert "what is beside it is shown" in record.getMessage()

    def test_a_colour_that_is_kept_may_go_missing(self) -> None:
        """When the screen is gone the room behind it is not taken for the person."""
        segmenter = ChromaSegmenter()
        frame = scene(GREEN)[0]
        for _ in range(12):
            segmenter.segment(frame)
        with pytest.raises(ModelOutputError, match="not seen"):
            segmenter.segment(scene(BLUE)[0])
        assert segmenter.foreground(frame) is None
        segmenter.reset()
        segmenter.segment(scene(BLUE)[0])

    def test_a_dark_start_is_forgotten(self) -> None:
        """Frames without a screen do not stand in the way of one that comes."""
        segmenter = ChromaSegmenter()
        frame, alpha = scene(GREEN)
        for _ in range(20):
            with pytest.raises(ModelOutputError):
                segmenter.segment(Frame.filled(frame.layout, (0, 0, 0)))
        assert metrics.mad(matte_of(segmenter.segment(frame)), alpha) < LARGEST_MAD

    def test_the_layout_may_change(self) -> None:
        """The same colour has other samples in another layout."""
        segmenter = ChromaSegmenter()
        for layout in LAYOUTS:
            frame, alpha = scene(GREEN, layout)
            for _ in range(11):
                coarse = segmenter.segment(frame)
            assert metrics.mad(matte_of(coarse), alpha) < LARGEST_MAD

    def test_gray_frames_are_refused(self) -> None:
        """A gray frame has no chroma."""
        with pytest.raises(FormatError, match="colour frame"):
            ChromaSegmenter().segment(Frame.filled(Layout(8, 8, "gray"), (0, 0, 0)))


class TestEngine:
    """The key in the engine, the settings and the command."""

    def test_the_room_is_gone(self) -> None:
        """The synthetic room, one strong colour, is replaced; the matte alone works too."""
        source = PersonSource((320, 180))
        with VirtualBackground(model="chroma", background="color:navy") as engine:
            info = engine.info
            assert (info.model, info.file, info.runtime) == ("chroma", "", "greenroom")
            assert (info.device, info.threads) == ("cpu", 1)
            for frame in source:
                assert count_room_pixels(engine.process(frame)) == 0
                assert engine.process_matte(frame).planes[0].max() == 255

    @pytest.mark.parametrize("on_failure", ["stop", "cover"])
    def test_it_fails_closed(self, on_failure: str) -> None:
        """A screen of another colour than the key's is a room: nothing of it is shown."""
        frame = PersonSource((320, 180)).frame(0)
        with VirtualBackground(
            model="chroma", key_color="#00b140", background="color:navy", on_failure=on_failure
        ) as engine:
            if on_failure == "stop":
                with pytest.raises(ProcessingError, match="the screen behind the person"):
                    engine.process(frame)
                return
            shown = engine.process(frame)
        assert count_room_pixels(shown) == 0
        assert len(np.unique(shown.to_rgb().reshape(-1, 3), axis=0)) == 1

    def test_the_colour_changes_while_running(self) -> None:
        """`update` with another key makes another segmenter."""
        with VirtualBackground(model="chroma", key_color="#00b140", background="blur") as engine:
            engine.process(scene(GREEN)[0])
            engine.update(key_color="#0047bb")
            engine.process(scene(BLUE)[0])

    @pytest.mark.parametrize(
        ("key", "words"),
        [("gren", "did you mean 'green'"), ("#12", "CSS name"), ("", "CSS name")],
    )
    def test_wrong_colours(self, key: str, words: str) -> None:
        """An invalid colour is refused with every model, naming the setting."""
        with pytest.raises(SettingsError, match=words) as caught:
            Settings(key_color=key)
        assert caught.value.name == "key_color"
        assert "key_color" in str(caught.value)

    @pytest.mark.parametrize("key", ["white", "black", "#808890"])
    def test_colours_without_colour(self, key: str) -> None:
        """Nothing can be told from white, black or gray by its chroma."""
        with pytest.raises(SettingsError, match="too near to gray") as caught:
            create_segmenter(Settings(model="chroma", key_color=key))
        assert caught.value.name == "key_color"

    def test_it_runs_on_the_cpu_only(self) -> None:
        """Another device is an error, as with every model that has no use for it."""
        with pytest.raises(SettingsError, match="cuda"):
            create_segmenter(Settings(model="chroma", device="cuda"))

    def test_wrong_colours_in_a_file(self, tmp_path: Path) -> None:
        """A settings file is named with its mistake."""
        path = tmp_path / "settings.toml"
        path.write_text('key_color = "gren"\n')
        with pytest.raises(SettingsError, match=r"settings\.toml.*key_color.*gren"):
            Settings.from_toml(path)
