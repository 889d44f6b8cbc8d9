"""The engine: what leaves is made through a valid matte, or from the background alone."""

from __future__ import annotations

import itertools
import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from greenroom import VirtualBackground
from greenroom.backgrounds import Background, create_background
from greenroom.engine import stages
from greenroom.engine.worker import Supervisor
from greenroom.errors import (
    BackgroundError,
    FormatError,
    GreenroomError,
    ModelOutputError,
    ModelTimeoutError,
    ProcessingError,
    SettingsError,
)
from greenroom.media.colour import COVER_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Format, Layout
from greenroom.media.matte import Matte
from greenroom.segmenters import Segmenter, SegmenterInfo
from greenroom.testing import (
    PERSON_RGB,
    ROOM_RGB,
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
KINDS: Final = ("picture", "video", "gif", "folder", "colour", "blur", "strong blur", "transparent")
DEADLINE_S: Final = 10.0

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture
def spec_of(
    make_picture: Callable[..., Path], make_video: Callable[..., Path], tmp_path: Path
) -> Callable[[str], str]:
    """Return a function that makes a background of a kind and returns its specification."""
    teal, amber = np.full((36, 64, 3), (0, 128, 128)), np.full((36, 64, 3), (160, 120, 0))
    pictures = [teal.astype(np.uint8), amber.astype(np.uint8)]

    def make(kind: str) -> str:
        if kind == "picture":
            return str(make_picture(pictures[0]))
        if kind == "video":
            return str(make_video(pictures))
        if kind == "gif":
            return str(make_video(pictures, name="animation.gif"))
        if kind == "folder":
            for number, picture in enumerate(pictures):
                make_picture(picture, f"slides/{number}.png")
            return str(tmp_path / "slides")
        return {
            "colour": "color:teal",
            "blur": "blur",
            "strong blur": "blur:1",
            "transparent": "transparent",
        }[kind]

    return make


class NobodySegmenter(PersonSegmenter):
    """Sees nobody."""

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        return 0 * super().segment(frame)


def room_samples(frame: Frame) -> int:
    """Count the samples that have the room's colour in the planes as they are in memory.

    Alpha does not hide them: who gets the planes can look behind it.
    """
    room = frame.layout.samples(*ROOM_RGB)
    first = 1 if frame.format == "yuv420p" else 0
    near = [
        abs(plane.astype(int) - sample) <= 12
        for plane, sample in list(zip(frame.planes, room, strict=True))[first:]
    ]
    return int(np.logical_and.reduce(near).sum())


def assert_no_room(frame: Frame) -> None:
    """Check that nothing of the room is in a frame."""
    assert count_room_pixels(frame) == 0
    assert room_samples(frame) == 0


def assert_same(first: Frame, second: Frame) -> None:
    """Check that two frames have equal layout, time and samples."""
    assert first.layout == second.layout
    assert (first.pts, first.time_base) == (second.pts, second.time_base)
    assert len(first.all_planes) == len(second.all_planes)
    for ours, theirs in zip(first.all_planes, second.all_planes, strict=True):
        assert_array_equal(ours, theirs)


def assert_after(first: Frame, second: Frame, kind: str) -> None:
    """Check that frames are equal, but for what a blur remembers of a frame that came too late."""
    if not kind.endswith("blur"):
        assert_same(first, second)
    assert first.layout == second.layout
    for ours, theirs in zip(first.all_planes, second.all_planes, strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 2  # a value stays where it is near enough


def processed(frames: list[Frame], segmenter: PersonSegmenter, spec: str) -> Frame:
    """Return the last frame out of an engine that nothing happens to."""
    with VirtualBackground(background=spec, segmenter=segmenter, smoothing=0) as vb:
        return [vb.process(frame) for frame in frames][-1]


def recovered(vb: VirtualBackground, frame: Frame) -> Frame:
    """Process a frame as soon as the engine can again."""
    vb.update(on_failure="stop")
    end = time.monotonic() + DEADLINE_S
    while True:
        try:
            return vb.process(frame)
        except ProcessingError as error:
            if not isinstance(error.__cause__, ModelTimeoutError) or time.monotonic() > end:
                raise
        time.sleep(0.001)


class TestFailClosed:
    """Whatever fails, no pixel of the room leaves."""

    def test_the_counts_see_the_room(self) -> None:
        """The measures that these tests rest on find the room where it is shown."""
        for format_ in FORMATS:
            frame = PersonSource(format=format_).frame(0)
            assert count_room_pixels(frame) > 1000
            assert room_samples(frame) > 200
            hidden = Frame(frame.planes, frame.layout, alpha=np.zeros((72, 128), np.uint8))
            assert count_room_pixels(hidden) > 1000
            assert room_samples(hidden) > 200

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("fault", list(Fault))
    @pytest.mark.parametrize("kind", KINDS)
    def test_cover_policy_shows_the_background_alone(
        self, kind: str, fault: Fault, format_: Format, spec_of: Callable[[str], str]
    ) -> None:
        """With ``cover`` a fault shows the background alone, and the next frame is fine."""
        spec = spec_of(kind)
        first, second, third = PersonSource(frames=3, format=format_)
        faulty = FaultySegmenter()
        with VirtualBackground(
            background=spec, segmenter=faulty, on_failure="cover", smoothing=0
        ) as vb:
            vb.process(first)
            faulty.fault = fault
            if fault is Fault.HANG:
                vb.update(timeout_s=0.01)
            covered = vb.process(second)
            assert vb.matte is None
            assert vb.failures == 1
            faulty.fault = None
            faulty.released.set()
            vb.update(timeout_s=DEADLINE_S)
            after = recovered(vb, third)
        assert_no_room(covered)
        assert covered.layout == second.layout
        assert covered.time_s == second.time_s
        if kind.endswith("blur"):
            expected = Frame.filled(second.layout, COVER_RGB).at(second)
        else:
            expected = processed([first, second], NobodySegmenter(), spec)
        assert_same(covered, expected)
        assert_after(after, processed([first, third], PersonSegmenter(), spec), kind)

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("fault", list(Fault))
    @pytest.mark.parametrize("kind", KINDS)
    def test_stop_policy_raises(
        self, kind: str, fault: Fault, format_: Format, spec_of: Callable[[str], str]
    ) -> None:
        """With ``on_failure=stop`` a fault raises, and the next frame is fine."""
        spec = spec_of(kind)
        first, second, third = PersonSource(frames=3, format=format_)
        faulty = FaultySegmenter()
        with VirtualBackground(background=spec, segmenter=faulty, smoothing=0) as vb:
            vb.process(first)
            faulty.fault = fault
            if fault is Fault.HANG:
                vb.update(timeout_s=0.01)
            with pytest.raises(ProcessingError, match=r"at 0\.040 s"):
                vb.process(second)
            assert vb.matte is None
            faulty.fault = None
            faulty.released.set()
            vb.update(timeout_s=DEADLINE_S)
            after = recovered(vb, third)
        assert_after(after, processed([first, third], PersonSegmenter(), spec), kind)

    @pytest.mark.parametrize("fault", list(Fault))
    def test_first_frame_may_fail(self, fault: Fault) -> None:
        """A fault on the very first frame is covered like any other."""
        faulty = FaultySegmenter({0: fault})
        frame = PersonSource().frame(0)
        with VirtualBackground(
            background="blur", segmenter=faulty, on_failure="cover", timeout_s=0.01
        ) as vb:
            assert_no_room(vb.process(frame))
            faulty.released.set()

    @pytest.mark.parametrize("fault", list(Fault))
    def test_matte_is_black_or_an_error(self, fault: Fault) -> None:
        """The matte of a frame that fails is black, or an error, as the policy says."""
        frame = PersonSource().frame(0)
        for policy in ("stop", "cover"):
            faulty = FaultySegmenter({0: fault})
            with VirtualBackground(
                background="color:teal", segmenter=faulty, on_failure=policy, timeout_s=0.01
            ) as vb:
                if policy == "stop":
                    with pytest.raises(ProcessingError):
                        vb.process_matte(frame)
                else:
                    assert not vb.process_matte(frame).planes[0].any()
                faulty.released.set()

    @pytest.mark.parametrize(
        ("fault", "cause"),
        [
            (Fault.RAISE, RuntimeError),
            (Fault.HANG, ModelTimeoutError),
            (Fault.NAN, ModelOutputError),
            (Fault.NONE, ModelOutputError),
            (Fault.WRONG_SHAPE, ModelOutputError),
        ],
    )
    def test_cause_is_carried(self, fault: Fault, cause: type[Exception]) -> None:
        """The error carries what went wrong, in its message and as its cause."""
        faulty = FaultySegmenter({0: fault})
        with VirtualBackground(background="color:teal", segmenter=faulty, timeout_s=0.01) as vb:
            with pytest.raises(ProcessingError) as caught:
                vb.process(PersonSource().frame(0))
            faulty.released.set()
        assert isinstance(caught.value.__cause__, cause)
        assert str(caught.value.__cause__) in str(caught.value)

    def test_frames_while_the_model_hangs_are_covered_at_once(self) -> None:
        """While a frame hangs later ones are covered without waiting; its answer is never used."""
        faulty = FaultySegmenter({1: Fault.HANG})
        frames = list(PersonSource(frames=6))
        with VirtualBackground(
            background="color:teal", segmenter=faulty, on_failure="cover", smoothing=0
        ) as vb:
            vb.process(frames[0])
            vb.update(timeout_s=0.01)
            while not faulty.hanging.is_set():  # work that had not begun in time is never begun
                vb.process(frames[1])
            vb.update(timeout_s=3600)
            for frame in frames[2:5]:
                assert_no_room(vb.process(frame))
            # What it answers then is "all of it is the person": the room, if it were used.
            faulty.released.set()
            after = recovered(vb, frames[5])
        assert_same(after, processed([frames[5]], PersonSegmenter(), "color:teal"))

    def test_closing_leaves_behind_what_hangs(self) -> None:
        """An engine whose model hangs closes at once, and its thread ends when that does."""
        faulty = FaultySegmenter({0: Fault.HANG})
        vb = VirtualBackground(background="color:teal", segmenter=faulty, timeout_s=0.01)
        with pytest.raises(ProcessingError):
            vb.process(PersonSource().frame(0))
        start = time.monotonic()
        vb.close()
        assert time.monotonic() - start < DEADLINE_S
        assert not faulty.closed
        faulty.released.set()


class Faulty(Background):
    """A background that does what it is told."""

    def __init__(self, render: Callable[[Frame], Frame], cover: Callable[[Layout], Frame]) -> None:
        self._render = render
        self._cover = cover

    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:  # noqa: ARG002
        """See `Background.render`."""
        return self._render(frame)

    def cover(self, layout: Layout, time_s: float) -> Frame:  # noqa: ARG002
        """See `Background.cover`."""
        return self._cover(layout)


def fails(_: object) -> Frame:
    """Raise what a background raises."""
    message = "it is gone"
    raise BackgroundError(message)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[PersonSegmenter]:
    """Return a list of the models that engines load: each finds the synthetic person."""
    models: list[PersonSegmenter] = []

    def load(*_: object) -> PersonSegmenter:
        models.append(PersonSegmenter())
        return models[-1]

    monkeypatch.setattr(stages, "create_segmenter", load)
    return models


def use_background(monkeypatch: pytest.MonkeyPatch, background: Background) -> None:
    """Make every engine use a background."""
    monkeypatch.setattr(stages, "create_background", lambda _: background)


class TestOtherStagesFail:
    """Backgrounds and mattings that fail."""

    @pytest.mark.parametrize("format_", FORMATS)
    def test_background_that_raises_is_replaced_by_a_colour(
        self, format_: Format, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the background can make neither picture nor cover, a plain colour is shown."""
        use_background(monkeypatch, Faulty(fails, fails))
        frame = PersonSource(format=format_).frame(3)
        with VirtualBackground(segmenter=PersonSegmenter(), on_failure="cover") as vb:
            covered = vb.process(frame)
        assert_same(covered, Frame.filled(frame.layout, COVER_RGB).at(frame))

    def test_background_that_raises_stops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With ``on_failure=stop`` a background that raises is an error that says why."""
        use_background(monkeypatch, Faulty(fails, fails))
        with (
            VirtualBackground(segmenter=PersonSegmenter()) as vb,
            pytest.raises(ProcessingError, match="it is gone") as caught,
        ):
            vb.process(PersonSource().frame(0))
        assert isinstance(caught.value.__cause__, BackgroundError)

    def test_background_of_another_layout_is_not_shown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A background that does not fit the frame is a failure like any other."""
        other = Frame.filled(Layout(64, 36, "yuv444p"), (0, 128, 0))
        teal = (0, 128, 128)
        use_background(
            monkeypatch, Faulty(lambda _: other, lambda layout: Frame.filled(layout, teal))
        )
        frame = PersonSource().frame(0)
        with VirtualBackground(segmenter=PersonSegmenter(), on_failure="cover") as vb:
            assert_same(vb.process(frame), Frame.filled(frame.layout, teal).at(frame))

    def test_cover_is_a_copy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A cover that the background keeps is copied, so that nobody draws on it."""
        frame = PersonSource().frame(0)
        kept = Frame.filled(frame.layout, (0, 128, 128))
        use_background(monkeypatch, Faulty(fails, lambda _: kept))
        with VirtualBackground(segmenter=PersonSegmenter(), on_failure="cover") as vb:
            first, second = vb.process(frame), vb.process(frame)
        for plane, other in zip(first.planes, second.planes, strict=True):
            assert not np.shares_memory(plane, other)
            assert not any(np.shares_memory(plane, part) for part in kept.planes)

    @pytest.mark.parametrize("hanging", ["background", "matting"])
    def test_other_stages_may_hang(self, hanging: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A background or matting that hangs is given up like a model."""
        released = threading.Event()

        def hangs(*_: object) -> Any:
            released.wait()

        if hanging == "background":
            teal = (0, 128, 128)
            use_background(monkeypatch, Faulty(hangs, lambda layout: Frame.filled(layout, teal)))
        else:
            monkeypatch.setattr("greenroom.matting.UpsampledMatting.matte", hangs)
        with VirtualBackground(
            segmenter=PersonSegmenter(),
            background="color:teal",
            on_failure="cover",
            timeout_s=0.01,
        ) as vb:
            for frame in PersonSource(frames=3):
                assert_no_room(vb.process(frame))
            released.set()

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize(
        "matte",
        [
            Matte(np.full((144, 256), 255, np.uint8)),
            Matte(np.full((36, 64), 255, np.uint8)),
            Matte(np.full((72, 129), 255, np.uint8)),
            Matte(np.full((72, 128), 255.0)),
            Matte(np.full((72, 128), 255, np.uint8)[None]),
            None,
            KeyError("matte"),
        ],
        ids=["twice", "half", "wider", "float", "more dimensions", "none", "raises"],
    )
    @pytest.mark.parametrize("kind", KINDS)
    def test_wrong_matte_is_not_used(
        self,
        kind: str,
        matte: object,
        format_: Format,
        monkeypatch: pytest.MonkeyPatch,
        spec_of: Callable[[str], str],
    ) -> None:
        """A matting that raises, or whose matte does not fit, shows nothing of the frame."""

        def answer(*_: object) -> object:
            if isinstance(matte, Exception):
                raise matte
            return matte

        monkeypatch.setattr("greenroom.matting.UpsampledMatting.matte", answer)
        frame = PersonSource(format=format_).frame(0)
        with VirtualBackground(segmenter=PersonSegmenter(), background=spec_of(kind)) as vb:
            with pytest.raises(ProcessingError):
                vb.process(frame)
            vb.update(on_failure="cover")
            assert_no_room(vb.process(frame))


def test_what_is_no_segmenter_is_refused() -> None:
    """An object that only looks like one is named at once, with the class to derive from."""

    class LooksLikeOne:
        """Has the method, but not the contract."""

        def segment(self, frame: Frame) -> NDArray[np.float32]:
            """Find nobody."""
            return np.zeros(frame.size, np.float32)

    with pytest.raises(SettingsError, match=r"LooksLikeOne.*greenroom\.segmenters\.Segmenter"):
        VirtualBackground(background="color:teal", segmenter=LooksLikeOne())  # type: ignore[arg-type]


def test_a_segmenter_needs_one_method() -> None:
    """What it is called, and what it does not remember, has defaults."""

    class Bright(Segmenter):
        """Takes what is bright for the person."""

        def segment(self, frame: Frame) -> NDArray[np.float32]:
            """See `Segmenter.segment`."""
            return np.asarray(frame.planes[0] > 128, np.float32)

    luma = np.full((36, 64), 40, np.uint8)
    luma[8:, 20:44] = 220
    frame = Frame((luma, luma // 2, luma // 2), Layout(64, 36, "yuv444p"))
    with VirtualBackground(background="color:teal", segmenter=Bright()) as vb:
        assert vb.info.model == "unnamed"
        vb.reset()
        vb.process(frame)
        assert_array_equal(vb.matte, np.where(luma > 128, 255, 0))


class TestProcess:
    """What comes out when all is well."""

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("size", [(128, 72), (129, 73), (72, 128), (3, 5), (1, 1)])
    @pytest.mark.parametrize("kind", KINDS)
    def test_result_has_the_layout_and_time_of_the_frame(
        self, kind: str, size: tuple[int, int], format_: Format, spec_of: Callable[[str], str]
    ) -> None:
        """At any size and format the result has the frame's layout and time, in new memory."""
        source = PersonSource(size, format=format_)
        with VirtualBackground(background=spec_of(kind), segmenter=PersonSegmenter()) as vb:
            earlier: list[Plane] = []
            for number in range(3):
                frame = source.frame(number)
                before = [plane.copy() for plane in frame.planes]
                result = vb.process(frame)
                assert result.layout == frame.layout
                assert (result.pts, result.time_base) == (number, Fraction(1, 25))
                assert result.duration == frame.duration
                assert (result.alpha is not None) == (kind == "transparent")
                assert vb.matte is not None
                assert vb.matte.shape == (size[1], size[0])
                for plane in result.all_planes:
                    others = (*frame.planes, *earlier, vb.matte)
                    assert not any(np.shares_memory(plane, other) for other in others)
                earlier += [*result.all_planes, vb.matte]
                for plane, kept in zip(frame.planes, before, strict=True):
                    assert_array_equal(plane, kept)

    @pytest.mark.parametrize("format_", FORMATS)
    @pytest.mark.parametrize("kind", KINDS)
    def test_person_stays_and_room_goes(
        self, kind: str, format_: Format, spec_of: Callable[[str], str]
    ) -> None:
        """In the middle of the person is the person, in the corners there is no room."""
        frame = PersonSource((256, 144), format=format_).frame(0)
        with VirtualBackground(background=spec_of(kind), segmenter=PersonSegmenter()) as vb:
            result = vb.process(frame)
        rgb = result.to_rgb().astype(int)
        assert abs(rgb[120:140, 110:140] - PERSON_RGB).max() <= 4
        corner = rgb[:10, :10]
        if "blur" in kind:
            assert abs(corner - ROOM_RGB).max() <= 8
        else:
            assert abs(corner - ROOM_RGB).max(axis=-1).min() > 60

    def test_none_shows_the_frame_itself(self) -> None:
        """Only the word ``none`` shows the camera's picture, and then it is the frame itself."""
        frame = PersonSource().frame(0)
        with VirtualBackground(
            background="none", segmenter=FaultySegmenter({0: Fault.RAISE})
        ) as vb:
            assert vb.process(frame) is frame
            assert vb.matte is None
        for word in ("None", "NONE", "camera", "off", ""):
            with pytest.raises(GreenroomError):
                VirtualBackground(background=word, segmenter=PersonSegmenter())

    def test_rgb_arrays_go_in_and_out(self) -> None:
        """An RGB array comes back as one of its shape, with the background replaced."""
        array = PersonSource((160, 90), format="gbrp").frame(0).to_rgb()
        before = array.copy()
        with VirtualBackground(background="color:#204060", segmenter=PersonSegmenter()) as vb:
            result = vb.process_rgb(array)
            with pytest.raises(FormatError):
                vb.process_rgb(array[..., 0])
        assert_array_equal(array, before)
        assert not np.shares_memory(result, array)
        assert result.shape == array.shape
        assert result.dtype == np.uint8
        assert tuple(result[0, 0]) == (0x20, 0x40, 0x60)
        assert tuple(result[-1, 80]) == PERSON_RGB

    def test_matte_is_gray_and_full_range(self) -> None:
        """`process_matte` gives the matte as a full-range gray frame of the frame's time."""
        frame = PersonSource((160, 90)).frame(4)
        with VirtualBackground(background="none", segmenter=PersonSegmenter()) as vb:
            matte = vb.process_matte(frame)
            assert vb.matte is not None
            assert_array_equal(vb.matte, matte.planes[0])
        assert (matte.format, matte.size) == ("gray", (160, 90))
        assert matte.layout.colour.is_full_range
        assert (matte.pts, matte.time_base) == (4, Fraction(1, 25))
        assert {int(matte.planes[0].min()), int(matte.planes[0].max())} == {0, 255}

    def test_mattes_share_no_memory(self) -> None:
        """The matte of a frame is not changed by later frames."""
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            vb.process(PersonSource().frame(0))
            first = vb.matte
            assert first is not None
            before = first.copy()
            vb.process(PersonSource().frame(9))
            assert vb.matte is not None
            assert not np.shares_memory(first, vb.matte)
            assert_array_equal(first, before)

    def test_stages_are_timed(self) -> None:
        """Every stage of a frame is measured."""
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            vb.process(PersonSource().frame(0))
            summary = vb.timings.summary()
        assert {"segment", "matte", "background", "composite"} <= set(summary)

    def test_size_may_change(self) -> None:
        """A change of size or format in mid-stream is taken as it comes."""
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            for size, format_ in itertools.product([(64, 36), (36, 64), (65, 37)], FORMATS):
                frame = PersonSource(size, format=format_).frame(0)
                expected = processed([frame], PersonSegmenter(), "color:teal")
                assert_same(vb.process(frame), expected)

    def test_reset_forgets(self, spec_of: Callable[[str], str]) -> None:
        """After a reset an engine is as new: the filter, and the place in the background."""
        frames = list(PersonSource(frames=5))
        late = frames[4].shown_at(1000, Fraction(1, 25), 1)
        spec = spec_of("video")
        with VirtualBackground(background=spec, segmenter=PersonSegmenter(), smoothing=0.9) as vb:
            for frame in frames:
                vb.process(frame)
            vb.reset()
            assert vb.matte is None
            result = vb.process(late)
        with VirtualBackground(background=spec, segmenter=PersonSegmenter(), smoothing=0.9) as vb:
            assert_same(result, vb.process(late))


class Rough(PersonSegmenter):
    """Finds the person, but makes no mattes."""

    makes_mattes = False


class RoughFaulty(FaultySegmenter):
    """Fails on demand, and makes no mattes."""

    makes_mattes = False


class TestLooks:
    """A frame may be looked at more than once: no look may fail unseen."""

    @pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.HANG])
    @pytest.mark.parametrize("call", range(6))
    def test_no_room_leaves(self, fault: Fault, call: int) -> None:
        """Whichever look fails, its frame is covered, and those that follow are not.

        The synthetic model is so coarse that a few pixels beside the neck are the room's.
        """
        source = PersonSource(size=(640, 360), frames=8)
        segmenter = RoughFaulty({call: fault})
        with VirtualBackground(
            background="color:#204060", on_failure="cover", segmenter=segmenter
        ) as vb:
            mattes = []
            for frame in source:
                shown = count_room_pixels(vb.process(frame))
                mattes.append(vb.matte is not None)
                assert shown <= (20 if mattes[-1] else 0)
            assert vb.failures == 1
            assert mattes.count(False) == 1
            assert mattes[-1]


class TestUpdate:
    """Changes while running."""

    @pytest.mark.parametrize("setting", [{"edge_shift": 1.0}, {"people": "main"}])
    def test_what_was_learned_stays(self, setting: dict[str, Any]) -> None:
        """The room need not be learned again because something else is wanted of the edge."""
        source = PersonSource(size=(640, 360), frames=12)
        with VirtualBackground(background="color:#000000", segmenter=Rough()) as vb:
            for frame in source:
                vb.process(frame)
            assert vb.clean_plate is not None
            known = vb.clean_plate.confidence
            assert known.mean() > 0.3
            vb.update(**setting)
            vb.process(source.frame(12))
            assert (vb.clean_plate.confidence >= known).all()

    def test_a_picture_of_the_room_counts_at_once(self, tmp_path: Path) -> None:
        """One that is named in mid-stream is known whole with the next frame."""
        source = PersonSource(size=(640, 360), frames=12)
        picture = tmp_path / "room.png"
        room = Frame.filled(source.frame(0).layout, ROOM_RGB).to_rgb()
        assert cv2.imwrite(str(picture), room[:, :, ::-1])
        with VirtualBackground(background="color:#000000", segmenter=Rough()) as vb:
            for frame in source:
                vb.process(frame)
            assert vb.clean_plate is not None
            assert vb.clean_plate.confidence.min() == 0  # nobody has seen what is behind the person
            vb.update(plate=str(picture))
            vb.process(source.frame(12))
            assert vb.clean_plate.confidence.min() > 0
            known = vb.clean_plate.confidence
            vb.update(edge_shift=1.0)
            vb.process(source.frame(13))
            assert (vb.clean_plate.confidence >= known).all()

    def test_settings_change_between_frames(self) -> None:
        """A change is in force from the next frame on."""
        frame = PersonSource().frame(0)
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            vb.process(frame)
            vb.update(background="color:#102030", threshold=0.5)
            assert vb.settings.background == "color:#102030"
            corner = vb.process(frame).to_rgb()[0, 0].astype(int)
            assert vb.matte is not None
            assert set(np.unique(vb.matte)) == {0, 255}
        assert abs(corner - (0x10, 0x20, 0x30)).max() <= 2

    @pytest.mark.parametrize(
        ("values", "error"),
        [
            ({"background": "color:#102030", "threshold": 7.0}, SettingsError),
            ({"background": "missing.jpg", "threshold": 0.5}, BackgroundError),
            ({"background": "color:#102030", "thresold": 0.5}, SettingsError),
            ({"threshold": 0.5, "background": "color:nocolour"}, SettingsError),
            ({"threshold": float("nan")}, SettingsError),
        ],
    )
    def test_invalid_update_changes_nothing(
        self, values: dict[str, object], error: type[Exception]
    ) -> None:
        """An update that is wrong in one setting changes none."""
        frame = PersonSource().frame(0)
        with VirtualBackground(background="color:teal", segmenter=PersonSegmenter()) as vb:
            before, result = vb.settings, vb.process(frame)
            with pytest.raises(error):
                vb.update(**values)
            assert vb.settings == before
            assert_same(vb.process(frame), result)

    def test_unknown_model_changes_nothing(self) -> None:
        """A model that does not exist leaves the model and all other settings."""
        with VirtualBackground(background="color:teal") as vb:
            with pytest.raises(SettingsError, match="selfie"):
                vb.update(background="blur", model="selfi")
            assert (vb.settings.background, vb.settings.model) == ("color:teal", "selfie")

    def test_old_stages_are_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stages that were replaced, or are left at the end, are closed, each once."""
        closed: list[str] = []

        class Recorded(Faulty):
            def __init__(self, name: str) -> None:
                super().__init__(lambda frame: Frame.filled(frame.layout, (0, 9, 9)), fails)
                self.name = name

            def close(self) -> None:
                closed.append(self.name)

        monkeypatch.setattr(
            stages, "create_background", lambda settings: Recorded(settings.background)
        )
        segmenter = PersonSegmenter()
        frame = PersonSource().frame(0)
        with VirtualBackground(background="first", segmenter=segmenter) as vb:
            vb.process(frame)
            vb.update(background="second")
            vb.update(threshold=0.5)
            vb.process(frame)
            assert closed == ["first"]
            vb.update(background="third")
            assert not segmenter.closed
        assert sorted(closed) == ["first", "second", "third"]
        assert segmenter.closed

    def test_what_is_replaced_without_a_frame_is_closed_at_once(
        self, loaded: list[PersonSegmenter]
    ) -> None:
        """Under a cover, or while the camera is closed, nothing piles up until the next frame."""
        with VirtualBackground(background="color:teal") as vb:
            for threads in (2, 1, 2):
                vb.update(threads=threads)
            assert [each.closed for each in loaded] == [True, True, True, False]
        assert all(each.closed for each in loaded)

    def test_a_stage_that_cannot_be_closed_keeps_no_other_from_it(
        self, monkeypatch: pytest.MonkeyPatch, loaded: list[PersonSegmenter]
    ) -> None:
        """What fails in between is said in the log, and frames go on with what is new."""
        background = Faulty(lambda frame: Frame.filled(frame.layout, (0, 9, 9)), fails)
        monkeypatch.setattr(background, "close", fails)
        with VirtualBackground(background="color:#ffffff", segmenter=PersonSegmenter()) as other:
            white = create_background(other.settings)
        backgrounds = iter([background, white])
        monkeypatch.setattr(stages, "create_background", lambda _: next(backgrounds))
        with VirtualBackground() as vb:
            vb.update(background="color:#ffffff", threads=2)
            assert loaded[0].closed
            assert vb.process(PersonSource().frame(0)).planes[0][0, 0] == 235

    def test_a_reset_that_fails_fails_the_next_frame(self) -> None:
        """What was not forgotten does not get into a frame; all others have forgotten."""

        class Stubborn(PersonSegmenter):
            def reset(self) -> None:
                message = "it does not forget"
                raise RuntimeError(message)

        frame = PersonSource().frame(0)
        with VirtualBackground(background="color:teal", segmenter=Stubborn()) as vb:
            vb.process(frame)
            vb.reset()
            with pytest.raises(ProcessingError, match="does not forget"):
                vb.process(frame)
            vb.process(frame)

    def test_update_between_choice_and_work_is_safe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An update at the worst moment does not close a model that a frame still needs."""
        frame = PersonSource().frame(0)
        run = Supervisor.run
        with VirtualBackground(background="color:teal", model="selfie-general") as vb:

            def interrupted(*arguments: Any) -> Any:
                monkeypatch.undo()
                vb.update(threads=2, background="color:navy")
                return run(*arguments)

            monkeypatch.setattr(Supervisor, "run", interrupted)
            vb.process(frame)
            vb.process(frame)
            assert vb.info.threads == 2

    def test_updates_on_another_thread(self) -> None:
        """Every frame of a running engine is of one setting or the other, never of a mixture."""
        frame = PersonSource().frame(0)
        states: list[dict[str, Any]] = [
            {"background": "color:#000000", "threshold": 0.5},
            {"background": "color:#ffffff", "threshold": None},
        ]
        expected = []
        for values in states:
            with VirtualBackground(segmenter=PersonSegmenter(), smoothing=0, **values) as vb:
                expected.append(vb.process(frame))
        ended = threading.Event()
        with VirtualBackground(segmenter=PersonSegmenter(), smoothing=0, **states[0]) as vb:

            def change() -> None:
                for values in itertools.cycle(states):
                    if ended.is_set():
                        return
                    vb.update(**values)

            thread = threading.Thread(target=change)
            thread.start()
            try:
                results = [vb.process(frame) for _ in range(100)]
            finally:
                ended.set()
                thread.join()
        for result in results:
            white = int(result.planes[0][0, 0] > 100)
            assert_same(result, expected[white])

    def test_slow_update_does_not_hold_up_frames(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """While an update loads what is new, frames go on with what is old."""
        loading, released = threading.Event(), threading.Event()
        create = create_background

        def slow(settings: Any) -> Background:
            loading.set()
            released.wait(DEADLINE_S)
            return create(settings)

        frame = PersonSource().frame(0)
        with VirtualBackground(
            background="color:#000000", segmenter=PersonSegmenter(), timeout_s=2
        ) as vb:
            monkeypatch.setattr(stages, "create_background", slow)
            thread = threading.Thread(target=vb.update, kwargs={"background": "color:#ffffff"})
            thread.start()
            try:
                assert loading.wait(DEADLINE_S)
                assert vb.process(frame).planes[0][0, 0] == 16
            finally:
                released.set()
                thread.join()
            assert vb.process(frame).planes[0][0, 0] == 235


class TestClose:
    """The end."""

    def test_closing_twice_is_fine(self) -> None:
        """A second close does nothing."""
        with VirtualBackground(background="color:teal") as vb:
            vb.process(PersonSource().frame(0))
            vb.close()

    def test_an_update_that_comes_too_late_leaves_nothing_open(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What it loaded while the engine was closed is closed too, and it says so."""
        loaded: list[PersonSegmenter] = []

        def load(*_: object) -> PersonSegmenter:
            loaded.append(PersonSegmenter())
            if len(loaded) == 2:
                vb.close()
            return loaded[-1]

        monkeypatch.setattr(stages, "create_segmenter", load)
        vb = VirtualBackground(background="color:teal")
        with pytest.raises(ProcessingError, match="closed"):
            vb.update(threads=2)
        assert [each.closed for each in loaded] == [True, True]
        with pytest.raises(ProcessingError, match="closed"):
            vb.update(threads=1)
        assert len(loaded) == 2

    def test_processing_after_the_end_is_an_error_at_once(self) -> None:
        """A closed engine refuses frames, without waiting for a deadline."""
        vb = VirtualBackground(background="color:teal", segmenter=PersonSegmenter(), timeout_s=20)
        vb.close()
        start = time.monotonic()
        with pytest.raises(GreenroomError):
            vb.process(PersonSource().frame(0))
        assert time.monotonic() - start < DEADLINE_S

    def test_failing_to_start_leaves_no_thread(self) -> None:
        """An engine that cannot be made leaves no thread behind."""
        for values in ({"background": "missing.jpg"}, {"model": "nobody"}, {"threads": 0}):
            with pytest.raises(GreenroomError):
                VirtualBackground(**values)


class TestRealPerson:
    """The embedded models on a portrait."""

    @pytest.mark.parametrize("model", ["selfie", "selfie-general", "selfie-landscape"])
    @pytest.mark.parametrize("format_", FORMATS)
    def test_face_is_in_and_corners_are_out(
        self, portrait: Plane, model: str, format_: Format
    ) -> None:
        """Her face and chest are the person; the upper corners are not."""
        layout = Layout(512, 512, format_, Colour(0, 2) if format_ == "gbrp" else Colour(1, 1))
        frame = Frame.from_rgb(portrait).converted(layout)
        with VirtualBackground(background="color:lime", model=model) as vb:
            rgb = vb.process(frame).to_rgb().astype(int)
            matte = vb.matte
        assert matte is not None
        assert matte[50:130, 195:260].min() > 200
        assert matte[300:420, 150:270].min() > 200
        assert matte[:100, :60].max() < 60
        assert matte[:100, 380:].max() < 60
        assert 0.3 < (matte > 127).mean() < 0.7
        assert abs(rgb[5, 5] - (0, 255, 0)).max() <= 8
        assert abs(rgb[50:130, 195:260] - portrait[50:130, 195:260]).mean() < 6

    def test_formats_agree(self, portrait: Plane) -> None:
        """The matte hardly depends on the pixel format, matrix and range of the frame."""
        frame = Frame.from_rgb(portrait)
        layouts = [
            frame.layout,
            Layout(512, 512, "yuv444p", Colour(1, 1)),
            Layout(512, 512, "yuv444p", Colour(5, 2)),
            Layout(512, 512, "yuv420p", Colour(9, 1)),
        ]
        mattes = []
        with VirtualBackground(background="color:lime") as vb:
            for layout in layouts:
                vb.reset()
                mattes.append(vb.process_matte(frame.converted(layout)).planes[0].astype(int))
        for matte in mattes[1:]:
            assert abs(matte - mattes[0]).mean() < 1.5

    @pytest.mark.parametrize(
        ("size", "model"),
        [
            ((512, 512), "selfie-general"),
            ((480, 640), "selfie-general"),
            ((1200, 512), "selfie-landscape"),
        ],
    )
    def test_model_is_chosen_by_shape(
        self, portrait: Plane, size: tuple[int, int], model: str
    ) -> None:
        """Very wide frames go to the landscape model, others to the general one."""
        frame = Frame.from_rgb(portrait).converted(Layout(*size, "yuv420p", Colour(1, 1)))
        with VirtualBackground(background="color:lime") as vb:
            vb.process(frame)
            info = vb.info
        assert isinstance(info, SegmenterInfo)
        assert (info.model, info.device, info.threads) == (model, "cpu", 1)
        assert info.file.endswith(".tflite")
        assert info.runtime.startswith("LiteRT ")

    def test_error_that_is_kept_does_not_stop_the_model(self, portrait: Plane) -> None:
        """A frame after one that fails is fine, also while the error is held on to."""
        gray = Frame.filled(Layout(64, 64, "gray"), (9, 9, 9))
        with VirtualBackground(background="color:lime") as vb:
            with pytest.raises(ProcessingError) as caught:
                vb.process(gray)
            assert vb.process_rgb(portrait).shape == portrait.shape
        assert caught.value.__cause__ is not None

    def test_same_frame_gives_the_same_result(self, portrait: Plane) -> None:
        """Two engines agree to the bit."""
        results = []
        for _ in range(2):
            with VirtualBackground(background="blur:0.7") as vb:
                results.append(vb.process_rgb(portrait))
        assert_array_equal(results[0], results[1])
