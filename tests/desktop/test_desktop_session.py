"""A session with a settings file and signals: what both ask for, and that neither waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from live.rig import DEADLINE_S, Breaking, Rig

from greenroom.desktop.session import DesktopSession
from greenroom.desktop.settings_file import ConfigFile
from greenroom.errors import CameraMissingError
from greenroom.settings import Settings
from greenroom.testing import FakeCamera

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.live.parts import SessionParts
    from greenroom.live.session import Session
    from greenroom.sources import Source

pytestmark = pytest.mark.usefixtures("no_thread_left")


class DesktopRig(Rig):
    """A `Rig` whose session follows a settings file.

    Parameters
    ----------
    path : Path
        Where the settings file is written.
    content : str
        What is in it.
    **values
        As for `Rig`.
    """

    def __init__(self, path: Path, content: str = "", **values: Any) -> None:
        self.path = path
        path.write_text(content, "utf-8")
        self.file = ConfigFile(path, required=True)
        self.file.load()
        super().__init__(watches=False, **values)

    def _make_session(self, settings: Settings, parts: SessionParts) -> Session:
        self.desktop = DesktopSession(settings, parts, self.file)
        return self.desktop


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the settings file is."""
    return tmp_path / "greenroom.toml"


def test_the_settings_file_is_followed(path: Path) -> None:
    """What is edited there counts at once; nonsense changes nothing, and is told."""
    with DesktopRig(path, 'background = "color:teal"\n') as rig:
        rig.until_shown()
        path.write_text('background = "color:red"\n')
        rig.until(lambda: rig.session.settings.background == "color:red", "edited")
        path.write_text("background = ???\n")
        rig.until(lambda: "not valid TOML" in rig.desktop.status().config_error, "told")
        assert rig.session.settings.background == "color:red"
        path.write_text('background = "color:blue"\n')
        rig.until(lambda: rig.session.settings.background == "color:blue", "mended")
        assert rig.desktop.status().config_error == ""
        rig.session.update(mirror=True)
        assert rig.desktop.save() == path
        assert Settings.from_toml(path).mirror


def test_a_file_that_is_broken_is_told_and_changes_nothing(path: Path) -> None:
    """A source that cannot be opened, written into the settings file, interrupts nothing."""
    cameras = FakeCamera(), FakeCamera((96, 54))

    def open_source(settings: Settings) -> Source:
        if settings.source == "missing":
            message = "there is no camera 'missing'."
            raise CameraMissingError(message, "missing")
        return cameras[settings.source == "second"].open()

    with DesktopRig(path, 'source = "first"\n', open_source=open_source, source="first") as rig:
        rig.until_shown()
        path.write_text('source = "missing"\n', "utf-8")
        rig.until(lambda: "'source'" in rig.file.error, "told")
        rig.until_sent()
        rig.until_shown()
        path.write_text('source = "second"\n', "utf-8")
        rig.until(lambda: not rig.file.error, "mended")
        rig.until(lambda: rig.session.settings.source == "second", "taken over")


def test_a_request_in_a_signal(path: Path) -> None:
    """The cover is switched, and the session is ended, on a thread of their own."""
    with DesktopRig(path) as rig:
        rig.until_shown()
        rig.desktop.request("switch")
        rig.until_covered("key")
        rig.desktop.request("switch")
        rig.until_shown()
        rig.desktop.request("cover")
        rig.desktop.request("cover")
        rig.until_covered("key")
        rig.desktop.request("stop")
        assert rig.session.ended.wait(DEADLINE_S)


def test_an_edit_that_takes_long_holds_up_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an edit loads a model a lost camera is opened again, and a signal's cover is shown."""
    loading, going = threading.Event(), threading.Event()
    with DesktopRig(path) as rig:
        rig.until_shown()
        update = rig.engine.update

        def load(**values: Any) -> None:
            loading.set()
            assert going.wait(DEADLINE_S)
            update(**values)

        monkeypatch.setattr(rig.engine, "update", load)
        path.write_text("mirror = true\n")
        assert loading.wait(DEADLINE_S)
        rig.camera.unplug()
        rig.until_covered("camera")
        rig.camera.plug()
        rig.until_shown()
        rig.desktop.request("cover")
        rig.until_covered("key")
        going.set()
        rig.until(lambda: rig.session.settings.mirror, "loaded")


@pytest.mark.parametrize(
    ("method", "name"), [("_carry_out", "requests"), ("_look_at_file", "settings-file")]
)
def test_a_thread_that_ends_is_begun_again(
    method: str, name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is covered meanwhile, the page says what happened, and then it goes on."""
    breaking = Breaking(monkeypatch, DesktopSession, method, SystemExit("oh"))
    with DesktopRig(path) as rig:
        rig.until_shown()
        breaking.times = 1
        rig.desktop.request("nothing")
        rig.until(lambda: any(name in said for said in rig.session.status().notices), "notice")
        rig.until_shown()
        path.write_text("mirror = true\n")
        rig.until(lambda: rig.session.settings.mirror, "the file is followed")
        rig.desktop.request("cover")
        rig.until_covered("key")
        assert rig.session.error is None
        assert rig.room_pixels == 0


@pytest.mark.parametrize(
    ("method", "name"), [("_carry_out", "requests"), ("_look_at_file", "settings-file")]
)
def test_a_thread_that_ends_again_and_again_ends_the_run(
    method: str, name: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with an error that says why, and nothing of the room is seen until then."""
    monkeypatch.setattr("greenroom.desktop.session._FILE_S", 0.02)
    breaking = Breaking(monkeypatch, DesktopSession, method, SystemExit("oh"))
    with DesktopRig(path) as rig:
        rig.until_shown()
        breaking.times = 10**6
        for _ in range(20):  # requests end with each
            rig.desktop.request("nothing")
        assert rig.session.ended.wait(DEADLINE_S)
        assert f"{name} failed and is not restarted" in str(rig.session.error)
        breaking.times = 0
        assert rig.room_pixels == 0
