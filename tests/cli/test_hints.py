"""What the command says to somebody who typed nearly the right thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.cli.app import app
from greenroom.errors import SettingsError
from greenroom.media.colour import Colour
from greenroom.media.layout import Layout
from greenroom.settings import Settings
from greenroom.sinks.codecs import choose_codec
from greenroom.sinks.destinations import destinations


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Run the command; return its exit status, and all that it printed in one line."""
    with pytest.raises(SystemExit) as ended:
        app(list(arguments))
    printed = capsys.readouterr()
    return ended.value.code, " ".join((printed.out + printed.err).split())


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("beach.jpg", "--background beach.jpg"),
        ("my room.png", "--background 'my room.png'"),
        ("blur:0.6", "--background blur:0.6"),
        ("0", "--source 0"),
        ("/dev/video2", "--source /dev/video2"),
        ("rtsp://camera/1", "--source rtsp://camera/1"),
        ("talk.mp4", "--source talk.mp4"),
        ("talk.mp4", "--background talk.mp4"),
        ("me", "greenroom run --help"),
    ],
)
def test_name_without_an_option(capsys: pytest.CaptureFixture[str], name: str, option: str) -> None:
    """A name after ``run`` is wrong usage, and the option that it may belong to is said."""
    status, text = said(capsys, "run", name)
    assert status == 2
    assert option in text


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("zoom", "choose the camera greenroom in the settings of zoom"),
        ("Google-Meet", "choose the camera greenroom in the settings of Google-Meet"),
        ("obs", "--to camera"),
        ("camra", "Did you mean 'camera'?"),
        ("camra:/dev/video3", "Did you mean 'camera:/dev/video3'?"),
        ("/dev/video3", "Did you mean 'camera:/dev/video3'?"),
        ("talk.mp4", "Did you mean 'file:talk.mp4'?"),
    ],
)
def test_places(place: str, words: str) -> None:
    """What is no place for a picture says where it would have to go instead."""
    with pytest.raises(SettingsError) as raised:
        destinations(Settings(to=f"{place},page"))
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--to", "null", "--source", "scren"), "Did you mean 'screen'?"),
        (("conver", "a", "b"), "Did you mean 'convert'"),
        (("run", "--to", "null", "--model", "selfi"), "did you mean 'selfie'?"),
    ],
)
def test_mistyped(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    """A name that is nearly one that is known is asked about."""
    status, text = said(capsys, *arguments)
    assert status in (1, 2)
    assert words in text


@pytest.mark.parametrize(
    ("codec", "meant"),
    [("h265", "hevc"), ("X264", "h264"), ("H.264", "h264"), ("pro-res", "prores")],
)
def test_codecs(codec: str, meant: str) -> None:
    """A codec by another of its names is asked about."""
    layout = Layout(64, 36, "yuv420p", Colour())
    with pytest.raises(SettingsError, match=f"Did you mean '{meant}'"):
        choose_codec(Path("out.mp4"), Settings(codec=codec), layout, alpha=False)


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(capsys: pytest.CaptureFixture[str], option: str) -> None:
    """The version has a short option, too."""
    assert said(capsys, option) == (0, f"greenroom {_version()}")


def _version() -> str:
    import greenroom  # noqa: PLC0415 - only here

    return str(greenroom.__version__)


@pytest.mark.parametrize("command", [(), ("run",), ("convert",), ("models", "list"), ("plate",)])
def test_help_shows_no_type_beside_flags(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    """An option without a value has no type that could be typed."""
    status, text = said(capsys, *command, "--help")
    assert status == 0
    assert "--help" in text
    assert "<bool>" not in text
