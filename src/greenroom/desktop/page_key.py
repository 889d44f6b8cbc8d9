"""Secret key of the page, by which an open tab is recognised after a restart.

It stays in the user's own folder for state, in a file that nobody else can read, and is made
anew whenever somebody else may have read or written it.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from greenroom.desktop.instance import machine_name, state_folder, unwritable
from greenroom.media.file_writing import private_folder, write_atomically

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_key", "renew_key"]

logger = logging.getLogger(__name__)

_KEY_BYTES: Final = 32
# Not on Windows, where a new file is the user's own.
_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAITING: Final = getattr(os, "O_NONBLOCK", 0)  # for a writer, should it be a named pipe


def load_key(folder: Path | None = None) -> bytes:
    """Return the page's key; a new one if it is missing or readable by others.

    Parameters
    ----------
    folder : Path, optional
        Where it is; by default the user's own folder for state.

    Raises
    ------
    GreenroomError
        If a new one cannot be written.
    """
    folder = folder or state_folder()
    try:
        return _read(_key_path(folder))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        logger.warning(
            "the page's key '%s' is not used (%s): a new one is made, and tabs that were open "
            "have to be opened again with greenroom page",
            _key_path(folder),
            reason,
        )
    return renew_key(folder)


def renew_key(folder: Path | None = None) -> bytes:
    """Replace the key atomically, and return the new one.

    Parameters
    ----------
    folder : Path, optional
        As in `load_key`.

    Raises
    ------
    GreenroomError
        If it cannot be written.
    """
    folder = folder or state_folder()
    key = secrets.token_bytes(_KEY_BYTES)
    try:
        private_folder(folder, must_own=True)
        write_atomically(_key_path(folder), key.hex().encode("ascii"), private=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    return key


def _read(path: Path) -> bytes:
    """Read a key that only this user can read.

    Raises
    ------
    ValueError
        If it is not, with the reason.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_LINKS | _NO_WAITING)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            message = "it is no file"
            raise ValueError(message)
        if hasattr(os, "getuid") and about.st_uid != os.getuid():
            message = "it belongs to another user"
            raise ValueError(message)
        if os.name == "posix" and stat.S_IMODE(about.st_mode) & 0o077:
            message = "other users may read or write it"
            raise ValueError(message)
        text = file.read(4 * _KEY_BYTES)
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        message = f"expected {2 * _KEY_BYTES} hexadecimal digits in it"
        raise ValueError(message)
    return key


def _key_path(folder: Path) -> Path:
    return folder / f"page-{machine_name()}.key"
