"""Writing files: atomically, and closed to other users where they show somebody's room."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["atomic_file", "new_file", "part_path", "private_folder", "write_atomically"]

_OWNER_ONLY: Final = 0o600
_BY_UMASK: Final = 0o666


def private_folder(folder: Path, *, must_own: bool = False) -> None:
    """Make a folder if it is missing, and close it to others if it belongs to this user.

    Parameters
    ----------
    folder : Path
    must_own : bool
        Whether a folder of somebody else's is an error; an administrator may have set one up.

    Raises
    ------
    OSError
        If it cannot be made, or may not be somebody else's and is.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with nullcontext() if must_own else suppress(OSError):
        folder.chmod(0o700)


def new_file(path: Path, *, private: bool) -> BinaryIO:
    """Create a file and open it for writing.

    Parameters
    ----------
    path : Path
        A name that is not taken.
    private : bool
        Whether only the user may read it.

    Raises
    ------
    OSError
        If it cannot be created, or exists.
    """
    mode = _OWNER_ONLY if private else _BY_UMASK
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))


def part_path(path: Path) -> Path:
    """Return a free name for an incomplete file, in the same folder."""
    # Not derived from the name, which may be as long as names can be.
    return path.with_name(f".greenroom-{secrets.token_hex(8)}.part")


@contextmanager
def atomic_file(path: Path, *, private: bool) -> Iterator[BinaryIO]:
    """Open a file that replaces ``path`` when it is complete.

    If the body raises, ``path`` stays as it was.

    Parameters
    ----------
    path : Path
        Its folder exists.
    private : bool
        Whether only the user may read it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    part = part_path(path)
    try:
        with new_file(part, private=private) as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes, *, private: bool) -> None:
    """Write a small file in one step, and make its folder if it is missing.

    Parameters
    ----------
    path : Path
        May exist, and is replaced then.
    data : bytes
        The whole content.
    private : bool
        Whether only the user may read it, and look into its folder.

    Raises
    ------
    OSError
        If it cannot be written; then it stays as it was.
    """
    if private:
        private_folder(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, private=private) as file:
        file.write(data)
