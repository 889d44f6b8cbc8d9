"""Files and folders that no other user of the machine can look into."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["private_file", "private_folder", "write_private"]


def private_folder(folder: Path) -> None:
    """Make a folder where it is missing, and close it to others, where it is this user's.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(OSError):  # it may be one that an administrator set up
        folder.chmod(0o700)


def private_file(path: Path) -> BinaryIO:
    """Open a new file for writing, which is not there yet.

    Raises
    ------
    OSError
        If it cannot be made, or is there.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def write_private(path: Path, data: bytes) -> None:
    """Write a small file in one step, making its folder where it is missing.

    Raises
    ------
    OSError
        If it cannot be written; then it is as it was.
    """
    private_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)  # of a process that was killed
    try:
        with private_file(part) as file:
            file.write(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
