"""What of settings makes an output what it is, the files that they name included."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.archives.storage import is_address, storage_of
from greenroom.errors import BackgroundError
from greenroom.media.paths import is_folder, path_exists, user_path
from greenroom.settings import Group, PathKind, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["GROUPS", "SettingsKey", "SettingsKeys", "differences", "with_local_files", "with_paths"]

GROUPS: Final = (
    Group.BACKGROUND,
    Group.MODEL,
    Group.STAYS,
    Group.EDGE,
    Group.SCENE,
    Group.PICTURE,
    Group.FAILURE,
    Group.OUTPUT,
)
"""Groups of the settings that an output may depend on."""

# Of these groups, what changes at most how fast the same output is made.
_WITHOUT_EFFECT: Final = frozenset(
    ("accept_license", "device", "models_dir", "overwrite", "threads", "timeout_s")
)
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SettingsKey:
    """What identifies settings by their effect.

    Attributes
    ----------
    digest : str
        The same for settings with the same effect.
    values : str
        The settings behind it, as JSON.
    """

    digest: str
    values: str


class SettingsKeys:
    """Makes the keys of settings; a file that several settings name is read once.

    State: the digests of the files that were read.
    """

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._keys: dict[str, SettingsKey] = {}

    def key(self, settings: Settings) -> SettingsKey:
        """Return the key of settings.

        Raises
        ------
        OSError
            If a file that they name cannot be read.
        MissingExtraError, SettingsError
            If they name an address that cannot be used.
        """
        names = [name for group in GROUPS for name in Settings.names(group=group)]
        values = settings.model_dump(mode="json", include=set(names) - _WITHOUT_EFFECT)
        text = json.dumps(values, sort_keys=True)
        if text not in self._keys:
            digest = hashlib.sha256(text.encode())
            for name in ("keep_region", *_path_settings()):
                file = values.get(name)
                digest.update(self._file(_split(name, str(file))[0]).encode() if file else b"-")
            self._keys[text] = SettingsKey(digest.hexdigest()[:32], text)
        return self._keys[text]

    def _file(self, name: str) -> str:
        """Return the digest of a file or folder that a setting names; empty if it names none."""
        if name not in self._files:
            self._files[name] = _digest(name)
        return self._files[name]


def differences(before: str, after: str) -> str:
    """Name what differs between the values of two keys, as ``background: blur → beach``.

    >>> differences('{"fit": "cover"}', '{"fit": "tile"}')
    'fit: cover, now tile'
    >>> differences('{"fit": "cover"}', '{"fit": "cover"}')
    'the content of a file that they name'
    """
    old, new = json.loads(before), json.loads(after)
    changed = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    texts = [f"{name}: {_shown(old.get(name))}, now {_shown(new.get(name))}" for name in changed]
    return "; ".join(texts) or "the content of a file that they name"


def with_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return values of settings in which files are those of a folder, if they are there.

    Parameters
    ----------
    values : dict
        Some settings by name.
    folder : Path
        That of the list that the values come from.
    """
    result = dict(values)
    for name in set(values) & set(_path_settings()):
        file, place = _split(name, str(values[name]))
        if not is_address(file) and path_exists(folder / file):
            result[name] = f"{folder / file}{place}"
    return result


def with_local_files(settings: Settings, folder: Path, fetched: dict[str, str]) -> Settings:
    """Return settings in which files at addresses are replaced by copies of this machine.

    Parameters
    ----------
    settings : Settings
    folder : Path
        Where copies are put.
    fetched : dict
        The copies there, by address; it is brought up to date.

    Raises
    ------
    BackgroundError
        If a file cannot be read.
    MissingExtraError, SettingsError
        If an address cannot be used.
    """
    changes: dict[str, str] = {}
    for name in _path_settings():
        file, place = _split(name, str(getattr(settings, name) or ""))
        if not is_address(file):
            continue
        if file not in fetched:
            try:
                fetched[file] = str(storage_of(file).fetch(file, folder, _ignore))
            except OSError as error:
                message = f"{name} '{file}' cannot be read: {error}."
                raise BackgroundError(message, file) from error
        changes[name] = f"{fetched[file]}{place}"
    return settings.changed(**changes) if changes else settings


def _path_settings() -> tuple[str, ...]:
    return (
        *Settings.names(path=PathKind.FILE),
        *Settings.names(path=PathKind.FILE_AT_PLACE),
    )


def _split(name: str, value: str) -> tuple[str, str]:
    """Return the file that a setting names, and what is behind it."""
    if Settings.about(name).path is PathKind.FILE_AT_PLACE:
        file, at, place = value.rpartition("@")
        return (file, f"{at}{place}") if at else (value, "")
    return value, ""


def _digest(name: str) -> str:
    if is_address(name):
        entry = storage_of(name).entry(name)
        return "" if entry is None else entry.fingerprint
    path = user_path(name)
    if is_folder(path):
        entries = storage_of(name).entries(str(path))
        return ";".join(f"{entry.name}:{entry.fingerprint}" for entry in entries)
    if not path_exists(path) or not path.is_file():
        return ""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in iter(partial(file.read, _READ_BYTES), b""):
            digest.update(piece)
    return digest.hexdigest()


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)


_ignore: Callable[[int], None] = lambda _: None  # noqa: E731 - a function that does nothing
