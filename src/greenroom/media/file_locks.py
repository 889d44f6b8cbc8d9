"""Locks on files, which the system takes back when their process ends, however it ends."""

from __future__ import annotations

import sys
import time
from typing import IO, Final

__all__ = ["lock_file"]

_STEP_S: Final = 0.01


def lock_file(file: IO[bytes], wait_s: float = 0.0, *, shared: bool = False) -> bool:
    """Lock a file until it is closed, or its process has ended.

    Parameters
    ----------
    file : binary file
        Open.
    wait_s : float
        How long another process may hold it.
    shared : bool
        Whether others may hold it shared, too. Windows has no such locks: it is exclusive there.

    Returns
    -------
    bool
        False if another process still holds it.
    """
    end_s = time.monotonic() + wait_s
    while not _lock_now(file, _SHARED if shared else _EXCLUSIVE):
        if time.monotonic() >= end_s:
            return False
        time.sleep(_STEP_S)
    return True


if sys.platform == "win32":
    import msvcrt

    _SHARED = _EXCLUSIVE = msvcrt.LK_NBLCK  # there is but one kind

    def _lock_now(file: IO[bytes], kind: int) -> bool:
        try:
            msvcrt.locking(file.fileno(), kind, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    _SHARED, _EXCLUSIVE = fcntl.LOCK_SH | fcntl.LOCK_NB, fcntl.LOCK_EX | fcntl.LOCK_NB

    def _lock_now(file: IO[bytes], kind: int) -> bool:
        try:
            fcntl.flock(file, kind)
        except BlockingIOError:
            return False
        return True
