"""The page's key stays, and stays this user's alone."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING

import pytest

from greenroom.desktop.page_key import load_key, renew_key
from greenroom.errors import GreenroomError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")


def key_file(folder: Path) -> Path:
    """Return the only file in a folder."""
    (path,) = folder.iterdir()
    return path


def test_it_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same key is read again until a new one is made, and nothing is said."""
    folder = tmp_path / "state"
    key = load_key(folder)
    assert load_key(folder) == key
    assert len(key) == 32
    new = renew_key(folder)
    assert new not in (key, load_key(tmp_path / "other"))
    assert load_key(folder) == new
    assert caplog.records == []


@posix
def test_it_is_private(tmp_path: Path) -> None:
    """Nobody else can read the file or look into the folder, whatever the umask is."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    before = os.umask(0)
    load_key(folder)
    os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(key_file(folder).stat().st_mode) == 0o600


def _linked(path: Path) -> None:
    target = path.parent.parent / "planted"
    target.write_text("00" * 32)
    target.chmod(0o600)
    path.unlink()
    path.symlink_to(target)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _damaged(path: Path) -> None:
    path.write_text("no key")


def _opened(path: Path) -> None:
    path.chmod(0o644)


@posix
@pytest.mark.parametrize("spoil", [_linked, _pipe, _damaged, _opened])
def test_what_others_may_know_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    """A link, a pipe, a damaged or readable file is said to be, and replaced by a new key."""
    folder = tmp_path / "state"
    old = load_key(folder)
    spoil(key_file(folder))
    with caplog.at_level(logging.WARNING):
        new = load_key(folder)
    assert new not in (old, b"\0" * 32)
    assert load_key(folder) == new
    assert "a new one is made" in caplog.text
    assert len(caplog.records) == 1
    found = key_file(folder).lstat()
    assert stat.S_ISREG(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    planted = tmp_path / "planted"
    assert not planted.exists() or planted.read_text() == "00" * 32


@posix
def test_another_user_s_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that belongs to somebody else is not believed."""
    old = load_key(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert load_key(tmp_path) != old
    assert "belongs to another user" in caplog.text


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """It is said which folder it is, and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(GreenroomError, match="XDG_STATE_HOME"):
        load_key(tmp_path / "file" / "state")
