"""Single instance of ``greenroom run`` for each user and machine: lock and record.

A lock of the operating system says whether one runs, so that a crash leaves nothing that has to
be cleared up; a file beside it says which, and where its page is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Final, Self
from urllib.parse import parse_qs, urlsplit

import platformdirs
from pydantic import BaseModel, ConfigDict

from greenroom.errors import GreenroomError
from greenroom.media.file_locks import lock_file
from greenroom.media.file_writing import atomic_file, private_folder

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = [
    "Instance",
    "InstanceRecord",
    "machine_name",
    "running",
    "state_folder",
    "unwritable",
]

logger = logging.getLogger(__name__)

# Time-out for a lock that another process holds only to test it.
_LOOK_S: Final = 0.2
_STEP_S: Final = 0.01
# Time-out for the record after the lock was taken.
_RECORD_S: Final = 0.5


class InstanceRecord(BaseModel):
    """Record of the running instance.

    Attributes
    ----------
    pid : int
        Its process; 0 while that is not known yet.
    url : str
        Its page, with the token that opens it; empty without a page.
    started_s : float
        When it started, in seconds since 1970.
    covered : bool or None
        Whether the user is covered. None until the signal SIGUSR1 is listened for, which
        changes it.
    without_cover : tuple of str
        Sinks that have not got the cover then; see `greenroom.live.status.Status`.
    """

    model_config = ConfigDict(frozen=True)

    pid: int = 0
    url: str = ""
    started_s: float = 0.0
    covered: bool | None = None
    without_cover: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The page without its token, such as ``http://127.0.0.1:8765``; may be shown to all."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""

    @property
    def token(self) -> str:
        """Address of the page with its token; empty without a page."""
        parts = urlsplit(self.url)
        for where in (parts.query, parts.fragment):
            if found := parse_qs(where).get("token"):
                return found[0]
        return ""


class Instance:
    """Holds the lock of the single instance until it is released or the process ends.

    Parameters
    ----------
    folder : Path, optional
        Where the record is; by default the user's own folder for state.

    Examples
    --------
    ::

        with Instance() as instance:
            instance.announce(url=page.url)
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or state_folder()
        self._lock: IO[bytes] | None = None
        self._writing = threading.Lock()
        self._record = InstanceRecord()

    def acquire(self) -> None:
        """Acquire the lock.

        Raises
        ------
        GreenroomError
            If another one runs, with its process and page; or if the folder cannot be written to.
        """
        try:
            private_folder(self._folder, must_own=True)
            lock = _open(_lock_path(self._folder))
        except OSError as error:
            raise unwritable(self._folder, error) from error
        if not lock_file(lock, _LOOK_S):
            lock.close()
            raise _runs_already(_read(self._folder))
        self._lock = lock
        try:
            self._write(InstanceRecord(pid=os.getpid(), started_s=time.time()))
        except OSError as error:
            self.release()
            raise unwritable(self._folder, error) from error

    def announce(
        self,
        *,
        url: str | None = None,
        covered: bool | None = None,
        without_cover: tuple[str, ...] | None = None,
    ) -> None:
        """Update the record: address of the page, cover.

        ``covered`` is to be told once SIGUSR1 is listened for, and at every change. May be called
        on any thread, and raises nothing: where the record cannot be written there is none.
        """
        given = {"url": url, "covered": covered, "without_cover": without_cover}
        update = {key: value for key, value in given.items() if value is not None}
        with self._writing:
            try:
                self._write(self._record.model_copy(update=update))
            except OSError as error:
                logger.warning("%s", unwritable(self._folder, error))
                self._record = InstanceRecord()
                with contextlib.suppress(OSError):
                    _record_path(self._folder).unlink(missing_ok=True)

    def release(self) -> None:
        """Remove the record and let another one run; may be called again."""
        if self._lock is None:
            return
        with self._writing:
            lock, self._lock = self._lock, None
            self._record = InstanceRecord()
            with contextlib.suppress(OSError):
                _record_path(self._folder).unlink(missing_ok=True)
            lock.close()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _write(self, record: InstanceRecord) -> None:
        """Write the record in one step, for this user only."""
        if self._lock is None or record == self._record:
            return
        path = _record_path(self._folder)
        with atomic_file(path, private=True) as file:
            file.write(record.model_dump_json().encode())
        self._record = record


def running(folder: Path | None = None) -> InstanceRecord | None:
    """Return the record of this user's running instance on this machine; None without one.

    Parameters
    ----------
    folder : Path, optional
        As in `Instance`.

    Returns
    -------
    InstanceRecord or None
        None if none runs.
    """
    folder = folder or state_folder()
    try:
        # To be opened for writing, or it could not be locked everywhere.
        lock = _lock_path(folder).open("r+b")
    except OSError:  # nobody has run yet
        return None
    with lock:
        if lock_file(lock, _LOOK_S if sys.platform == "win32" else 0, shared=True):
            return None
        return _read(folder)


def check_none_runs(folder: Path | None = None) -> None:
    """Reject a second instance before anything is loaded for it.

    Raises
    ------
    GreenroomError
        If one runs, with its process and page.
    """
    record = running(folder)
    if record is not None:
        raise _runs_already(record)


def state_folder() -> Path:
    """Return the user's own folder for state."""
    return platformdirs.user_state_path("greenroom", appauthor=False)


def _record_path(folder: Path) -> Path:
    return folder / f"run-{machine_name()}.json"


def _lock_path(folder: Path) -> Path:
    return folder / f"run-{machine_name()}.lock"


def machine_name() -> str:
    """Name this machine: the folder may be on a disk that several share."""
    return re.sub(r"[^\w.-]", "_", platform.node()) or "machine"


def _open(path: Path) -> IO[bytes]:
    """Open or create a file that only this user can read."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def _read(folder: Path) -> InstanceRecord:
    """Read the record of a running instance, which may be writing it."""
    end = time.monotonic() + _RECORD_S
    while True:
        try:
            return InstanceRecord.model_validate_json(_record_path(folder).read_text("utf-8"))
        except (OSError, ValueError):
            if time.monotonic() > end:
                return InstanceRecord()
            time.sleep(_STEP_S)


def _runs_already(record: InstanceRecord) -> GreenroomError:
    page = f", page {record.address}" if record.address else ""
    if not record.pid:
        return GreenroomError("greenroom runs already. Stop it first.")
    stop = f"taskkill /F /PID {record.pid}" if sys.platform == "win32" else f"kill {record.pid}"
    return GreenroomError(
        f"greenroom runs already (process {record.pid}{page}). Stop it first: {stop}"
    )


def unwritable(folder: Path, error: OSError) -> GreenroomError:
    """Make the error for an unusable state folder."""
    return GreenroomError(
        f"folder '{folder}', where greenroom notes that it runs, cannot be written to: "
        f"{error.strerror or error}. Make it writable, or let XDG_STATE_HOME name another folder."
    )
