"""Tests of files that are written atomically, or for their owner only."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from greenroom.media.file_writing import (
    atomic_file,
    new_file,
    private_folder,
    write_atomically,
)

if TYPE_CHECKING:
    from pathlib import Path


def mode_of(path: Path) -> int:
    """Return the permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_private_files_are_their_owners(tmp_path: Path) -> None:
    """A private file and its folder are closed to all other users."""
    path = tmp_path / "state" / "key"
    write_atomically(path, b"1", private=True)
    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permission bits")
def test_other_files_follow_the_umask(tmp_path: Path) -> None:
    """Any other file has the permissions of files that the user makes."""
    write_atomically(tmp_path / "new" / "a", b"1", private=False)
    (tmp_path / "b").write_bytes(b"1")
    assert mode_of(tmp_path / "new" / "a") == mode_of(tmp_path / "b")


def test_a_folder_of_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used as it is, or an error where it must be this user's own."""

    def refuse(*_: object) -> None:
        raise PermissionError

    private_folder(tmp_path / "new", must_own=True)
    monkeypatch.setattr(type(tmp_path), "chmod", refuse)
    private_folder(tmp_path)
    with pytest.raises(PermissionError):
        private_folder(tmp_path, must_own=True)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """If writing fails half-way the old content stays, and nothing else is left."""
    path = tmp_path / "a"
    write_atomically(path, b"old", private=False)
    with pytest.raises(TypeError), atomic_file(path, private=False) as file:
        file.writelines([b"ne", None])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    with atomic_file(path, private=False) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """A name may be as long as the file system allows."""
    path = tmp_path / ("a" * 255)
    write_atomically(path, b"1", private=False)
    assert path.read_bytes() == b"1"


def test_a_new_file_replaces_none(tmp_path: Path) -> None:
    """Creating a file whose name is taken is an error."""
    new_file(tmp_path / "a", private=True).close()
    with pytest.raises(FileExistsError):
        new_file(tmp_path / "a", private=True)
