"""Temporary folders of uploads, which are deleted even if their process is killed.

Each has a file that its process keeps locked. A folder whose file can be locked belongs to a
process that has ended: unlike its number, that cannot be mistaken for another process', and holds
for containers that share a temporary folder.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from greenroom.media.file_locks import lock_file
from greenroom.media.file_writing import new_file, private_folder

__all__ = ["UploadFolder", "delete_abandoned_uploads"]

logger = logging.getLogger(__name__)

_PREFIX: Final = "greenroom-uploads-"
_LOCK: Final = "lock"
_NEW_LOCK: Final = "lock.new"
# 0 on Windows, where links need privileges.
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)


class UploadFolder:
    """A private temporary folder, kept until `delete`, or until its process has ended.

    Attributes
    ----------
    path : Path

    Raises
    ------
    OSError
        If it cannot be made.
    """

    def __init__(self) -> None:
        # Deletes it when the process ends by itself, too.
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        private_folder(self.path)
        try:
            self._lock = _new_lock(self.path)
        except OSError:
            self._folder.cleanup()
            raise

    def delete(self) -> None:
        """Delete it, with all that is in it."""
        self._lock.close()
        self._folder.cleanup()


def delete_abandoned_uploads() -> None:
    """Delete the folders of this user's processes that were killed, and so could not do it."""
    try:
        folders = [*Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")]
    except OSError:  # there is no temporary folder
        return
    for folder in folders:
        with suppress(OSError):  # another process deletes it, or it is no such folder
            if _is_own(folder):
                _delete_if_abandoned(folder)


def _new_lock(folder: Path) -> BinaryIO:
    """Return the locked file of a folder."""
    new = folder / _NEW_LOCK
    lock = new_file(new, private=True)
    # Named only once it is locked: before, nobody takes the folder for one that is left. Nor ever,
    # if its file system has no locks.
    with suppress(OSError):
        lock_file(lock)
        new.rename(folder / _LOCK)
    return lock


def _is_own(folder: Path) -> bool:
    """Whether it is a folder of this user's, which no other user can write to."""
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return False
    if sys.platform == "win32":  # temporary folders are each user's own
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _delete_if_abandoned(folder: Path) -> None:
    opened = os.open(folder / _LOCK, os.O_RDWR | _NO_LINK)
    with os.fdopen(opened, "rb+") as lock:
        is_abandoned = lock_file(lock)
    if is_abandoned:
        shutil.rmtree(folder, ignore_errors=True)
        logger.info("uploads of a process that was killed are deleted")
