"""Settings file of a running session: watched for edits, and saved."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path
from typing import Any, Final

import platformdirs

from greenroom.desktop.settings_text import Value, rewritten
from greenroom.errors import SettingsError
from greenroom.media.file_writing import atomic_file
from greenroom.media.toml_text import decode_toml, parse_toml
from greenroom.settings import PathKind, Settings

__all__ = ["ConfigFile", "default_config_path"]

logger = logging.getLogger(__name__)

_HEADER: Final = "# Settings of greenroom, by the names of its flags. Flags take precedence.\n"
# Largest settings file, in bytes.
_MAX_BYTES: Final = 1 << 20
# Marker for unreadable content; not valid TOML.
_UNREADABLE: Final = b"\0"


def default_config_path() -> Path:
    """Return the user's own settings file; it may not be there."""
    return platformdirs.user_config_path("greenroom", appauthor=False) / "greenroom.toml"


class ConfigFile:
    """A settings file that is read, watched and saved.

    Used on one thread at a time.

    Parameters
    ----------
    path : Path
        The file.
    required : bool
        Whether it has to be there, as one that the user named has to.
    kind : type
        The settings that the file may have.

    Attributes
    ----------
    path : Path
        The file.
    error : str
        What is wrong with it since it was edited, with what to do; empty if nothing is.
    changed_names : frozenset of str
        The settings that the last edit changed.
    backup : Path or None
        Where `save` put what it could not keep of the file.
    """

    def __init__(
        self, path: Path, *, required: bool = False, kind: type[Settings] = Settings
    ) -> None:
        self.path = path
        self.error = ""
        self.changed_names: frozenset[str] = frozenset()
        self.backup: Path | None = None
        self._required = required
        self._kind = kind
        self._settings = self._before = self._kept = kind()
        self._content: bytes | None = None
        self._seen: bytes | None = None

    def load(self) -> Settings:
        """Read the file; without one, and none required, every setting has its default.

        Raises
        ------
        SettingsError
            If it cannot be read, is not TOML, or has an unknown name or wrong value.
        """
        try:
            absent = not self._required and not self.path.exists()
            content = None if absent else self.path.read_bytes()
        except OSError as error:
            raise self._unreadable(error) from error
        settings = self._parse(content or b"")
        self._take(content, settings)
        self.changed_names = frozenset()
        self._kept = settings
        return settings

    def begin(self, settings: Settings) -> None:
        """Set the settings that a session begins with: values from flags are not saved."""
        self._kept = settings

    def has(self, settings: Settings) -> bool:
        """Whether the file has all changes since the session began or was saved.

        May be called on any thread.
        """
        file = self._settings
        return all(getattr(file, name) == value for name, value in self._since(settings).items())

    def changed(self) -> bool:
        """Whether the file changed since it was last read or saved."""
        try:
            return self._read() != self._content
        except OSError:
            return False

    def poll(self) -> Settings | None:
        """Return the settings of an edited file if they are valid; None if nothing is new.

        An edit is taken once two polls in a row see the same content, because an editor may be in
        the middle of writing. `changed_names` has the settings that it changed. While the file is
        invalid, `error` has the reason and the previous settings stay in force. Never blocks for
        long; to be called about twice a second.
        """
        try:
            content = self._read()
        except OSError as error:
            self.error = str(self._unreadable(error))
            self._content = self._seen = _UNREADABLE
            return None
        seen, self._seen = self._seen, content
        if content == self._content or content != seen:
            return None
        if content is None:
            self._content = content
            self.error = f"settings file '{self.path}' is gone: the settings stay as they are."
            return None
        try:
            settings = self._parse(content)
        except SettingsError as error:
            self._content = content
            self.error = str(error)
            return None
        self._take(content, settings)
        return settings

    def refuse(self, message: str) -> None:
        """Report why the settings that `poll` returned cannot be used, and forget them."""
        self.error = f"settings file '{self.path}': {message}"
        self._settings = self._before

    def save(self, settings: Settings) -> Path:
        """Write the settings changed since the session began atomically, keeping the rest.

        Settings that are at their defaults are left out. The comments of the file stay where they
        are. Where that is not possible, or where the file was edited since it was read, it is
        copied to ``.bak`` first, and a warning says so. A relative path of a file that is there
        is made absolute.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        SettingsError
            If it cannot be written; then it is as it was.
        """
        try:
            content = self._read()
            text = self._text(content, self._settings.changed(**self._since(settings)))
            target = self.path.resolve()  # a link to the file stays one
            target.parent.mkdir(parents=True, exist_ok=True)
            if self.backup is not None and content is not None:
                _write(self.backup, content, target)
            _write(target, text.encode(), target)
        except OSError as error:
            message = (
                f"settings file '{self.path}' cannot be written: {error.strerror}. Make it "
                f"writable, or start with --config and another file."
            )
            raise SettingsError(message) from error
        if self.backup is not None:
            logger.warning(
                "settings file '%s' was replaced; what was in it is in '%s'", self.path, self.backup
            )
        self._take(text.encode(), self._parse(text.encode()))
        self.changed_names = frozenset()
        self._kept = settings
        return self.path

    def _since(self, settings: Settings) -> dict[str, Any]:
        """Return the settings changed since the session began or was saved."""
        return {
            name: getattr(settings, name)
            for name in self._kind.model_fields
            if settings.about(name).saved and getattr(settings, name) != getattr(self._kept, name)
        }

    def _text(self, content: bytes | None, settings: Settings) -> str:
        """Make the new text; set `backup` if the old text cannot be kept."""
        edited = content is not None and content != self._content
        backup = self.path.resolve().with_name(f"{self.path.name}.bak")
        self.backup = backup if edited else None
        text = None
        with contextlib.suppress(SettingsError, UnicodeError):  # an invalid text cannot be kept
            text = self._edited(_HEADER if content is None else decode_toml(content), settings)
        if text is None:
            self.backup = backup
            text = self._edited(_HEADER, settings)
        if text is None:  # not known to happen
            message = f"settings file '{self.path}' cannot be written: its text is not read back."
            raise SettingsError(message)
        return text

    def _edited(self, text: str, settings: Settings) -> str | None:
        """Put settings into a text; None if parsing it again does not give the same settings."""
        old = self._parse(text.encode())
        given = old.model_fields_set
        values: dict[str, Value] = settings.model_dump()
        same = {name for name in given if getattr(old, name) == values[name]}
        for name in values.keys() - same:
            kind = settings.about(name).path
            if kind is not PathKind.NONE:
                values[name] = _absolute(kind, values[name])
        wanted = self._kind(**values).model_dump()
        needed = {
            name for name, value in self._kind().model_dump().items() if wanted[name] != value
        }
        made = rewritten(text, values, needed=needed, same=same)
        if made is None or self._parse(made.encode()).model_dump() != wanted:
            return None
        return made

    def _read(self) -> bytes | None:
        """Return what is in the file; None if there is none.

        Raises
        ------
        OSError
            If it cannot be read, or is no file.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(found.st_mode):  # a pipe can be read once only
            return self._content
        if found.st_size > _MAX_BYTES:
            raise OSError(0, f"it has more than {_MAX_BYTES} bytes")
        return self.path.read_bytes()

    def _parse(self, content: bytes) -> Settings:
        try:
            values = parse_toml(decode_toml(content))
        except ValueError as error:
            message = f"settings file '{self.path}' is not valid TOML: {error}"
            raise SettingsError(message) from error
        try:
            return self._kind(**values)
        except SettingsError as error:
            message = f"settings file '{self.path}': {error}"
            raise SettingsError(message, error.name) from None

    def _take(self, content: bytes | None, settings: Settings) -> None:
        """Make a content of the file and its settings the current ones."""
        self._content = self._seen = content
        self._before, self._settings = self._settings, settings
        self.changed_names = frozenset(
            name
            for name in self._kind.model_fields
            if getattr(self._before, name) != getattr(settings, name)
        )
        self.error = ""

    def _unreadable(self, error: OSError) -> SettingsError:
        return SettingsError(f"settings file '{self.path}' cannot be read: {error.strerror}")


def _absolute(kind: PathKind, value: Value) -> Value:
    """Make a relative path absolute."""
    file, at, place = "" if value is None else str(value), "", ""
    if kind is PathKind.FILE_AT_PLACE:
        file, at, place = file.partition("@") if file.count("@") == 1 else file.rpartition("@")
    if "/" not in file and os.sep not in file and not Path(file).suffix:
        return value  # a word such as blur, even if a folder has that name
    try:
        there = not Path(file).is_absolute() and Path(file).exists()
    except (OSError, ValueError):  # an address, or nothing that could be a path
        return value
    return f"{Path(file).absolute()}{at}{place}" if there else value


def _write(path: Path, content: bytes, like: Path) -> None:
    """Write a file in one step, with the permissions of another; only for the user without."""
    with atomic_file(path, private=True) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if like.exists():
            Path(file.name).chmod(stat.S_IMODE(like.stat().st_mode))
