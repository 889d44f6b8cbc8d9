"""Staging of output files under temporary names until they are complete."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from greenroom.errors import ExistsError, GreenroomError, SettingsError, SinkError
from greenroom.media.decoding import MEDIA_ERRORS, reason_of
from greenroom.media.file_writing import new_file, part_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Staging", "check_free_space", "unused_path", "writing"]


class Staging:
    """Hands out temporary names beside the targets; all are renamed at once, or removed.

    Parameters
    ----------
    overwrite : bool
        Whether an existing target may be replaced.
    inputs : iterable of Path
        The files being read, which are never replaced.
    private : bool
        Whether only the user may read the files, as for camera recordings.
    """

    def __init__(
        self, *, overwrite: bool, inputs: Iterable[Path] = (), private: bool = False
    ) -> None:
        self._overwrite = overwrite
        self._private = private
        self._inputs = {identity for path in inputs if (identity := _identity(path)) is not None}
        self._staged: dict[Path, Path] = {}

    def add(self, target: Path) -> Path:
        """Return the temporary name for a target.

        Raises
        ------
        SettingsError
            If the target is an input.
        ExistsError
            If the target exists already.
        SinkError
            If its folder is missing or cannot be written.
        """
        self.check(target)
        temporary = part_path(target)
        self._staged[target] = temporary  # before it exists, so that it is always removed
        with writing(target):
            new_file(temporary, private=self._private).close()
        return temporary

    def commit(self) -> None:
        """Rename all files to their targets.

        Raises
        ------
        SinkError
            If that fails; then no new target is left.
        """
        appeared: list[Path] = []
        try:
            for target in self._staged:
                self.check(target)
            for target, temporary in self._staged.items():
                is_new = not target.exists()
                with writing(target):
                    temporary.replace(target)
                if is_new:
                    appeared.append(target)
        except BaseException:
            for target in appeared:
                with suppress(OSError):
                    target.unlink()
            raise
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary files."""
        for temporary in self._staged.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._staged.clear()

    def leave(self, target: Path) -> None:
        """Keep the temporary file of a target: neither rename nor remove it."""
        self._staged.pop(target, None)

    def check(self, target: Path) -> None:
        """Check that a target can be written and may be replaced.

        Raises
        ------
        SettingsError, ExistsError, SinkError
            As in `add`.
        """
        with writing(target):  # even a check fails if the name is too long
            if target.is_dir():
                message = (
                    f"output '{target}' cannot be written: it is a folder, where a file was "
                    f"expected."
                )
                raise SinkError(message, target)
            if not target.parent.is_dir():
                message = (
                    f"output '{target}' cannot be written: there is no folder '{target.parent}'. "
                    f"Make it first."
                )
                raise SinkError(message, target)
            if self._inputs and _identity(target) in self._inputs:
                message = f"output '{target}' is the input. Give another name."
                raise SettingsError(message)
            if target.exists() and not self._overwrite:
                message = (
                    f"output '{target}' is there already. Give another name, or allow it to be "
                    f"replaced (--overwrite)."
                )
                raise ExistsError(message, target)


def unused_path(path: Path) -> Path:
    """Return a path if it is unused, otherwise ``NAME-2`` and so on beside it."""
    free, number = path, 1
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free


def check_free_space(path: Path, size: int) -> None:
    """Check that a number of bytes can be written to a file, which is empty afterwards.

    The bytes are really written: only that respects quotas, limits and reserves on every system.
    They are random, because some file systems compress others.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    try:
        left = memoryview(os.urandom(size))
        while left:
            left = left[os.write(descriptor, left) :]
    finally:
        try:
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of a file, or None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def writing(target: object) -> Iterator[None]:
    """Turn errors of the operating system and of FFmpeg into a `SinkError` about the output."""
    try:
        yield
    except (GreenroomError, BrokenPipeError):  # some of ours are ValueErrors too
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            reason = f"{reason}. Free some space, or write somewhere else"
        message = f"output '{target}' cannot be written: {reason}."
        raise SinkError(message, target) from error
    except MEDIA_ERRORS as error:
        message = f"output '{target}' cannot be written: {reason_of(error)}."
        raise SinkError(message, target) from error
