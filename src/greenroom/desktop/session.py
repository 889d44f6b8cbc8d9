"""A live session that follows a settings file and is saved to it."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from greenroom.errors import GreenroomError
from greenroom.live.session import Session
from greenroom.live.status import Status
from greenroom.media.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from greenroom.desktop.settings_file import ConfigFile
    from greenroom.live.parts import SessionParts
    from greenroom.settings import Settings

__all__ = ["DesktopSession", "DesktopStatus"]

logger = logging.getLogger(__name__)

# Interval of looking at the settings file.
_FILE_S: Final = 0.5
# Time-out of ending a thread.
_END_S: Final = 2.0


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
    """A session that applies edits of its settings file and requests by signals.

    Each has a thread of its own: an edit may load a model, and a signal's cover must not wait.

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
        self._requests: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._desktop_threads: tuple[Worker, ...] = ()
        file.begin(settings)
        super().__init__(settings, parts)
        self._desktop_threads = tuple(
            Worker(work, name, on_fault=self._take_fault, ended=self.ended)
            for name, work in (("requests", self._serve), ("settings-file", self._follow_file))
        )

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """See `Session.threads`."""
        return (*super().threads, *self._desktop_threads)

    def start(self) -> None:
        """See `Session.start`."""
        super().start()
        for thread in self._desktop_threads:
            thread.start()

    def stop(self) -> None:
        """See `Session.stop`."""
        self.ended.set()
        self._requests.put("")
        super().stop()
        for thread in self._desktop_threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(timeout=_END_S)

    def request(self, what: str) -> None:
        """Ask for ``cover``, ``switch`` (cover or uncover) or ``stop``, as in a signal handler."""
        self._requests.put(what)

    @property
    def saved(self) -> bool:
        """Whether the settings file has all changes made while running."""
        return self._file.has(self.settings)

    def save(self) -> Path:
        """Write the changes made while running to the settings file; return its path.

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

    def _serve(self) -> None:
        while not self.ended.is_set():
            self._carry_out(self._requests.get())

    def _carry_out(self, request: str) -> None:
        if request == "cover":
            self.cover(on=True)
        elif request == "switch":
            self.cover(on=not self.gate.covered)
        elif request == "stop":
            self.ended.set()

    def _follow_file(self) -> None:
        while not self.ended.wait(_FILE_S):
            try:
                self._look_at_file()
            except Exception as error:  # the next edit may succeed
                logger.exception("%s", error)

    def _look_at_file(self) -> None:
        """Apply edits of the settings file; an invalid edit changes nothing."""
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
