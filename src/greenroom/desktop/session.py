"""A live session that follows a settings file and is saved to it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from greenroom.errors import GreenroomError
from greenroom.live.session import Session
from greenroom.live.status import Status

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from greenroom.desktop.settings_file import ConfigFile
    from greenroom.live.parts import SessionParts
    from greenroom.settings import Settings

__all__ = ["DesktopSession", "DesktopStatus"]


@dataclass(frozen=True, slots=True)
class DesktopStatus(Status):
    """Status of a session that has a settings file.

    Attributes
    ----------
    config : str
        Path of the settings file.
    config_error : str
        What is wrong with the file since it was edited, with what to do; the settings before
        stay. Empty if nothing is.
    """

    config: str = ""
    config_error: str = ""


class DesktopSession(Session):
    """A session that takes over what is edited in its settings file.

    Parameters
    ----------
    settings : Settings
        The user's settings, with flags and settings file.
    parts : SessionParts
        As for `Session`.
    file : ConfigFile
        Loaded; followed while running, and written by `save`.
    flags : set of str
        The settings that were given as flags: they take precedence over the file.
    """

    def __init__(
        self,
        settings: Settings,
        parts: SessionParts,
        file: ConfigFile,
        flags: AbstractSet[str] = frozenset(),
    ) -> None:
        self._file = file
        self._flags = flags
        file.begin(settings)
        super().__init__(settings, parts)

    @property
    def saved(self) -> bool:
        """Whether nothing that was changed while running would be lost at the end."""
        return self._file.has(self.settings)

    def save(self) -> Path:
        """Write what was changed while running to the settings file; return its path.

        Raises
        ------
        SettingsError
            If it cannot be written.
        """
        path = self._file.save(self.settings)
        self._listeners.tell()
        return path

    def status(self) -> DesktopStatus:
        """Return a snapshot of the session and its settings file."""
        status = super().status()
        values = {field.name: getattr(status, field.name) for field in fields(status)}
        return DesktopStatus(**values, config=str(self._file.path), config_error=self._file.error)

    def _keep_own_house(self) -> None:
        """Take over what was edited in the settings file; errors there change nothing."""
        before = self._file.error
        edited = self._file.poll()
        if self._file.error != before:
            self._listeners.tell()
        if edited is None:
            return
        names = self._file.changed_names - self._flags
        try:
            self.update(**{name: getattr(edited, name) for name in names})
        except (GreenroomError, MemoryError, OSError, RuntimeError) as error:
            self._file.refuse(str(error))
            self._listeners.tell()
