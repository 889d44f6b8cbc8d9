"""Names that are no files: built-in backgrounds, and words that were mistyped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from greenroom.backgrounds import create_background
from greenroom.backgrounds.builtin import builtin_path
from greenroom.errors import BackgroundError, SettingsError
from greenroom.media.frame import Frame
from greenroom.media.matte import Matte
from greenroom.settings import Settings
from greenroom.specs import BUILTIN

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def shown(settings: Settings) -> NDArray[np.uint8]:
    """Return what is put behind, as RGB."""
    frame = Frame.from_rgb(np.full((108, 192, 3), 90, np.uint8))
    background = create_background(settings)
    matte = Matte(np.zeros((108, 192), np.uint8))
    return background.render(frame, matte, 0.0).to_rgb()


@pytest.mark.parametrize("name", BUILTIN)
def test_builtin(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures that the page offers are backgrounds by their names everywhere."""
    monkeypatch.chdir(tmp_path)
    picture = cv2.imread(str(builtin_path(name)))
    assert picture is not None
    assert picture.shape == (1080, 1920, 3)
    small = cv2.resize(picture[:, :, ::-1], (192, 108), interpolation=cv2.INTER_AREA)
    wanted = small.astype(np.int16)
    assert abs(shown(Settings(background=name)) - wanted).mean() < 4


def test_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder or file of such a name is what the user means."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beach").mkdir()
    assert cv2.imwrite(str(tmp_path / "beach" / "1.png"), np.full((108, 192, 3), 7, np.uint8))
    assert abs(shown(Settings(background="beach")).astype(int) - 7).max() <= 1


@pytest.mark.parametrize(
    ("spec", "meant"),
    [
        ("blurr", "blur"),
        ("blurr:0.6", "blur:0.6"),
        ("Pixelate", "pixelate"),
        ("greyscale", "grayscale"),
        ("transparant", "transparent"),
        ("beech", "beach"),
        ("colour:teal", "color:teal"),
        ("teal", "color:teal"),
        ("#204060", "color:#204060"),
    ],
)
def test_mistyped(spec: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word that is nearly one that is known is asked about."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises((BackgroundError, SettingsError), match=f"Did you mean '{meant}'"):
        create_background(Settings(background=spec))


def test_nothing_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file that is missing nothing is guessed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackgroundError) as raised:
        create_background(Settings(background="holiday.jpg"))
    assert "Did you mean" not in str(raised.value)
