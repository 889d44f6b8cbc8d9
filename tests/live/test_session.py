"""A session from start to end: who looks, what is changed, and how it ends."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from greenroom import VirtualBackground
from greenroom.errors import CameraMissingError, SettingsError
from greenroom.live.parts import SessionParts
from greenroom.live.session import Session
from greenroom.live.status import CaptureState, Showing
from greenroom.settings import Settings
from greenroom.testing import MemoryLiveSink, PersonSegmenter, PersonSource
from live.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from host_device import HostDevice
    from numpy.typing import NDArray

    from greenroom.live.previews import Preview
    from greenroom.media.frame import Frame

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture
def quiet_rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Return a rig that nobody looks at, and whose camera is closed soon after that."""
    monkeypatch.setattr("greenroom.live.demand._LINGER_S", 0.3)
    with Rig(watches=False, on_demand=True) as rig:
        rig.until_shown()
        rig.paced.looking = rig.unpaced.looking = 0
        rig.until(lambda: rig.session.status().asleep)
        rig.until_covered("asleep")  # the camera is closed, and its last frame is no longer shown
        assert not rig.camera.is_open
        yield rig


def first_views(rig: Rig, preview: Preview) -> dict[str, Frame]:
    """Wait for the first views."""
    seen: dict[str, Frame] = {}

    def look() -> bool:
        seen.update(preview.next(0.1) or {})
        return bool(seen)

    rig.until(look, "views")
    return seen


class TestOnDemand:
    """The camera's light tells the truth."""

    def test_nobody_looks(self, quiet_rig: Rig) -> None:
        """The camera is closed, the cover is sent now and then, and it is said why."""
        assert quiet_rig.session.status().capture.state is CaptureState.CLOSED
        count = quiet_rig.paced.count
        quiet_rig.until(lambda: quiet_rig.paced.count > count)
        assert quiet_rig.room_pixels == 0

    def test_a_reader_wakes_it(self, quiet_rig: Rig) -> None:
        """Within half a second, and a little for this machine, the person is there."""
        quiet_rig.paced.looking = 1
        start = time.monotonic()
        quiet_rig.until_shown()
        assert time.monotonic() - start < 1.0
        assert quiet_rig.camera.is_open
        assert quiet_rig.room_pixels == 0

    def test_a_page_wakes_it(self, quiet_rig: Rig) -> None:
        """A preview counts as somebody who looks, until it is closed."""
        preview = quiet_rig.session.previews.open(frozenset({"after"}))
        quiet_rig.until_shown()
        preview.close()
        quiet_rig.until(lambda: not quiet_rig.camera.is_open, "closed again")

    def test_who_cannot_tell_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where readers cannot be counted the camera stays open."""
        monkeypatch.setattr("greenroom.live.demand._LINGER_S", 0.1)
        with Rig(watches=False, on_demand=True) as rig:
            rig.paced.looking, rig.unpaced.looking = None, 0
            rig.until_shown()
            rig.until_sent(20)
            assert rig.camera.is_open


class TestPreviews:
    """What the page sees."""

    def test_views_come_as_they_are_wanted(self) -> None:
        """Only those, small, and the camera's own picture only where it is asked for."""
        with Rig(watches=False) as rig:
            rig.until_shown()
            preview = rig.session.previews.open(frozenset({"after"}))
            assert first_views(rig, preview).keys() == {"after"}
            preview.want(frozenset({"before", "matte"}))
            rig.until(lambda: (preview.next(0.1) or {}).keys() == {"before", "matte"})
            preview.close()
            assert preview.next(0) is None

    def test_nothing_but_the_cover_while_covered(self) -> None:
        """The camera's own picture is not there then, whatever is wanted."""
        with Rig(watches=False) as rig:
            rig.until_shown()
            preview = rig.session.previews.open(frozenset({"after", "before", "matte"}))
            rig.session.cover(on=True)
            for _ in range(5):
                assert (preview.next(1) or {}).keys() <= {"after"}
            preview.close()

    def test_a_view_that_there_is_not(self) -> None:
        """It is named, and so are those that there are."""
        with Rig(watches=False) as rig, pytest.raises(SettingsError, match="after, before, matte"):
            rig.session.previews.open(frozenset({"behind"}))

    def test_text_behind_is_not_mirrored(self, make_picture: Callable[..., Path]) -> None:
        """In the preview the person is mirrored and the background is not; nor is what is sent."""
        picture = np.zeros((72, 128, 3), np.uint8)
        picture[:, :64] = (0, 0, 220)  # blue on the left
        path = make_picture(picture, "half.png")
        with Rig(watches=False, background=str(path)) as rig:
            rig.until_shown()
            preview = rig.session.previews.open(frozenset({"after"}))
            after = first_views(rig, preview)["after"].to_rgb()
            preview.close()
            sent = rig.session.snapshot().to_rgb()
            for one in (after, sent):
                assert one[2, 2, 2] > 150
                assert one[2, -3, 2] < 100


class TestSettings:
    """What can be changed, and from where."""

    def test_a_change_is_told(self) -> None:
        """Listeners hear of settings and of the cover, until they do not want to."""
        heard: list[str] = []
        with Rig(watches=False) as rig:
            rig.until_shown()
            end = rig.session.subscribe(lambda: heard.append("changed"))
            rig.session.update(background="color:red")
            assert heard
            assert rig.session.settings.background == "color:red"
            end()
            heard.clear()
            rig.session.cover(on=True)
            assert not heard

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"to": "null"}, "cannot be changed while running"),
            ({"background": "transparent"}, "cannot be transparent"),
            ({"unknown": 1}, "unknown setting"),
        ],
    )
    def test_what_cannot_be_changed(self, values: dict[str, object], message: str) -> None:
        """It is said why, and nothing changes."""
        with Rig(watches=False) as rig:
            before = rig.session.settings
            with pytest.raises(SettingsError, match=message):
                rig.session.update(**values, mirror=True)
            assert rig.session.settings == before


class TestEnds:
    """How a session ends."""

    def session(self, source: object) -> Session:
        """Return a session of one source that is there, or raises."""
        settings = Settings(background="color:teal", on_demand=False)

        def open_source(_: Settings) -> PersonSource:
            if isinstance(source, Exception):
                raise source
            assert isinstance(source, PersonSource)
            return source

        engine = VirtualBackground(settings, segmenter=PersonSegmenter())
        return Session(settings, SessionParts(engine, [MemoryLiveSink()], open_source))

    def test_a_camera_that_is_not_there(self) -> None:
        """The session ends with the error, so that the command can say it."""
        error = CameraMissingError("there is none", "7")
        session = self.session(error)
        session.start()
        assert session.ended.wait(10)
        assert session.error is error
        assert session.status().capture.state is CaptureState.FAILED
        session.stop()

    def test_the_end_of_a_file(self) -> None:
        """The session ends without an error."""
        session = self.session(PersonSource(frames=5))
        session.start()
        assert session.ended.wait(10)
        assert session.error is None
        session.stop()


class _Waiting(PersonSegmenter):
    """Takes most of a frame's time, somewhere."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.info = replace(self.info, device=device)

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`."""
        time.sleep(0.02)
        return super().segment(frame)


@pytest.mark.parametrize(("device", "is_busy"), [("cpu", True), ("cuda", False)])
def test_model_s_threads_count_where_they_work(device: str, *, is_busy: bool) -> None:
    """Threads of a model on the processor are as busy as it is; a GPU's take none of its time."""
    with Rig(_Waiting(device), threads=32, watches=False) as rig:
        rig.until_shown()
        rig.until_sent(20)
        assert (rig.session.status().cpu_percent > 400) == is_busy


class TestGpu:
    """A session whose engine works on a GPU that is lost."""

    def test_that_was_named(self, fake_gpu: list[HostDevice]) -> None:
        """The cover is shown while it is, and nobody sees the room."""
        with Rig(device="cuda") as rig:
            rig.until_shown()
            assert rig.session.status().device.endswith("; the rest on host device")
            fake_gpu[-1].fails_at = "upsample"
            rig.until_covered("failure")
            assert "the device is lost" in rig.session.status().message
            fake_gpu[-1].fails_at = None
            rig.until_shown()
            assert rig.room_pixels == 0

    def test_that_nobody_named(self, fake_gpu: list[HostDevice]) -> None:
        """The processor takes over, which is told."""
        with Rig(device="auto") as rig:
            rig.until_shown()
            fake_gpu[-1].fails_at = "upsample"
            rig.until(lambda: bool(rig.session.status().notices), "notice")
            rig.until_sent(5)
            status = rig.session.status()
            assert status.showing is Showing.PERSON
            assert "the device is lost" in status.notices[0]
            assert not status.device.endswith("device")
            assert "failure" not in status.drops
            assert rig.room_pixels == 0
