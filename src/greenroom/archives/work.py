"""The work of one unit, in the process of a worker, which keeps a warm engine."""

from __future__ import annotations

import logging
import secrets
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from greenroom.archives.manifest import Made
from greenroom.archives.setting_files import with_local_files
from greenroom.archives.storage import is_address, storage_of
from greenroom.archives.tasks import Failed, Fault, Finished, fault_of
from greenroom.engine.engine import VirtualBackground
from greenroom.errors import GreenroomError, SourceError
from greenroom.files.convert import Summary, convert_frames
from greenroom.settings import Settings
from greenroom.sources import Source, create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from greenroom.archives.tasks import Task
    from greenroom.media.frame import Frame

__all__ = ["Workbench"]

logger = logging.getLogger(__name__)


class Workbench:
    """What a worker keeps from one unit to the next: an engine, and copies of settings' files.

    Parameters
    ----------
    scratch : str
        Folder for files that are needed meanwhile; empty for the system's own.

    Notes
    -----
    State: the engine, with the settings that it was made for, and a folder that goes with `close`.
    """

    def __init__(self, scratch: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="greenroom-", dir=scratch or None, ignore_cleanup_errors=True
        )
        self._engine: VirtualBackground | None = None
        self._settings: dict[str, Any] = {}
        self._fetched: dict[str, str] = {}

    def perform(
        self, task: Task, on_progress: Callable[[int, int | None], None]
    ) -> Finished | Failed:
        """Do a unit; return how it ended.

        Parameters
        ----------
        task : Task
        on_progress : callable
            Called with the frames done and expected, often.
        """
        try:
            return self._perform(task, on_progress)
        except GreenroomError as error:
            self._discard_engine()
            return Failed(task.unit, fault_of(error), _sentence(error, task))
        except OSError as error:
            self._discard_engine()
            message = f"'{task.shown}': {error.strerror or error}."
            return Failed(task.unit, fault_of(error), message)
        except Exception as error:  # the worker goes on with the next file
            self._discard_engine()
            logger.debug("'%s' failed", task.shown, exc_info=True)
            message = f"'{task.shown}': {type(error).__name__}: {error} (a bug)"
            return Failed(task.unit, Fault.FILE, message)

    def close(self) -> None:
        """Release the engine, and remove what was fetched."""
        self._discard_engine()
        self._folder.cleanup()

    def remove_files(self) -> None:
        """Remove what was fetched; on any thread, before the process ends."""
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _perform(
        self, task: Task, on_progress: Callable[[int, int | None], None]
    ) -> Finished | Failed:
        began_s = time.monotonic()
        storage, scratch = storage_of(task.input), Path(self._folder.name)
        before = storage.entry(task.input)
        if before is None:
            message = f"input '{task.input}' cannot be read: there is no such file."
            raise SourceError(message, task.input)
        source = storage.fetch(task.input, scratch, lambda _: on_progress(0, None))
        target = self._local_target(task)
        made: Made | None = None
        try:
            summary, expected = self._convert(task, source, target, on_progress)
            if storage.entry(task.input) != before:
                message = f"input '{task.input}' was changed while it was read."
                return Failed(task.unit, Fault.PASSING, message)
            if task.limit:
                return Finished(task.unit, None, before, summary.to_dict(), expected)
            entry = storage_of(task.target).deliver(
                target, task.target, lambda _: on_progress(summary.frames, None)
            )
            seconds = time.monotonic() - began_s
            made = Made(entry.name, entry.fingerprint, summary.frames, summary.covered, seconds)
        finally:
            if source != Path(task.input):
                source.unlink(missing_ok=True)
            if made is None or target != Path(task.target):
                target.unlink(missing_ok=True)
        return Finished(task.unit, made, before, summary.to_dict(), expected)

    def _local_target(self, task: Task) -> Path:
        """Return a path of this machine for the result."""
        if not task.limit and not is_address(task.target):
            return Path(task.target)
        suffix = PurePosixPath(task.target).suffix
        return Path(self._folder.name, f"{secrets.token_hex(8)}{suffix}")

    def _convert(
        self,
        task: Task,
        source: Path,
        target: Path,
        on_progress: Callable[[int, int | None], None],
    ) -> tuple[Summary, int | None]:
        # The source comes first: a file that cannot be read needs no engine.
        settings = with_local_files(
            Settings(**task.settings), Path(self._folder.name), self._fetched
        )
        with closing(create_source(source, settings)) as frames:
            engine = self._engine_for(task.settings, settings)
            summary = convert_frames(
                engine,
                _Beginning(frames, task.limit) if task.limit else frames,
                target,
                name=task.input,
                progress=on_progress,
            )
            return summary, frames.info.frames

    def _engine_for(self, key: dict[str, Any], settings: Settings) -> VirtualBackground:
        """Return an engine for settings that remembers no frames."""
        if self._engine is not None and self._settings == key:
            self._engine.reset()
            self._engine.timings.clear()
            return self._engine
        self._discard_engine()
        self._engine, self._settings = VirtualBackground(settings), key
        return self._engine

    def _discard_engine(self) -> None:
        """Release the engine: after a failure a frame may still be in it."""
        engine, self._engine = self._engine, None
        if engine is not None:
            with suppress(GreenroomError):
                engine.close()


class _Beginning(Source):
    """The first frames of another source.

    Parameters
    ----------
    source : Source
    limit : int
        Number of frames.
    """

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._limit = limit
        self.info = source.info

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        for number, frame in enumerate(self._source, 1):
            yield frame
            if number == self._limit:
                return

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()


def _sentence(error: GreenroomError, task: Task) -> str:
    """Return an error's message, with the output's name in place of this attempt's."""
    return str(error).replace(task.target, task.shown)
