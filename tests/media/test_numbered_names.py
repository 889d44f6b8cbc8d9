"""Names with a % in them: patterns are told from names, as inputs and outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.cli import file_batch
from greenroom.errors import SettingsError, SourceError
from greenroom.files.convert import convert
from greenroom.media.frame import Frame
from greenroom.media.numbered_names import NumberedNames
from greenroom.media.source_info import SourceInfo
from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Path]

NAMES: Final = ("50%done.png", "100%.png", "100%sure.png", "% d.png", "my%20dog.png", "[a]*?.png")
PICTURE: Final = np.full((24, 32, 3), (200, 60, 30), np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_names(tmp_path: Path, make_picture: Make, name: str) -> None:
    """A picture is read and written under a name that has what elsewhere are patterns in it."""
    source = make_picture(PICTURE, f"in/{name}")
    (tmp_path / "100% [d]").mkdir()
    convert(source, tmp_path / "100% [d]" / name, background="none")
    convert(tmp_path / "in", tmp_path / "100% [d]", background="none", overwrite=True)
    assert [path.name for path in (tmp_path / "100% [d]").iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_video_under_a_name(tmp_path: Path, make_video: Make, name: str) -> None:
    """The same holds for videos, and with --out-dir."""
    path = make_video([PICTURE] * 3).rename(tmp_path / name.replace(".png", ".mkv"))
    (tmp_path / "50%d").mkdir()
    file_batch.convert([str(path)], tmp_path / "50%d", Settings(background="none"), as_json=False)
    assert [one.name for one in (tmp_path / "50%d").iterdir()] == [path.name]


def test_patterns_are_patterns(tmp_path: Path) -> None:
    """Numbers count from 1, with as many zeros as the pattern says, as in FFmpeg."""
    for pattern in ("%d.png", "a%02d-100%.png", "b%3d.png", "50%%d.png"):
        sink = create_sink(tmp_path / pattern, Settings(), SourceInfo("video"))
        sink.write(Frame.from_rgb(PICTURE))
        sink.close()
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"1.png", "a01-100%.png", "b001.png", "50%1.png"}
    frames = list(create_source(tmp_path / "b%3d.png", Settings()))
    assert len(frames) == 1


def test_two_numbers(tmp_path: Path) -> None:
    """A pattern with two numbers is none, and is no name either."""
    with pytest.raises(SettingsError, match="one number"):
        create_sink(tmp_path / "%d-%d.png", Settings(), SourceInfo("video"))
    with pytest.raises(SourceError, match="one number"):
        create_source(tmp_path / "%d-%d.png", Settings())


def test_missing_name(tmp_path: Path) -> None:
    """A name that is not there is said to be missing."""
    with pytest.raises(SourceError, match="no such file"):
        create_source(tmp_path / "50%done.png", Settings())


@given(before=st.text("ab%.0 ", max_size=4), digits=st.integers(0, 5), number=st.integers(0, 10**6))
def test_numbers_come_back(before: str, digits: int, number: int) -> None:
    """Each name that a pattern makes is found again by it."""
    names = NumberedNames(before, ".png", digits)
    assert names.number(names.name(number)) == number
    assert names.number("other.png") is None
