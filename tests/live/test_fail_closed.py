"""Every fault in a running session: the room never leaves, and what can recover does."""

from __future__ import annotations

import shutil
import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

from greenroom.backgrounds import create_background
from greenroom.backgrounds.images import PictureBackground
from greenroom.engine import stages
from greenroom.errors import ModelError, SettingsError
from greenroom.live.status import Showing
from greenroom.matting import Cadence
from greenroom.settings import Quality
from greenroom.testing import Fault, FaultySegmenter, PersonSegmenter
from live.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

pytestmark = pytest.mark.usefixtures("no_thread_left")

BACKGROUNDS = ("color:teal", "blur", "picture")


@pytest.fixture
def beach(make_picture: Callable[..., Path]) -> Path:
    """Return a picture to be put behind."""
    return make_picture(np.full((72, 128, 3), (40, 120, 200), np.uint8), "beach.png")


class Acting(PersonSegmenter):
    """Finds the person after it has done something, once or always."""

    def __init__(self, act: Callable[[], object] | None = None) -> None:
        super().__init__()
        self.act = act
        self.answer: float | None = None  # everywhere, in place of the right one

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        if self.act is not None:
            self.act()
        right = super().segment(frame)
        return right if self.answer is None else np.full_like(right, self.answer)


def raising(error: BaseException) -> Callable[[], None]:
    """Return a function that raises."""

    def act() -> None:
        raise error

    return act


class TestModel:
    """What a model can do wrong."""

    @pytest.mark.parametrize("fault", [one for one in Fault if one is not Fault.HANG])
    @pytest.mark.parametrize("background", BACKGROUNDS)
    def test_wrong_answers(self, fault: Fault, background: str, beach: Path) -> None:
        """Wrong from the first frame on, then right, then wrong again, then right."""
        first = 60 if background == "blur" else 10
        faults = dict.fromkeys((*range(first), *range(first + 10, first + 15)), fault)
        spec = str(beach) if background == "picture" else background
        with Rig(FaultySegmenter(faults), background=spec) as rig:
            rig.until_covered("failure")
            rig.until_sent()
            assert rig.room_pixels == 0
            rig.until(lambda: rig.session.gate.refused["failure"] >= first + 5, "failures")
            rig.until_shown()
            rig.until_sent()
            # A room of one colour stays that colour when it is blurred.
            assert rig.room_pixels == 0 or background == "blur"

    @pytest.mark.parametrize("makes_mattes", [True, False])
    @pytest.mark.parametrize("value", [1.0, 0.5])
    def test_a_matte_that_cannot_be_right(self, value: float, *, makes_mattes: bool) -> None:
        """A well-formed answer that is no person is not shown, and the status says why."""
        segmenter = Acting()
        segmenter.makes_mattes = makes_mattes
        with Rig(segmenter) as rig:
            rig.until_shown()
            segmenter.answer = value
            sent = rig.room_pixels
            rig.until_covered("failure")
            rig.until_sent()
            assert rig.room_pixels == sent == 0
            assert "not believable" in rig.session.status().message
            segmenter.answer = None
            rig.until_shown()
            rig.until_sent()
            assert rig.room_pixels == 0

    def test_hangs_for_ever(self) -> None:
        """The cover is shown soon, and stays."""
        segmenter = FaultySegmenter({5: Fault.HANG})
        with Rig(segmenter, timeout_s=0.2) as rig:
            rig.until_covered("failure")
            rig.until_sent(5)
            assert rig.room_pixels == 0
            segmenter.released.set()

    def test_hangs_and_comes_back(self) -> None:
        """The late answer is thrown away; the frames after it are shown."""
        segmenter = FaultySegmenter({5: Fault.HANG})
        with Rig(segmenter, timeout_s=60) as rig:
            rig.until_covered("late")
            rig.until_sent(30)  # three seconds of covers
            segmenter.released.set()
            rig.until_shown()
            rig.until_sent()
            assert rig.room_pixels == 0

    def test_the_cover_key_while_it_hangs(self) -> None:
        """It works at once, and what the model finishes later does not undo it."""
        segmenter = FaultySegmenter({5: Fault.HANG})
        with Rig(segmenter, timeout_s=60) as rig:
            rig.until_shown()
            start = time.monotonic()
            rig.session.cover(on=True)
            assert rig.session.gate.current().showing is Showing.COVER
            assert time.monotonic() - start < 0.5
            segmenter.released.set()
            rig.until_sent(5)
            assert rig.session.gate.state()[1] == "key"
            assert rig.room_pixels == 0

    def test_out_of_memory(self) -> None:
        """A stage that gets no memory is a stage that failed."""
        segmenter = Acting()
        with Rig(segmenter) as rig:
            rig.until_shown()
            segmenter.act = raising(MemoryError())
            rig.until_covered("failure")
            rig.until_sent()
            segmenter.act = None
            rig.until_shown()
            assert rig.room_pixels == 0

    def test_a_slow_machine(self) -> None:
        """Frames are dropped, and each one that is shown has its own matte."""
        with Rig(Acting(lambda: time.sleep(0.15))) as rig:
            rig.until_shown()
            rig.until_sent(8)
            assert rig.session.status().drops["busy"] > 0
            assert rig.session.status().showing is Showing.PERSON
            assert rig.room_pixels == 0


class TestOtherStages:
    """Backgrounds, settings, sizes."""

    def test_a_background_that_fails(self, beach: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its cover is the plain grey then."""
        with Rig(background=str(beach)) as rig:
            rig.until_shown()
            with monkeypatch.context() as patched:
                patched.setattr(PictureBackground, "at", lambda *_: raising(MemoryError())())
                rig.until_covered("failure")
                rig.until_sent()
            rig.until_shown()
            assert rig.room_pixels == 0

    @pytest.mark.parametrize("kind", ["picture", "folder", "video"])
    def test_a_background_that_is_deleted(
        self, kind: str, beach: Path, make_video: Callable[..., Path]
    ) -> None:
        """It stays, or the cover is shown."""
        path = beach
        if kind == "folder":
            path = beach.parent / "slides"
            path.mkdir()
            for number in range(3):
                shutil.copy(beach, path / f"{number}.png")
        if kind == "video":
            pictures = [np.full((36, 64, 3), (40, 120, 50 * n), np.uint8) for n in range(4)]
            path = make_video(pictures)
        with Rig(background=str(path), slide_seconds=0.2) as rig:
            rig.until_shown()
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            rig.until_sent(20)
            assert rig.room_pixels == 0

    def test_another_size(self) -> None:
        """A camera that comes back with another size is brought into the first one."""
        with Rig() as rig:
            rig.until_shown()
            rig.until_sent(1)
            first = rig.paced.frames[-1].size
            rig.camera.unplug()
            rig.until_covered("camera")
            rig.camera.size = (160, 120)
            rig.camera.plug()
            rig.until_shown()
            rig.until_sent(5)
            assert rig.paced.frames[-1].size == first
            assert rig.room_pixels == 0

    @pytest.mark.parametrize("then", ["color:red", "picture"])
    def test_settings_in_the_middle_of_a_frame(self, then: str, beach: Path) -> None:
        """A frame that was begun with the bare camera does not leave after another choice."""
        in_frame, go_on = threading.Event(), threading.Event()
        with Rig(background="none", low_light=0.5, watches=False) as rig:
            rig.until(lambda: rig.session.status().showing is Showing.CAMERA)
            original = rig.engine.render

            def slow(frame: Frame, views: frozenset[str] = frozenset()) -> object:
                rendered = original(frame, views)
                in_frame.set()
                go_on.wait(10)
                return rendered

            rig.engine.render = slow  # type: ignore[method-assign,assignment]
            assert in_frame.wait(10)
            assert rig.session.gate.current().showing is Showing.CAMERA
            rig.session.update(background=str(beach) if then == "picture" else then)
            sent = rig.paced.count
            rig.until(lambda: rig.paced.count > sent + 1)  # what was being written has been
            before = rig.room_pixels
            go_on.set()
            rig.until_shown()
            rig.until_sent(5)
            assert rig.room_pixels == before

    def test_while_another_background_loads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From the moment at which the bare camera is unwanted nothing of it leaves."""
        loading, loaded = threading.Event(), threading.Event()
        create = create_background

        def slowly(settings: Settings) -> object:
            if settings.background == "color:red":
                loading.set()
                loaded.wait(10)
            return create(settings)

        monkeypatch.setattr(stages, "create_background", slowly)
        with Rig(background="none", watches=False) as rig:
            rig.until(lambda: rig.session.status().showing is Showing.CAMERA)
            changing = threading.Thread(target=lambda: rig.session.update(background="color:red"))
            changing.start()
            assert loading.wait(10)
            sent = rig.paced.count
            rig.until(lambda: rig.paced.count > sent + 1)  # what was being written has been
            before = rig.room_pixels
            rig.until_sent(5)
            assert rig.session.gate.state()[:2] == (Showing.COVER, "settings")
            loaded.set()
            changing.join(10)
            rig.until_shown()
            assert rig.room_pixels == before

    def test_a_cover_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Everybody gets the plain grey then, and the cover key works."""
        released = threading.Event()

        def hang(*_: object) -> Frame:
            released.wait(10)
            raise TimeoutError

        with Rig() as rig:
            rig.until_shown()
            monkeypatch.setattr(rig.engine, "cover", hang)
            rig.session.cover(on=True)
            rig.until_sent()
            grey = rig.session.snapshot().to_rgb()
            assert np.median(grey, axis=(0, 1)) == pytest.approx((38, 42, 48), abs=3)
            released.set()
            assert rig.room_pixels == 0

    def test_what_has_no_effect_yet_is_said(self) -> None:
        """A region that was marked and never seen without the person is waited for."""
        segmenter = Acting()
        segmenter.makes_mattes = False
        with Rig(segmenter, watches=False) as rig:
            rig.until_shown()
            assert rig.session.status().notices == ()
            rig.session.update(keep_region="40,20,40,40")
            (notice,) = rig.session.status().notices
            assert "40,20,40,40" in notice
            rig.session.update(keep_region=None)
            assert rig.session.status().notices == ()

    def test_settings_that_are_wrong(self) -> None:
        """The ones in force stay, and so does the picture."""
        with Rig() as rig:
            rig.until_shown()
            with pytest.raises(SettingsError, match="edge_shift"):
                rig.session.update(edge_shift=99, background="none")
            assert rig.session.settings.background == "color:teal"
            rig.until_sent()
            assert rig.room_pixels == 0

    def test_the_model_is_switched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Frames go on with one model or the other; one that cannot be loaded changes nothing."""
        made: list[PersonSegmenter] = []

        def create(settings: object, *_: object) -> PersonSegmenter:
            if getattr(settings, "model", "") == "broken":
                message = "it is broken"
                raise ModelError(message)
            made.append(PersonSegmenter())
            return made[-1]

        monkeypatch.setattr(stages, "create_segmenter", create)
        with Rig(make_segmenter=None) as rig:
            rig.until_shown()
            for _ in range(5):
                rig.session.update(model="selfie-landscape")
                rig.session.update(model="selfie")
                rig.until_sent(2)
            with pytest.raises(ModelError, match="broken"):
                rig.session.update(model="broken")
            rig.until_sent()
            assert rig.room_pixels == 0
        assert len(made) == 11
        assert all(one.closed for one in made)


class TestGoverned:
    """Everything while a governor chooses how much is done."""

    def test_faults_while_mattes_are_followed(self) -> None:
        """Under plans that look at every second frame, and at half the rate, nothing is seen."""
        segmenter = Acting(lambda: time.sleep(0.02))
        with Rig(segmenter, governed=True, budget_ms=4.0) as rig:
            rig.until(lambda: rig.engine.cadence is Cadence.FOURTH, "every second frame")
            rig.until_shown()
            rig.until_sent()
            for fault in (raising(MemoryError()), raising(RuntimeError("it failed"))):
                segmenter.act = fault
                rig.until_covered("failure")
                rig.until_sent()
                segmenter.act = lambda: time.sleep(0.02)
                rig.until_shown()
                rig.until_sent(5)
            assert "cannot be held" in rig.session.status().plan_reason
            assert rig.room_pixels == 0

    def test_a_camera_that_goes_and_comes(self) -> None:
        """A matte of before is never moved on into the pictures after that."""
        segmenter = Acting(lambda: time.sleep(0.02))
        with Rig(segmenter, governed=True, budget_ms=4.0) as rig:
            rig.until(lambda: rig.engine.cadence is Cadence.FOURTH, "every second frame")
            rig.until_shown()
            for _ in range(3):
                rig.camera.unplug()
                rig.until_covered("camera")
                rig.camera.plug()
                rig.until_shown()
                rig.until_sent(5)
            assert rig.room_pixels == 0

    def test_a_model_that_cannot_be_loaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is an error of that change alone, and keeps nobody from hiding the room."""

        def create(settings: Settings, *_: object) -> PersonSegmenter:
            if settings.model == "sinet":
                message = "it is not here"
                raise ModelError(message)
            return PersonSegmenter()

        monkeypatch.setattr(stages, "create_segmenter", create)
        with Rig(make_segmenter=None, governed=True, background="none", watches=False) as rig:
            rig.until(lambda: rig.session.status().showing is Showing.CAMERA, "the camera")
            with pytest.raises(ModelError, match="not here"):
                rig.session.update(model="sinet")
            assert rig.session.settings.model == "selfie"
            assert "model selfie" in rig.session.status().plan
            rig.session.update(background="color:teal")
            rig.until_shown()
            rig.session.update(mirror=True, quality="fast")
            seen = rig.room_pixels
            rig.until_sent(5)
            assert rig.room_pixels == seen
            assert rig.engine.settings.quality is Quality.FAST

    def test_what_the_governor_chose_stays_with_other_settings(self) -> None:
        """To change the background does not bring back a quality that was too much."""
        segmenter = Acting(lambda: time.sleep(0.02))
        with Rig(segmenter, governed=True, budget_ms=4.0) as rig:
            rig.until(lambda: rig.engine.settings.quality is Quality.FAST, "fast")
            rig.session.update(background="color:navy", quality="balanced")
            assert rig.engine.settings.quality is Quality.FAST
            rig.session.update(quality="best")
            assert rig.session.settings.quality is Quality.BEST
            rig.until(lambda: rig.engine.settings.quality is Quality.FAST, "fast again")
            assert rig.room_pixels == 0


class TestCamera:
    """Cameras that go away."""

    def test_unplugged_and_plugged_in_again(self) -> None:
        """The cover meanwhile, and the person within a second of its return."""
        with Rig() as rig:
            rig.until_shown()
            rig.camera.unplug()
            rig.until_covered("camera")
            rig.until_sent()
            assert rig.room_pixels == 0
            rig.camera.plug()
            start = time.monotonic()
            rig.until_shown()
            assert time.monotonic() - start < 1.5  # a second, and what this machine takes
            assert rig.room_pixels == 0

    def test_frames_that_do_not_come(self) -> None:
        """A camera that hangs leads to the cover."""
        with Rig() as rig:
            rig.until_shown()
            rig.camera.hanging.set()
            rig.until(lambda: rig.session.status().showing is Showing.COVER)
            rig.until_sent()
            rig.camera.hanging.clear()
            rig.until_shown()
            assert rig.room_pixels == 0

    def test_a_changed_camera_is_not_called_asleep(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The end of the old one is nobody's business while somebody looks."""
        with Rig() as rig:
            rig.until_shown()
            reasons: list[str] = []
            shut = rig.session.gate.shut

            def noting(reason: str, message: str = "") -> None:
                reasons.append(reason)
                shut(reason, message)

            monkeypatch.setattr(rig.session.gate, "shut", noting)
            rig.session.update(rate=15)
            rig.until_shown()
            assert set(reasons) == {"start"}
            assert rig.room_pixels == 0

    def test_the_camera_is_changed(self) -> None:
        """Nothing of the old one is shown after it."""
        with Rig() as rig:
            rig.until_shown()
            rig.session.update(source="1")
            rig.until_shown()
            assert rig.camera.opened == 2
            assert rig.room_pixels == 0


class TestSinks:
    """A sink that fails or stalls."""

    def test_one_that_fails(self) -> None:
        """The others go on, and it is tried again."""
        with Rig() as rig:
            rig.until_shown()
            rig.paced.failing = True
            rig.until(lambda: rig.session.outlets[0].status.state == "failed")
            count = rig.unpaced.count
            rig.until(lambda: rig.unpaced.count > count + 3)
            assert "a failure was asked for" in rig.session.outlets[0].status.error
            rig.paced.failing = False
            rig.until(lambda: rig.session.outlets[0].status.state == "running")
            assert rig.room_pixels == 0

    def test_one_that_stalls(self) -> None:
        """The others go on, it is told, and afterwards it gets what is new."""
        with Rig() as rig:
            rig.until_shown()
            rig.paced.going.clear()
            count = rig.unpaced.count
            rig.until(lambda: rig.unpaced.count > count + 3)
            rig.until(lambda: rig.session.outlets[0].status.state == "stalled")
            rig.paced.going.set()
            rig.until(lambda: rig.session.outlets[0].status.state == "running")
            rig.until(lambda: rig.session.outlets[0].status.dropped > 0)
            rig.session.cover(on=True)
            rig.until_sent()
            assert rig.room_pixels == 0


def test_the_watermark_is_seen_where_it_is() -> None:
    """The count is no mistake: with the background none the room is in every sink."""
    with Rig(background="none") as rig:
        rig.until(lambda: rig.session.status().showing is Showing.CAMERA)
        rig.until_sent()
        assert rig.paced.room_pixels > 0
        assert rig.unpaced.room_pixels > 0
        assert rig.watcher is not None
        assert rig.watcher.room_pixels > 0


def test_rates() -> None:
    """Fractions go through the camera and the status."""
    with Rig() as rig:
        assert rig.camera.rate == Fraction(50)
        rig.until_shown()
        rig.until(lambda: rig.session.status().rate_in > 20)
