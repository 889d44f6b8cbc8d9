"""Settings that are changed while running: what cannot be opened changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from greenroom import VirtualBackground
from greenroom.errors import (
    CameraBusyError,
    CameraMissingError,
    GreenroomError,
    SettingsError,
    SourceError,
)
from greenroom.live.status import Showing
from greenroom.testing import FakeCamera, PersonSource
from live.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from greenroom.media.frame import Frame
    from greenroom.settings import Settings
    from greenroom.sources import Source

pytestmark = pytest.mark.usefixtures("no_thread_left")

WORDS = {
    "missing": CameraMissingError("there is no camera 'missing'.", "missing"),
    "broken": SourceError("'broken' cannot be read: it is damaged.", "broken"),
}


class Cameras:
    """Some that work, one that others use while it is open, and some that cannot be opened."""

    def __init__(self) -> None:
        self.first = FakeCamera()
        self.second = FakeCamera((96, 54))
        self.opened: list[str] = []
        self.refused_sizes: set[str | None] = set()

    def open(self, settings: Settings) -> Source:
        """Open what settings name."""
        self.opened.append(settings.source)
        if settings.source in WORDS:
            raise WORDS[settings.source]
        if settings.source == "silent":
            return Silent()
        if settings.source == "same" and self.first.is_open:
            message = "camera 'same' is used by another program."
            raise CameraBusyError(message, "same")
        if settings.size in self.refused_sizes:
            message = f"the camera has no size {settings.size}."
            raise SourceError(message, settings.source)
        return (self.second if settings.source == "second" else self.first).open()


class Silent(PersonSource):
    """A source that can be opened, and ends without a frame."""

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        return iter(())


def goes_on(rig: Rig) -> None:
    """Check that the person is shown, is sent, and was never covered since `watching`."""
    rig.until_sent()
    assert rig.session.status().showing is Showing.PERSON
    assert rig.room_pixels == 0


@pytest.mark.parametrize("source", ["missing", "broken", "silent"])
def test_a_source_that_cannot_be_opened(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused by its name, and the camera before goes on without a moment's cover."""
    monkeypatch.setattr("greenroom.live.session._TRIAL_S", 2.0)
    cameras = Cameras()
    with Rig(watches=False, open_source=cameras.open, source="first") as rig:
        rig.until_shown()
        shut: list[str] = []
        monkeypatch.setattr(rig.session.gate, "shut", lambda reason, _="": shut.append(reason))
        with pytest.raises(SettingsError, match=r"'source'.*camera before goes on") as raised:
            rig.session.update(source=source, mirror=True)
        assert raised.value.name == "source"
        assert (rig.session.settings.source, rig.session.settings.mirror) == ("first", False)
        assert cameras.opened == ["first", source]
        assert shut == []
        goes_on(rig)


def test_another_source_takes_over_with_its_first_frame() -> None:
    """The camera before is closed once the other one gives pictures."""
    cameras = Cameras()
    with Rig(watches=False, open_source=cameras.open, source="first") as rig:
        rig.until_shown()
        rig.session.update(source="second")
        rig.until(lambda: not cameras.first.is_open, "closed")
        rig.until_shown()
        rig.until(lambda: rig.session.gate.layout.size == (96, 54), "the other one's picture")
        goes_on(rig)


def test_the_same_camera_by_another_name() -> None:
    """One that is used, by this program itself, is closed first."""
    cameras = Cameras()
    with Rig(watches=False, open_source=cameras.open, source="first") as rig:
        rig.until_shown()
        rig.session.update(source="same")
        assert cameras.opened == ["first", "same", "same"]
        rig.until_shown()
        goes_on(rig)


def test_a_camera_that_has_no_such_size() -> None:
    """It is opened again as it was, and the setting is refused."""
    cameras = Cameras()
    cameras.refused_sizes = {"1920x1080"}
    with Rig(watches=False, open_source=cameras.open, source="first") as rig:
        rig.until_shown()
        with pytest.raises(SettingsError, match=r"'size'.*no size 1920x1080") as raised:
            rig.session.update(size="1920x1080")
        assert raised.value.name == "size"
        assert rig.session.settings.size is None
        rig.until_shown()
        goes_on(rig)
        rig.session.update(size="640x480")
        rig.until_shown()
        assert not rig.session.ended.is_set()


def test_what_else_is_wrong_leaves_the_camera() -> None:
    """A camera that was opened along with a background that cannot be read is closed again."""
    cameras = Cameras()
    with Rig(watches=False, open_source=cameras.open, source="first") as rig:
        rig.until_shown()
        with pytest.raises(GreenroomError, match="no-such"):
            rig.session.update(source="second", background="no-such.png")
        assert not cameras.second.is_open
        assert rig.session.settings.source == "first"
        goes_on(rig)


def test_how_long_a_camera_is_looked_for() -> None:
    """That is changed without opening it anew."""
    cameras = Cameras()
    with Rig(watches=False, open_source=cameras.open, source="first") as rig:
        rig.until_shown()
        rig.session.update(reconnect_seconds=0.0)
        assert cameras.opened == ["first"]
        cameras.first.unplug()
        assert rig.session.ended.wait(10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plate", "no-such.png"),
        ("plate", "text.png"),
        ("plate", "."),
        ("background", "no-such.png"),
        ("background", "text.png"),
        ("overlay", "no-such.png"),
        ("overlay", "text.png"),
        ("model", "no-such.tflite"),
        ("model", "text.tflite"),
        ("models_dir", "no-such"),
        ("keep_region", "no-such.png"),
        ("keep_region", "600,0,41,10"),
        ("keep", "person"),
    ],
)
def test_what_is_named_is_opened_before_it_is_in_force(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be is refused, and frames go on as before."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "text.tflite").write_text("not a model")
    frame = PersonSource((640, 360)).frame(0)
    with VirtualBackground(background="color:teal") as engine:
        engine.process(frame)
        before = engine.settings
        with pytest.raises(GreenroomError, match=f"{name}|{value}"):
            engine.update(**{name: value})
        assert engine.settings == before
        assert engine.process(frame).pts == frame.pts


def test_a_plate_of_another_shape(tmp_path: Path) -> None:
    """A picture of the room that does not fit the frames is refused once these are known."""
    path = tmp_path / "room.png"
    cv2.imwrite(str(path), np.zeros((100, 100, 3), np.uint8))
    frame = PersonSource((640, 360)).frame(0)
    with VirtualBackground(background="color:teal") as engine:
        engine.process(frame)
        with pytest.raises(SettingsError, match="another shape") as raised:
            engine.update(plate=str(path))
        assert raised.value.name == "plate"
        assert engine.process(frame).pts == frame.pts
