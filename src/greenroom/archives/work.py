"""The work of one unit, in the process of a worker, which keeps a warm engine."""

from __future__ import annotations

import logging
import secrets
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from greenroom.archives.joining import join
from greenroom.archives.manifest import Made
from greenroom.archives.planner import Kind
from greenroom.archives.processing import process_segment
from greenroom.archives.report import QualityMeter
from greenroom.archives.segments import Segment, plan_segments
from greenroom.archives.setting_files import with_local_files
from greenroom.archives.storage import Entry, is_address, storage_of
from greenroom.archives.tasks import Failed, Fault, Finished, fault_of
from greenroom.engine.engine import VirtualBackground
from greenroom.errors import GreenroomError, SourceError
from greenroom.files.convert import convert_frames
from greenroom.files.views import process_for
from greenroom.settings import Settings
from greenroom.sources import Source, create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from greenroom.archives.tasks import Task
    from greenroom.media.frame import Frame

    _OnProgress = Callable[[int, int | None], None]

__all__ = ["Workbench"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Result:
    """What was made of a unit; ``is_kept`` if it is a file."""

    frames: int = 0
    covered: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    expected: int | None = None
    segments: tuple[str, ...] = ()
    is_kept: bool = False
    quality: str = ""


class Workbench:
    """What a worker keeps from one unit to the next: an engine, and copies of settings' files.

    Parameters
    ----------
    scratch : str
        Folder for files that are needed meanwhile; empty for the system's own.

    Notes
    -----
    State: the engine, with the settings that it was made for; a folder that goes with `close`, and
    in it the last input that came from an address.
    """

    def __init__(self, scratch: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(
            prefix="greenroom-", dir=scratch or None, ignore_cleanup_errors=True
        )
        self._engine: VirtualBackground | None = None
        self._settings: dict[str, Any] = {}
        self._fetched: dict[str, str] = {}
        self._input: tuple[Entry, Path] | None = None

    def perform(self, task: Task, on_progress: _OnProgress) -> Finished | Failed:
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

    def warm_up(self, settings: dict[str, Any]) -> None:
        """Make the engine for the first units that have these settings.

        Raises
        ------
        GreenroomError
            If the model or the background cannot be used.
        """
        local = with_local_files(Settings(**settings), Path(self._folder.name), self._fetched)
        self._engine_for(settings, local)

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

    def _perform(self, task: Task, on_progress: _OnProgress) -> Finished | Failed:
        began_s = time.monotonic()
        before = storage_of(task.input).entry(task.input)
        if before is None:
            message = f"input '{task.input}' cannot be read: there is no such file."
            raise SourceError(message, task.input)
        if task.fingerprint not in ("", before.fingerprint):
            message = f"input '{task.input}' was changed after it was divided."
            return Failed(task.unit, Fault.FILE, message)
        source = self._fetched_input(task, before, on_progress)
        target = self._local_target(task)
        delivered: Entry | None = None
        try:
            result = self._make(task, source, target, on_progress)
            if storage_of(task.input).entry(task.input) != before:
                message = f"input '{task.input}' was changed while it was read."
                return Failed(task.unit, Fault.PASSING, message)
            if result.is_kept:
                delivered = storage_of(task.target).deliver(
                    target, task.target, lambda _: on_progress(result.frames, None)
                )
        finally:
            if task.unit.kind in (Kind.WHOLE, Kind.JOIN):
                self._forget_input()
            if delivered is None or target != Path(task.target):
                target.unlink(missing_ok=True)
        made = None
        if delivered is not None:
            made = Made(
                delivered.name,
                delivered.fingerprint,
                result.frames,
                result.covered,
                time.monotonic() - began_s,
            )
        return Finished(
            task.unit,
            made,
            before,
            result.summary,
            result.expected,
            result.segments,
            result.quality,
        )

    def _fetched_input(self, task: Task, entry: Entry, on_progress: _OnProgress) -> Path:
        """Return a file of this machine; it is kept while its next segment may follow."""
        if self._input is not None and self._input[0] == entry:
            return self._input[1]
        self._forget_input()
        path = storage_of(task.input).fetch(
            task.input, Path(self._folder.name), lambda _: on_progress(0, None)
        )
        if path != Path(task.input):
            self._input = entry, path
        return path

    def _forget_input(self) -> None:
        forgotten, self._input = self._input, None
        if forgotten is not None:
            forgotten[1].unlink(missing_ok=True)

    def _local_target(self, task: Task) -> Path:
        """Return a path of this machine for the result."""
        if not task.limit and not is_address(task.target):
            return Path(task.target)
        suffix = PurePosixPath(task.target).suffix
        return Path(self._folder.name, f"{secrets.token_hex(8)}{suffix}")

    def _make(self, task: Task, source: Path, target: Path, on_progress: _OnProgress) -> _Result:
        """Do what the kind of unit says."""
        settings = with_local_files(
            Settings(**task.settings), Path(self._folder.name), self._fetched
        )
        if task.unit.kind is Kind.SPLIT:
            plan = plan_segments(source, task.shown, settings, task.segment_s)
            return _Result(segments=tuple(one.to_json() for one in plan.segments))
        if task.unit.kind is Kind.SEGMENT:
            engine = self._engine_for(task.settings, settings)
            segment = process_segment(
                Segment.from_json(task.segment),
                source,
                target,
                settings,
                target=task.shown,
                engine=engine,
                progress=on_progress,
            )
            return _Result(segment.frames, segment.covered, is_kept=True)
        if task.unit.kind is Kind.JOIN:
            return self._join(task, source, target, settings, on_progress)
        return self._convert(task, source, target, settings, on_progress)

    def _join(
        self, task: Task, source: Path, target: Path, settings: Settings, on_progress: _OnProgress
    ) -> _Result:
        parts: list[Path] = []
        try:
            for name in task.parts:
                parts.append(  # noqa: PERF401 - those that came are removed if one does not
                    storage_of(name).fetch(
                        name, Path(self._folder.name), lambda _: on_progress(0, None)
                    )
                )
            joined = join(source, parts, target, settings)
        finally:
            for path, name in zip(parts, task.parts, strict=False):
                if path != Path(name):
                    path.unlink(missing_ok=True)
        facts = {"frames": joined.frames, "covered": joined.covered, "segments": len(parts)}
        quality = joined.quality.to_text()
        return _Result(joined.frames, joined.covered, facts, is_kept=True, quality=quality)

    def _convert(
        self, task: Task, source: Path, target: Path, settings: Settings, on_progress: _OnProgress
    ) -> _Result:
        # The source comes first: a file that cannot be read needs no engine.
        meter = QualityMeter()
        with closing(create_source(source, settings)) as frames:
            engine = self._engine_for(task.settings, settings)
            summary = convert_frames(
                engine,
                _Beginning(frames, task.limit) if task.limit else frames,
                target,
                name=task.input,
                process=meter.watching(process_for(settings)),
                progress=on_progress,
            )
        return _Result(
            summary.frames,
            summary.covered,
            summary.to_dict(),
            frames.info.frames,
            is_kept=not task.limit,
            quality=meter.report.to_text(),
        )

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
