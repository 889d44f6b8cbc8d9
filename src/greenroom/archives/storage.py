"""Where files are: paths of this machine, and addresses such as ``s3://bucket/talk.mp4``.

Addresses are fsspec's, an optional dependency; paths need nothing. Errors are `OSError`, whatever
a storage raises.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import importlib
import os
import re
import secrets
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from greenroom.errors import MissingExtraError, SettingsError
from greenroom.media.paths import is_folder, user_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Entry",
    "LocalStorage",
    "RemoteStorage",
    "Storage",
    "below",
    "is_address",
    "join",
    "storage_of",
]

_ADDRESS: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_COPY_BYTES: Final = 1 << 20
# Storages of objects, whose names may have / in them: a folder that is made there is a bucket.
_WITHOUT_FOLDERS: Final = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci"))
# In the names of errors about credentials: NoCredentialsError, ClientAuthenticationError.
_OF_ACCESS: Final = ("Credential", "Auth", "Token")
# What storages tell of a version of a file, the surest first.
_VERSIONS: Final = (
    *("ETag", "etag", "md5Hash", "content_md5", "checksum", "generation"),
    *("LastModified", "last_modified", "mtime", "updated", "created"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that is there.

    Attributes
    ----------
    name : str
        Path or address.
    size : int
        In bytes.
    fingerprint : str
        Another one if the content was changed; size and time of change, or what a storage has
        in their place. It is compared, never ordered, so that clocks do not matter.
    """

    name: str
    size: int
    fingerprint: str


def is_address(name: str) -> bool:
    """Whether a name is an address rather than a path of this machine.

    >>> is_address("s3://lectures/one.mp4"), is_address("C:/one.mp4"), is_address("color:teal")
    (True, False, False)
    """
    return _ADDRESS.match(name) is not None


def below(name: str, folder: str) -> str:
    """Return the name of a file relative to a folder that it is in, with ``/`` between.

    >>> below("memory:///talks/2024/one.mp4", "memory://talks")
    '2024/one.mp4'
    """
    if not is_address(folder):
        return Path(name).relative_to(folder).as_posix()
    parts, above = ([part for part in one.split("/")[1:] if part] for one in (name, folder))
    return "/".join(parts[len(above) :])


def join(folder: str, name: str) -> str:
    """Return the path or address of a file in a folder; its name may have ``/`` in it.

    >>> join("s3://lectures/done/", "2024/one.mp4")
    's3://lectures/done/2024/one.mp4'
    """
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else str(Path(folder, name))


def storage_of(name: str) -> Storage:
    """Return the storage of a path or address.

    Raises
    ------
    MissingExtraError
        If fsspec, or what it needs for such addresses, is not installed.
    SettingsError
        If there is no such kind of address.
    """
    found = _ADDRESS.match(name)
    return LocalStorage() if found is None else RemoteStorage(found[1])


class Storage(ABC):
    """Files by their names, of one kind of storage.

    Every method may block, and raises `OSError` if the storage does not do as it is asked:
    `FileNotFoundError`, `PermissionError`, or another one.
    """

    @abstractmethod
    def entry(self, name: str) -> Entry | None:
        """Return a file, or None if there is none of that name."""

    @abstractmethod
    def is_folder(self, name: str) -> bool:
        """Whether there is a folder of that name."""

    @abstractmethod
    def entries(self, folder: str, *, hidden: bool = False) -> Iterator[Entry]:
        """Yield the files in a folder and in those below it, in order.

        Parameters
        ----------
        folder : str
        hidden : bool
            Whether names that begin with a dot are among them.
        """

    @abstractmethod
    def matching(self, pattern: str) -> Iterator[Entry]:
        """Yield the files that fit a pattern, such as ``lectures/**/*.mp4``."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a small file."""

    @abstractmethod
    def write_new(self, name: str, data: bytes) -> None:
        """Write a small file."""

    @abstractmethod
    def make_folder(self, name: str) -> None:
        """Make a folder, and those above it, unless they are there."""

    @abstractmethod
    def fetch(self, name: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
        """Return a file of this machine with the content of that name.

        Parameters
        ----------
        name : str
        folder : Path
            Where it is put if it is not on this machine yet.
        on_bytes : callable
            Called with the number of bytes that have come.
        """

    @abstractmethod
    def deliver(self, path: Path, name: str, on_bytes: Callable[[int], None]) -> Entry:
        """Move a file of this machine to a name, all of it or nothing, and so that it stays."""

    @abstractmethod
    def move(self, old: str, new: str) -> None:
        """Rename a file; what has the new name is replaced."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; it need not be there."""


class LocalStorage(Storage):
    """Files of this machine, by their paths."""

    def entry(self, name: str) -> Entry | None:
        """See `Storage.entry`."""
        path = Path(name)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return None if path.is_dir() else _local_entry(name, status)

    def is_folder(self, name: str) -> bool:
        """See `Storage.is_folder`."""
        return is_folder(Path(name))

    def entries(self, folder: str, *, hidden: bool = False) -> Iterator[Entry]:
        """See `Storage.entries`."""

        def fail(error: OSError) -> None:
            raise error

        for parent, folders, names in os.walk(folder, onerror=fail):
            folders[:] = sorted(one for one in folders if hidden or not one.startswith("."))
            for name in sorted(one for one in names if hidden or not one.startswith(".")):
                path = Path(parent, name)
                with suppress(FileNotFoundError):  # a link to nothing, or removed meanwhile
                    yield _local_entry(str(path), path.stat())

    def matching(self, pattern: str) -> Iterator[Entry]:
        """See `Storage.matching`."""
        # Path.glob takes no absolute pattern.
        for path in sorted(glob.glob(str(user_path(pattern)), recursive=True)):  # noqa: PTH207
            entry = self.entry(path)
            if entry is not None:
                yield entry

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        return Path(name).read_bytes()

    def write_new(self, name: str, data: bytes) -> None:
        """See `Storage.write_new`."""
        Path(name).write_bytes(data)

    def make_folder(self, name: str) -> None:
        """See `Storage.make_folder`."""
        Path(name).mkdir(parents=True, exist_ok=True)

    def fetch(self, name: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
        """See `Storage.fetch`: it is there."""
        del folder, on_bytes
        return Path(name)

    def deliver(self, path: Path, name: str, on_bytes: Callable[[int], None]) -> Entry:
        """See `Storage.deliver`: it is written to the disk, and renamed."""
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        if path != Path(name):
            path.replace(name)
        entry = _local_entry(name, Path(name).stat())
        on_bytes(entry.size)
        return entry

    def move(self, old: str, new: str) -> None:
        """See `Storage.move`."""
        Path(old).replace(new)
        _write_names(Path(new).parent)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        Path(name).unlink(missing_ok=True)


def _local_entry(name: str, status: os.stat_result) -> Entry:
    return Entry(name, status.st_size, f"{status.st_size}:{status.st_mtime_ns}")


def _write_names(folder: Path) -> None:
    """Have the names in a folder survive a power failure, where the system can be asked to."""
    with suppress(OSError):  # not Windows
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class RemoteStorage(Storage):
    """Files of a storage that fsspec knows, by their addresses.

    Parameters
    ----------
    protocol : str
        The beginning of its addresses.

    Raises
    ------
    MissingExtraError, SettingsError
        See `storage_of`.
    """

    def __init__(self, protocol: str) -> None:
        self._protocol = protocol
        try:
            fsspec = importlib.import_module("fsspec")
        except ImportError:
            message = (
                f"addresses such as '{protocol}://' need fsspec. Install it: "
                f"pip install 'greenroom[archives]'"
            )
            raise MissingExtraError(message) from None
        try:
            self._files: Any = fsspec.filesystem(protocol, use_listings_cache=False)
        except ImportError as error:
            message = f"addresses that begin with '{protocol}://' cannot be used: {error}"
            raise MissingExtraError(message) from error
        except ValueError as error:
            message = f"there are no addresses that begin with '{protocol}://': {error}"
            raise SettingsError(message) from error

    def entry(self, name: str) -> Entry | None:
        """See `Storage.entry`."""
        try:
            with _asked():
                status = self._files.info(name)
        except FileNotFoundError:
            return None
        return None if status["type"] == "directory" else self._entry(name, status)

    def is_folder(self, name: str) -> bool:
        """See `Storage.is_folder`."""
        with _asked():
            return bool(self._files.isdir(name))

    def entries(self, folder: str, *, hidden: bool = False) -> Iterator[Entry]:
        """See `Storage.entries`."""
        with _asked():
            found = self._files.find(folder, detail=True)
        for path, status in sorted(found.items()):
            address = self._address(path)
            parts = below(address, folder).split("/")
            if hidden or not any(part.startswith(".") for part in parts):
                yield self._entry(address, status)

    def matching(self, pattern: str) -> Iterator[Entry]:
        """See `Storage.matching`."""
        with _asked():
            found = self._files.glob(pattern, detail=True)
        for path, status in sorted(found.items()):
            if status["type"] != "directory":
                yield self._entry(self._address(path), status)

    def read(self, name: str) -> bytes:
        """See `Storage.read`."""
        with _asked():
            return bytes(self._files.cat_file(name))

    def write_new(self, name: str, data: bytes) -> None:
        """See `Storage.write_new`."""
        with _asked():
            self._files.pipe_file(name, data)

    def make_folder(self, name: str) -> None:
        """See `Storage.make_folder`."""
        if self._protocol not in _WITHOUT_FOLDERS:
            with _asked():
                self._files.makedirs(name, exist_ok=True)

    def fetch(self, name: str, folder: Path, on_bytes: Callable[[int], None]) -> Path:
        """See `Storage.fetch`: it is copied, in pieces."""
        path = folder / f"{secrets.token_hex(8)}{PurePosixPath(name).suffix}"
        with _asked(), self._files.open(name, "rb") as source, path.open("xb") as target:
            done = 0
            while piece := source.read(_COPY_BYTES):
                target.write(piece)
                done += len(piece)
                on_bytes(done)
        return path

    def deliver(self, path: Path, name: str, on_bytes: Callable[[int], None]) -> Entry:
        """See `Storage.deliver`: it is copied, in pieces, and removed here."""
        with path.open("rb") as source, _asked(), self._files.open(name, "wb") as target:
            done = 0
            while piece := source.read(_COPY_BYTES):
                target.write(piece)
                done += len(piece)
                on_bytes(done)
        entry = self.entry(name)
        if entry is None or entry.size != done:
            there = "nothing" if entry is None else f"{entry.size} bytes"
            message = f"of {done} bytes that were sent to '{name}', {there} are there"
            raise OSError(message)
        path.unlink()
        return entry

    def move(self, old: str, new: str) -> None:
        """See `Storage.move`."""
        with _asked():
            self._files.mv(old, new)

    def remove(self, name: str) -> None:
        """See `Storage.remove`."""
        with suppress(FileNotFoundError), _asked():
            self._files.rm_file(name)

    def _address(self, path: str) -> str:
        return path if is_address(path) else f"{self._protocol}://{path}"

    def _entry(self, name: str, status: dict[str, Any]) -> Entry:
        size = int(status.get("size") or 0)
        version = next((str(status[key]) for key in _VERSIONS if status.get(key)), "")
        digest = hashlib.sha256(version.encode()).hexdigest()[:16]
        return Entry(name, size, f"{size}:{digest}")


@contextmanager
def _asked() -> Iterator[None]:
    """Turn whatever a storage raises into an `OSError`."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # storages raise what the libraries below them do
        name = type(error).__name__
        message = f"{name}: {error}"
        if any(word in name for word in _OF_ACCESS):
            raise PermissionError(errno.EACCES, message) from error
        raise OSError(message) from error
