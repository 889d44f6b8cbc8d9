"""The engine for live use: `render` and `cover`, which never raise and never show the room."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from greenroom import VirtualBackground
from greenroom.backgrounds.background import Scene
from greenroom.engine import stages
from greenroom.engine.engine import Rendered
from greenroom.errors import BackgroundError
from greenroom.media.colour import COVER_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
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

FORMATS: Final[tuple[Format, ...]] = ("yuv420p", "yuv444p", "gbrp")
VIEWS: Final = frozenset({"after", "before", "matte"})
DEADLINE_S: Final = 10.0

pytestmark = pytest.mark.usefixtures("no_thread_left")


class OneSided(PersonSegmenter):
    """Sees the person in the left third of the picture only."""

    def segment(self, frame: Frame) -> NDArray[np.float32]:  # noqa: ARG002
        """See `Segmenter.segment`."""
        coarse = np.zeros((36, 64), np.float32)
        coarse[8:, 4:20] = 1
        return coarse


@pytest.fixture
def two_halves(make_picture: Callable[..., Path]) -> str:
    """Return a picture that is teal on the left and amber on the right."""
    picture = np.zeros((36, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (0, 128, 128), (160, 120, 0)
    return str(make_picture(picture))


def half(plane: Plane) -> NDArray[np.float64]:
    """Take the mean of every 2x2 samples."""
    height, width = plane.shape
    return np.asarray(plane.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)))


class TestRender:
    """What becomes of a frame."""

    @pytest.mark.parametrize("format_", FORMATS)
    def test_is_what_process_returns(self, format_: Format) -> None:
        """A frame that is well is rendered as `process` does, and said to be valid."""
        frame = PersonSource(format=format_).frame(2)
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            expected = vb.process(frame)
            vb.reset()
            rendered = vb.render(frame)
        assert (rendered.valid, rendered.is_camera, rendered.error) == (True, False, "")
        assert not rendered.views
        assert rendered.frame.time_s == frame.time_s
        for plane, other in zip(rendered.frame.planes, expected.planes, strict=True):
            assert_array_equal(plane, other)

    @pytest.mark.parametrize("policy", ["stop", "cover"])
    @pytest.mark.parametrize("fault", list(Fault))
    def test_a_fault_is_covered(self, fault: Fault, policy: str) -> None:
        """Whatever the policy, a fault gives the cover, its views too, and says why."""
        faulty = FaultySegmenter({0: fault})
        frame = PersonSource((640, 360)).frame(3)
        with VirtualBackground(
            background="color:teal", segmenter=faulty, on_failure=policy, timeout_s=0.01
        ) as vb:
            rendered = vb.render(frame, VIEWS)
            faulty.released.set()
        assert not rendered.valid
        assert rendered.error
        assert rendered.frame.time_s == frame.time_s
        assert set(rendered.views) == {"after", "matte"}
        for shown in (rendered.frame, rendered.views["after"]):
            assert (shown.to_rgb().reshape(-1, 3).astype(int) - (0, 128, 128)).max() <= 4
        assert not rendered.views["matte"].planes[0].any()

    def test_none_is_the_camera(self) -> None:
        """With background ``none`` it says that what it shows is the camera's picture."""
        frame = PersonSource((640, 360)).frame(0)
        with VirtualBackground(background="none", segmenter=PersonSegmenter()) as vb:
            rendered = vb.render(frame, VIEWS)
        assert rendered.frame is frame
        assert rendered.valid
        assert rendered.is_camera
        assert set(rendered.views) == VIEWS
        assert_array_equal(rendered.views["after"].planes[0], frame.planes[0][:, ::-1])

    def test_a_closed_engine_covers(self) -> None:
        """An engine that was closed covers at once, and says so."""
        vb = VirtualBackground(background="color:teal", segmenter=PersonSegmenter(), timeout_s=20)
        vb.close()
        rendered = vb.render(PersonSource().frame(0), VIEWS)
        assert not rendered.valid
        assert "closed" in rendered.error
        assert count_room_pixels(rendered.frame) == 0

    def test_valid_is_said_by_default_only_of_what_was_made(self) -> None:
        """A frame's result is immutable."""
        rendered = Rendered(PersonSource().frame(0))
        with pytest.raises(AttributeError):
            rendered.valid = False  # type: ignore[misc]


class TestViews:
    """What the page shows."""

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ((320, 180), (320, 180)),
            ((640, 480), (640, 480)),
            ((1278, 720), (1278, 720)),
            ((1280, 720), (640, 360)),
            ((1920, 1080), (960, 540)),
            ((1921, 1081), (961, 541)),
            ((3840, 2160), (960, 540)),
        ],
    )
    def test_size(self, size: tuple[int, int], expected: tuple[int, int]) -> None:
        """Views are halved as long as they stay 640 pixels wide."""
        frame = PersonSource(size).frame(0)
        with VirtualBackground(background="blur", segmenter=PersonSegmenter()) as vb:
            rendered = vb.render(frame, VIEWS)
        assert {view.size for view in rendered.views.values()} == {expected}
        assert {view.time_s for view in rendered.views.values()} == {frame.time_s}
        assert rendered.views["matte"].format == "gray"

    @pytest.mark.parametrize("format_", FORMATS)
    def test_only_the_person_is_mirrored(self, format_: Format, two_halves: str) -> None:
        """In ``after`` the person changes sides, and the background does not."""
        frame = PersonSource((1280, 720), format=format_).frame(0)
        with VirtualBackground(
            background=two_halves, segmenter=OneSided(), clean_edges=False
        ) as vb:
            rendered = vb.render(frame, VIEWS)
        sent, view = rendered.frame.to_rgb(), rendered.views["after"].to_rgb()
        assert abs(sent[20, 20].astype(int) - (0, 128, 128)).max() <= 6
        assert abs(view[10, 10].astype(int) - (0, 128, 128)).max() <= 6
        assert abs(view[10, -10].astype(int) - (160, 120, 0)).max() <= 6
        # Inside the person's rectangle, from 1/16 to 5/16 of the width, it is the frame mirrored.
        plane = half(rendered.frame.planes[0])[:, ::-1]
        inside = np.s_[200:350, 500:550]
        assert abs(rendered.views["after"].planes[0][inside] - plane[inside]).max() <= 0.5

    def test_mirrored_room_of_a_blur(self) -> None:
        """What is made of the room is mirrored with the person: all of the picture is."""
        frame = PersonSource((640, 360)).frame(5)
        with VirtualBackground(background="blur", segmenter=PersonSegmenter()) as vb:
            rendered = vb.render(frame, VIEWS)
        for view, plane in zip(rendered.views["after"].planes, rendered.frame.planes, strict=True):
            assert_array_equal(view, plane[:, ::-1])

    def test_before_and_matte_are_the_camera_s(self) -> None:
        """``before`` is the camera's picture and ``matte`` its matte, halved and mirrored."""
        frame = PersonSource((1280, 720)).frame(5)
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            rendered = vb.render(frame, VIEWS)
            matte = vb.matte
        assert matte is not None
        for view, plane in zip(rendered.views["before"].planes, frame.planes, strict=True):
            assert abs(view - half(plane)[:, ::-1]).max() <= 0.5
        assert abs(rendered.views["matte"].planes[0] - half(matte)[:, ::-1]).max() <= 0.5

    def test_view_is_what_is_sent(self) -> None:
        """``after`` shows what is sent, edges and light included, to within rounding."""
        frame = PersonSource((1280, 720)).frame(5)
        with VirtualBackground(
            background="color:#c0d0e0",
            segmenter=PersonSegmenter(),
            edge_softness=1,
            light_wrap=0.5,
            match_light=1,
        ) as vb:
            rendered = vb.render(frame, VIEWS)
        difference = abs(
            rendered.views["after"].planes[0] - half(rendered.frame.planes[0])[:, ::-1]
        )
        assert difference.mean() < 0.5
        assert np.percentile(difference, 99.5) <= 6

    def test_transparent_keeps_alpha(self) -> None:
        """With a transparent background the view has alpha: the mirrored matte."""
        frame = PersonSource((1280, 720)).frame(5)
        with VirtualBackground(background="transparent", segmenter=PersonSegmenter()) as vb:
            rendered = vb.render(frame, VIEWS)
        alpha = rendered.views["after"].alpha
        assert alpha is not None
        assert_array_equal(alpha, rendered.views["matte"].planes[0])

    def test_views_share_no_memory(self) -> None:
        """Nothing that is shown is a view of the camera's frame."""
        frame = PersonSource((640, 360)).frame(5)
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            rendered = vb.render(frame, VIEWS)
        for shown in (rendered.frame, *rendered.views.values()):
            for plane in shown.planes:
                assert not any(np.shares_memory(plane, other) for other in frame.planes)


class Still(Scene):
    """A background that counts the times it is asked for."""

    def __init__(self, rgb: tuple[int, int, int]) -> None:
        self.rgb = rgb
        self.times_s: list[float] = []
        self.closed = threading.Event()

    def at(self, layout: Layout, time_s: float) -> Frame:
        """See `Scene.at`."""
        self.times_s.append(time_s)
        if self.closed.is_set():
            message = "it is closed"
            raise BackgroundError(message)
        return Frame.filled(layout, self.rgb)

    def close(self) -> None:
        """See `Background.close`."""
        self.closed.set()


class TestCover:
    """What is shown instead."""

    @pytest.mark.parametrize("format_", FORMATS)
    def test_is_the_background_alone(self, format_: Format) -> None:
        """The cover of a colour is that colour, in the layout that was asked for."""
        layout = PersonSource((66, 37), format=format_).frame(0).layout
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            cover = vb.cover(layout, 5.0)
        assert cover.layout == layout
        assert abs(cover.to_rgb().astype(int) - (0, 128, 128)).max() <= 3

    @pytest.mark.parametrize("background", ["blur", "none"])
    def test_what_is_made_of_the_room_is_covered_by_a_colour(self, background: str) -> None:
        """The cover of the room itself, blurred or not, is a plain dark grey."""
        layout = Layout(64, 36, "yuv420p", Colour(1, 1))
        with VirtualBackground(background=background, segmenter=PersonSegmenter()) as vb:
            cover = vb.cover(layout, 0.0)
        expected = Frame.filled(layout, COVER_RGB)
        for plane, other in zip(cover.planes, expected.planes, strict=True):
            assert_array_equal(plane, other)

    def test_can_be_made_while_a_frame_hangs(self) -> None:
        """On another thread, the cover is there while a model hangs in a frame."""
        faulty = FaultySegmenter({0: Fault.HANG})
        frame = PersonSource().frame(0)
        with VirtualBackground(
            background="color:teal", segmenter=faulty, timeout_s=DEADLINE_S
        ) as vb:
            thread = threading.Thread(target=vb.render, args=(frame,))
            thread.start()
            cover = vb.cover(frame.layout, 0.0)
            assert thread.is_alive()
            faulty.released.set()
            thread.join()
        assert abs(cover.to_rgb().astype(int) - (0, 128, 128)).max() <= 3

    def test_time_goes_on_for_frames_that_are_older(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A frame that is a little older than a cover does not turn a background's time back."""
        still = Still((0, 128, 128))
        monkeypatch.setattr(stages, "create_background", lambda _: still)
        first, second = (PersonSource().frame(number) for number in (25, 50))
        with VirtualBackground(segmenter=PersonSegmenter()) as vb:
            vb.render(first)
            vb.cover(first.layout, 2.2)
            vb.render(second)
            vb.cover(first.layout, 2.5)
        assert still.times_s == pytest.approx([0, 1.2, 1.2, 1.5])

    def test_the_end_waits_for_a_cover(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a cover is made of is closed after it, also what was replaced meanwhile."""
        begun, go_on = threading.Event(), threading.Event()

        class Slow(Still):
            def cover(self, layout: Layout, time_s: float) -> Frame:
                begun.set()
                go_on.wait(DEADLINE_S)
                assert not self.closed.is_set()
                return self.at(layout, time_s)

        slow, other = Slow((0, 128, 128)), Still(PERSON_RGB)
        backgrounds = iter([slow, other])
        monkeypatch.setattr(stages, "create_background", lambda _: next(backgrounds))
        vb = VirtualBackground(segmenter=PersonSegmenter())
        covers: list[Frame] = []
        layout = PersonSource().frame(0).layout
        thread = threading.Thread(target=lambda: covers.append(vb.cover(layout, 0.0)))
        thread.start()
        assert begun.wait(DEADLINE_S)
        vb.update(background="color:teal")
        assert not slow.closed.is_set()
        threading.Timer(0.05, go_on.set).start()
        vb.close()
        thread.join()
        assert slow.closed.is_set()
        assert other.closed.is_set()
        assert len(covers) == 1

    def test_a_background_that_was_replaced_is_closed_when_no_cover_needs_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A cover that is being made delays the closing of its background."""
        begun, go_on = threading.Event(), threading.Event()

        class Slow(Still):
            def cover(self, layout: Layout, time_s: float) -> Frame:
                begun.set()
                go_on.wait(DEADLINE_S)
                return self.at(layout, time_s)

        slow = Slow((0, 128, 128))
        backgrounds = iter([slow, Still(PERSON_RGB)])
        monkeypatch.setattr(stages, "create_background", lambda _: next(backgrounds))
        frame = PersonSource().frame(0)
        covers: list[Frame] = []
        with VirtualBackground(segmenter=PersonSegmenter(), timeout_s=DEADLINE_S) as vb:
            thread = threading.Thread(target=lambda: covers.append(vb.cover(frame.layout, 0.0)))
            thread.start()
            assert begun.wait(DEADLINE_S)
            vb.update(background="color:teal")
            other = threading.Thread(target=vb.render, args=(frame,))
            other.start()
            assert not slow.closed.is_set()
            go_on.set()
            thread.join()
            other.join()
        assert slow.closed.is_set()
        assert abs(covers[0].to_rgb().astype(int) - (0, 128, 128)).max() <= 3


class Rough(PersonSegmenter):
    """Finds the person as a network does, so that its coverage is refined."""

    makes_mattes = False


@pytest.mark.parametrize("kind", [PersonSegmenter, Rough])
def test_pictures_in_memory_used_again_show_nothing_old(
    kind: type[PersonSegmenter], tmp_path: Path
) -> None:
    """Whatever changes between two frames, each is what an engine makes in memory of its own."""
    logo = tmp_path / "logo.png"
    Image.new("RGBA", (60, 30), (250, 10, 10, 160)).save(logo)
    changes: list[dict[str, Any]] = [
        {"overlay": None},
        {"overlay": f"{logo}@top-left"},
        {"overlay": f"{logo}@bottom"},
        {"overlay": None},
        {"mirror": True},
        {"background": "color:teal"},
        {"light_wrap": 1.0},
        {"light_wrap": 0.0, "match_light": 1.0},
        {"background": "blur", "match_light": 0.0, "mirror": False},
        {"background": "grayscale"},
        {"background": "transparent"},
        {"background": "color:navy"},
        {"clean_edges": False},
    ]
    own = []  # kept, so that it is not used again
    with (
        VirtualBackground(segmenter=kind(), background="color:navy") as engine,
        VirtualBackground(segmenter=kind(), background="color:navy") as other,
    ):
        frames = iter(PersonSource(size=(320, 240), frames=4 * len(changes)))
        for change in changes:
            engine.update(**change)
            other.update(**change)
            for frame in itertools.islice(frames, 4):
                result, expected = engine.render(frame).frame, other.process(frame)
                own.append(expected)
                for one, two in zip(result.all_planes, expected.all_planes, strict=True):
                    assert_array_equal(one, two)
                del result, one
