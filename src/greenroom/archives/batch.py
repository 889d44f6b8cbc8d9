"""A batch: many recordings to one folder, by workers, with what is done noted as it happens.

::

    recordings ──▶ resumption ──▶ manifest ──▶ planner ──▶ crew (workers)
                                     ▲                        │
                                     └── staged, named, done ◀┘
"""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from greenroom.archives.manifest import Manifest, State
from greenroom.archives.planner import Kind, Planner, Retries, Unit, Verdict
from greenroom.archives.report import QualityReport
from greenroom.archives.resumption import Standing, take_up
from greenroom.archives.setting_files import SettingsKeys
from greenroom.archives.tasks import Failed, Fault, Finished, Lost, Progress, Said, Task, fault_of
from greenroom.errors import ExistsError, SinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from greenroom.archives.inputs import Recording
    from greenroom.archives.jobs import Crew
    from greenroom.archives.manifest import FileRow, SegmentRow
    from greenroom.archives.output_folder import OutputFolder
    from greenroom.archives.quality_files import QualityFiles
    from greenroom.archives.tasks import News
    from greenroom.settings import Settings

__all__ = ["Batch", "FileEnd", "Outcome", "task_of"]

logger = logging.getLogger(__name__)

# Longest wait for news, so that signals and pauses are noticed.
_LOOK_S: Final = 0.5
# Files in a row that are given up for one of these reasons: more would follow.
_MOST_IN_A_ROW: Final = {
    Fault.DENIED: (3, "the storage gave no access for", "See to the credentials"),
    Fault.PASSING: (10, "something that should pass did not, for", "See to network and machine"),
}


@dataclass(frozen=True, slots=True)
class FileEnd:
    """A file is done, or was given up.

    Attributes
    ----------
    number : int
        Of the file in the manifest.
    input, output : str
        Paths or addresses.
    attempts : int
        Including the last one.
    error : str
        Why it failed; empty if it is done.
    summary : dict
        Counts and timings, as of `greenroom convert --json`; empty if it failed.
    """

    number: int
    input: str
    output: str
    attempts: int
    error: str
    summary: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return what is told of it in JSON."""
        named = {"input": self.input, "output": self.output, "attempts": self.attempts}
        return {**self.summary, **named, **({"error": self.error} if self.error else {})}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    done_before, done : int
        Files finished by earlier runs, and by this one.
    failed, left : int
        Files that were given up, and files that are not done for another reason.
    stopped : str
        Why the run stopped before its end; empty if it did not.
    seconds : float
        How long it took.
    """

    done_before: int
    done: int
    failed: int
    left: int
    stopped: str
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether every file is done."""
        return not (self.failed or self.left)


class Batch:
    """One run over recordings, into a folder that it has locked.

    Parameters
    ----------
    found : sequence of Recording
    folder : OutputFolder
        Open.
    version : str
        That of greenroom.
    redo : bool
        Whether what was finished with other settings is done again.
    segment_s : float, optional
        Length of the segments of long videos to aim at, in seconds; by default none is divided.
    quality : QualityFiles, optional
        Keeps the quality report of every file; by default none is kept.
    retries : Retries, optional
    clock : callable
        Returns seconds that do not run backwards.

    Attributes
    ----------
    standing : Standing
        What of earlier runs stands.
    manifest : Manifest
    run_number : int

    Raises
    ------
    SettingsError, SinkError
        See `take_up` and `Manifest`.

    Notes
    -----
    State: the manifest, and the settings of each recording by their digest.
    """

    def __init__(
        self,
        found: Sequence[Recording],
        folder: OutputFolder,
        version: str,
        *,
        redo: bool = False,
        segment_s: float | None = None,
        quality: QualityFiles | None = None,
        retries: Retries | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._retries = retries
        self._segment_s = segment_s
        self._quality = quality
        self._settings: dict[str, Settings] = {}
        self._last_fault: Fault | None = None
        self._in_a_row = 0
        self._fail_fast = False
        self._stopped = ""
        self._done = 0
        self._size_done = 0
        self._parts: dict[Unit, float] = {}  # bytes of files that are being done
        self._tell: Callable[[News | FileEnd], None] = lambda _: None
        with ExitStack() as on_failure:
            self.manifest = Manifest(folder.state, version)
            on_failure.callback(self.manifest.close)
            self.run_number = self.manifest.begin_run()
            folder.mark(self.manifest.owner(secrets.token_hex(8)))
            keys = SettingsKeys()
            self._settings = {keys.key(one.settings).digest: one.settings for one in found}
            self._name_staged()
            self.standing: Standing = take_up(
                self.manifest, self.run_number, found, keys, folder, redo=redo, version=version
            )
            self.manifest.check_segments(self.run_number, self._is_there)
            folder.clean(self.manifest.parts_kept())
            on_failure.pop_all()

    def close(self) -> None:
        """Close the manifest, and remove what is half-finished, or leave it to the next run."""
        try:
            self._folder.clean(self.manifest.parts_kept())
        except SinkError as error:
            logger.warning("what is half-finished stays for now: %s", error)
        finally:
            self.manifest.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def size_to_do(self) -> int:
        """What is left to do at the beginning, in bytes of the inputs."""
        return self.manifest.totals(self.run_number).get(State.PENDING, (0, 0))[1]

    @property
    def size_done(self) -> int:
        """What was done since, parts of files included, in bytes of the inputs."""
        return self._size_done + round(sum(self._parts.values()))

    def run(
        self, crew: Crew, tell: Callable[[News | FileEnd], None], *, fail_fast: bool = False
    ) -> Outcome:
        """Do what is to be done.

        Parameters
        ----------
        crew : Crew
            The workers. It is closed if the run stops before its end.
        tell : callable
            Told what workers say, and of every file that ends.
        fail_fast : bool
            Whether the first file that fails ends the run.

        Raises
        ------
        SinkError
            If the manifest cannot be written.
        ProcessingError
            If workers cannot be started.
        """
        began_s = self._clock()
        self._tell, self._fail_fast = tell, fail_fast
        pending = self.manifest.pending(self.run_number, split=self._segment_s is not None)
        planner = Planner(pending, self._clock, self._retries)
        while not (fail_fast and self._stopped):
            while crew.free and (unit := planner.next()) is not None:
                self.manifest.start(unit)
                crew.give(self._task(unit))
            if planner.is_finished:
                break
            pause_s = planner.wait_s()
            for news in crew.news(_LOOK_S if pause_s is None else min(pause_s, _LOOK_S)):
                self._hear(news, planner)
            if self._stopped:
                planner.stop()
        if self._stopped:
            crew.close()
            self.manifest.put_back()
        return self._outcome(self._clock() - began_s)

    def _task(self, unit: Unit) -> Task:
        row = self.manifest.file(unit.file)
        task = task_of(row, unit, self._folder, self._settings[row.settings])
        if unit.kind is Kind.SPLIT:
            return replace(task, segment_s=self._segment_s or 0.0)
        if unit.kind is Kind.WHOLE:
            return task
        if unit.kind is Kind.SEGMENT:
            described = self.manifest.segment(unit.file, unit.part)
            return replace(task, segment=described, fingerprint=row.fingerprint)
        segments = self.manifest.segments(unit.file)
        parts = tuple(one.staged for one in segments if one.staged is not None)
        return replace(task, parts=parts, fingerprint=row.fingerprint)

    def _is_there(self, name: str) -> bool:
        return self._folder.storage.entry(name) is not None

    def _hear(self, news: News, planner: Planner) -> None:
        if isinstance(news, Finished):
            self._take(news, planner)
        elif isinstance(news, Failed):
            self._fail(news.unit, news.fault, news.message, planner)
        elif isinstance(news, Lost):
            fault = Fault.MACHINE if news.with_machine else Fault.PASSING
            self._fail(news.unit, fault, news.message, planner)
        elif isinstance(news, Progress):
            self._advance(news.unit, news.done / max(1, news.expected or 0, news.done))
            self._tell(news)
        elif isinstance(news, Said):
            output = self.manifest.file(news.unit.file).output
            self._tell(Said(news.unit, news.level, f"'{output}': {news.message}"))

    def _advance(self, unit: Unit, share: float) -> None:
        """Note which share of a unit is done."""
        row = self.manifest.file(unit.file)
        # Of a file that was given up, segments may still run; it counts as a whole already.
        if unit.kind in (Kind.WHOLE, Kind.SEGMENT) and row.state is not State.FAILED:
            count = self.manifest.segment_count(unit.file) if unit.kind is Kind.SEGMENT else 1
            self._parts[unit] = share * row.size / max(1, count)

    def _end_file(self, end: FileEnd) -> None:
        """Note that a file is done, or given up, and tell it."""
        for unit in [unit for unit in self._parts if unit.file == end.number]:
            del self._parts[unit]
        self._size_done += self.manifest.file(end.number).size
        self._tell(end)

    def _take(self, finished: Finished, planner: Planner) -> None:
        """Note what was made, and give it its name if it is an output."""
        unit = finished.unit
        self._last_fault, self._in_a_row = None, 0
        if unit.kind is Kind.SPLIT:
            self.manifest.set_segments(unit.file, finished.segments, finished.input)
            planner.finish(unit, len(finished.segments))
            return
        assert finished.made is not None
        if unit.kind is Kind.SEGMENT:
            self.manifest.stage(unit, finished.made, State.DONE, finished.input)
            self._advance(unit, 1.0)
            planner.finish(unit)
            return
        segments = self.manifest.segments(unit.file)
        seconds = finished.made.seconds + sum(one.seconds or 0.0 for one in segments)
        made = replace(finished.made, seconds=seconds)
        self.manifest.stage(unit, made, State.STAGED, finished.input)
        try:
            self._name(self.manifest.file(unit.file))
        except (OSError, ExistsError) as error:
            self._fail(unit, fault_of(error), str(error), planner)
            return
        planner.finish(unit)
        self._done += 1
        self._remove(segments)
        row = self.manifest.file(unit.file)
        output = self._folder.final_name(row.output)
        summary = {"seconds": seconds, **finished.summary}
        if finished.quality:
            summary["quality"] = self._noted(row, finished.quality)
        self._end_file(FileEnd(row.number, row.input, output, row.attempts, "", summary))

    def _noted(self, row: FileRow, quality: str) -> dict[str, Any]:
        """Keep a file's quality report, and return its numbers."""
        report = QualityReport.from_text(quality)
        if self._quality is not None:
            try:
                self._quality.keep(row.number, report)
            except OSError as error:
                logger.warning("the quality report of '%s' is not kept: %s", row.output, error)
        return report.to_dict()

    def _remove(self, segments: Sequence[SegmentRow]) -> None:
        """Remove the results of segments that are joined; what stays goes at the end."""
        for one in segments:
            if one.staged is not None:
                with suppress(OSError):
                    self._folder.storage.remove(one.staged)

    def _name(self, row: FileRow) -> None:
        """Give a staged output its name."""
        assert row.staged is not None
        settings = self._settings.get(row.settings)
        overwrite = settings is not None and settings.overwrite
        entry = self._folder.commit(row.staged, row.output, row.written, overwrite=overwrite)
        self.manifest.finish(row.number, entry.fingerprint)

    def _name_staged(self) -> None:
        """Finish what an interrupted run had finished but for the name, or had named already."""
        for row in self.manifest.staged():
            assert row.staged is not None
            unit = Unit(row.number, Kind.WHOLE)
            try:
                staged = self._folder.storage.entry(row.staged)
                final = self._folder.storage.entry(self._folder.final_name(row.output))
                if staged is not None and staged.fingerprint == row.made:
                    self._name(row)
                elif final is not None and self._folder.is_of(final, row.made, row.written):
                    self.manifest.finish(row.number, final.fingerprint)
                else:
                    self.manifest.set_state(unit, State.PENDING)
            except (OSError, ExistsError) as error:
                self.manifest.set_state(unit, State.PENDING, str(error))

    def _fail(self, unit: Unit, fault: Fault, message: str, planner: Planner) -> None:
        """Note a failure: the unit is tried again, or its file given up, or the run ends."""
        if fault is Fault.FULL:
            planner.fail(unit, may_pass=False)
            self.manifest.set_state(unit, State.PENDING, message)
            self._stopped = f"there is no space left ({message})"
            return
        if fault is Fault.SEAM:
            logger.warning("%s It is done as a whole.", message)
            self._remove(self.manifest.segments(unit.file))
            self.manifest.set_state(unit, State.RUNNING, message)
            self.manifest.forget_segments(unit.file)
            planner.do_whole(unit)
            return
        if fault is Fault.MACHINE:
            verdict = planner.lose(unit)
        else:
            verdict = planner.fail(unit, may_pass=fault is not Fault.FILE)
        if verdict is not Verdict.GIVEN_UP:
            if verdict is Verdict.AGAIN:
                logger.warning("%s It is tried again.", message)
            # Not pending: the planner has it, and must not be given it once more.
            self.manifest.set_state(unit, State.RUNNING, message)
            return
        self._give_up(unit, message)
        self._in_a_row = self._in_a_row + 1 if fault is self._last_fault else 1
        self._last_fault = fault
        most, what, hint = _MOST_IN_A_ROW.get(fault, (self._in_a_row + 1, "", ""))
        if self._in_a_row >= most:
            self._stopped = f"{what} {most} files in a row ({message}). {hint}"
        elif self._fail_fast:
            self._stopped = "a file failed (--fail-fast)"

    def _give_up(self, unit: Unit, message: str) -> None:
        self.manifest.set_state(unit, State.FAILED, message)
        self.manifest.fail(unit.file, message)
        row = self.manifest.file(unit.file)
        output = self._folder.final_name(row.output)
        self._end_file(FileEnd(row.number, row.input, output, row.attempts, message, {}))

    def _outcome(self, seconds: float) -> Outcome:
        counts = {
            state: count for state, (count, _) in self.manifest.totals(self.run_number).items()
        }
        done, failed = counts.pop(State.DONE, 0), counts.pop(State.FAILED, 0)
        return Outcome(
            done_before=done - self._done,
            done=self._done,
            failed=failed,
            left=sum(counts.values()),
            stopped=self._stopped,
            seconds=max(0.0, seconds),
        )


def task_of(
    row: FileRow, unit: Unit, folder: OutputFolder, settings: Settings, limit: int = 0
) -> Task:
    """Return a unit with all that a worker needs; see `Task` for ``limit``."""
    return Task(
        unit,
        row.input,
        folder.staged_name(unit, row.output),
        folder.final_name(row.output),
        settings.model_dump(mode="json", exclude_unset=True),
        row.size,
        limit,
    )
