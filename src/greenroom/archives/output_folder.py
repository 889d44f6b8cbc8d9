"""The output folder of a batch: its lock, what is unfinished in it, and how outputs get names.

::

    OUT/lectures/one.mp4            finished outputs, and nothing else
    OUT/.greenroom/manifest.sqlite  how far the work is
    OUT/.greenroom/lock             held while a batch runs
    OUT/.greenroom/staged/          finished and half-finished files without their names yet

Of an address the manifest and the lock are in a folder of this machine.
"""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import shutil
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import platformdirs

from greenroom.archives.planner import Kind, Unit
from greenroom.archives.storage import Entry, below, is_address, join, storage_of
from greenroom.errors import ExistsError, SettingsError, SinkError
from greenroom.media.file_locks import lock_file
from greenroom.media.paths import user_path

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType
    from typing import IO, Self

__all__ = ["OutputFolder"]

_OWN: Final = ".greenroom"
_STAGED: Final = "staged"
_LOCK: Final = "lock"
_MARK: Final = "job.json"


class OutputFolder:
    """The output folder of a batch, and the folder with its state.

    Parameters
    ----------
    name : str
        Path or address.
    state_dir : Path, optional
        Folder of this machine for the manifest; by default one in the output folder, or of the
        user if that is an address.

    Attributes
    ----------
    name : str
    storage : Storage
        Where it is.
    state : Path
        The folder with the manifest.

    Raises
    ------
    SettingsError, MissingExtraError
        If it is an address that cannot be used.

    Notes
    -----
    State: while it is open, the locks.
    """

    def __init__(self, name: str, state_dir: Path | None = None) -> None:
        self.storage = storage_of(name)
        self._is_address = is_address(name)
        self.name = name.rstrip("/") if self._is_address else str(user_path(name).absolute())
        self.has_own_state = state_dir is not None or self._is_address
        self._own = join(self.name, _OWN)
        self.state = state_dir or self._usual_state()
        self._opened = ExitStack()
        self._is_open = False

    def _usual_state(self) -> Path:
        if not self._is_address:
            return Path(self._own)
        digest = hashlib.sha256(self.name.encode()).hexdigest()[:16]
        return platformdirs.user_state_path("greenroom") / "archives" / digest

    @property
    def scratch(self) -> Path:
        """Folder for files that workers need meanwhile."""
        return self.state / "scratch"

    @property
    def is_open(self) -> bool:
        """Whether it has its lock."""
        return self._is_open

    def open(self) -> None:
        """Make the folders, and lock them.

        Raises
        ------
        SinkError
            If that is not possible, or another batch has the lock.
        """
        try:
            self.storage.make_folder(join(self._own, _STAGED))
            self.scratch.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        with ExitStack() as locks:
            self._lock(self.state, locks)
            if not self._is_address and self.has_own_state:
                self._lock(Path(self._own), locks)
            self._opened = locks.pop_all()
        self._is_open = True

    def close(self) -> None:
        """Give the lock back."""
        self._is_open = False
        self._opened.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def mark(self, owner: str) -> None:
        """Mark a folder at an address as this job's: locks of this machine do not reach there.

        Parameters
        ----------
        owner : str
            Name of the job.

        Raises
        ------
        SettingsError
            If it is marked as another job's.
        SinkError
            If it cannot be marked.
        """
        if not self._is_address:
            return
        mark = join(self._own, _MARK)
        try:
            if self.storage.entry(mark) is None:
                told = {"owner": owner, "machine": platform.node()}
                self.storage.write_new(mark, json.dumps(told).encode())
            found = json.loads(self.storage.read(mark))
        except (OSError, ValueError) as error:
            raise self._unwritable(error) from error
        if found.get("owner") != owner:
            message = (
                f"'{self.name}' is the output folder of another job, of the machine "
                f"'{found.get('machine')}'. Give another folder, or go on there; if that job will "
                f"not go on, remove '{mark}'."
            )
            raise SettingsError(message)

    def leave_mark(self) -> tuple[str, bytes]:
        """Write a small file, by which other machines know the folder; return name and content.

        It goes with what is half-finished (`clean`).

        Raises
        ------
        SinkError
            If it cannot be written.
        """
        name = join(self._own, f"{_STAGED}/mark-{secrets.token_hex(8)}")
        content = secrets.token_bytes(16)
        try:
            self.storage.write_new(name, content)
        except OSError as error:
            raise self._unwritable(error) from error
        return name, content

    def outputs(self) -> dict[str, Entry]:
        """Return what is in the folder, by name.

        Raises
        ------
        SinkError
            If it cannot be read.
        """
        try:
            if not self.storage.is_folder(self.name):
                return {}
            return {
                below(entry.name, self.name): entry for entry in self.storage.entries(self.name)
            }
        except OSError as error:
            raise self._unwritable(error) from error

    def staged_name(self, unit: Unit, output: str) -> str:
        """Return a new name for the result of an attempt; of a segment it is no video."""
        suffix = ".part" if unit.kind is Kind.SEGMENT else PurePosixPath(output).suffix
        name = f"{unit.file}-{unit.kind}-{unit.part}-{secrets.token_hex(4)}{suffix}"
        return join(self._own, f"{_STAGED}/{name}")

    def final_name(self, output: str) -> str:
        """Return the path or address of an output."""
        return join(self.name, output)

    def commit(self, staged: str, output: str, ours: str | None, *, overwrite: bool) -> Entry:
        """Give a finished file its name.

        Parameters
        ----------
        staged : str
            Where it is.
        output : str
            Its name in the folder.
        ours : str or None
            Fingerprint of an earlier output of this job, which may be replaced.
        overwrite : bool
            Whether any other file may be.

        Raises
        ------
        ExistsError
            If there is a file that may not be replaced.
        OSError
            If the storage does not do it.
        """
        final = self.final_name(output)
        there = self.storage.entry(final)
        if there is not None and not overwrite and there.fingerprint != ours:
            raise exists(final)
        self.storage.make_folder(final[: -len(PurePosixPath(output).name) - 1])
        self.storage.move(staged, final)
        entry = self.storage.entry(final)
        if entry is None:
            message = f"'{final}' is not there after it got its name"
            raise OSError(message)
        return entry

    def is_of(self, final: Entry, made: str | None, before: str | None) -> bool:
        """Whether an output is what was staged; moving it in a storage changes its fingerprint."""
        if final.fingerprint == made or not self._is_address or made is None:
            return final.fingerprint == made
        return final.fingerprint != before and made.startswith(f"{final.size}:")

    def clean(self, kept: Collection[str]) -> None:
        """Remove half-finished files, except for those that are still needed."""
        names = {PurePosixPath(name).name for name in kept}
        try:
            for entry in list(self.storage.entries(join(self._own, _STAGED), hidden=True)):
                if PurePosixPath(entry.name).name not in names:
                    self.storage.remove(entry.name)
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir(exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _lock(self, folder: Path, locks: ExitStack) -> None:
        try:
            file: IO[bytes] = locks.enter_context((folder / _LOCK).open("ab"))
            is_free = lock_file(file)
        except OSError as error:
            raise self._unwritable(error) from error
        if not is_free:
            message = f"another batch is at work on '{self.name}'. Wait for its end, or stop it."
            raise SinkError(message, self.name)

    def _unwritable(self, error: Exception) -> SinkError:
        reason = getattr(error, "strerror", None) or error
        message = f"output folder '{self.name}' cannot be used: {reason}."
        return SinkError(message, self.name)


def exists(name: str) -> ExistsError:
    """Return the error about an output that is there and not this job's."""
    message = (
        f"output '{name}' is there already, and not as this job wrote it. Move it away, or allow "
        f"it to be replaced (--overwrite)."
    )
    return ExistsError(message, name)
