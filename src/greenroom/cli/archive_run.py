"""The work of ``greenroom batch``: its messages, progress and exit status."""

from __future__ import annotations

import json
import logging
import tempfile
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

import greenroom
from greenroom.archives.batch import Batch, FileEnd
from greenroom.archives.cluster import cluster_connection, job_of, ray_crew
from greenroom.archives.inputs import recordings
from greenroom.archives.jobs import ProcessCrew, default_jobs
from greenroom.archives.output_folder import OutputFolder
from greenroom.archives.quality_files import QualityFiles
from greenroom.archives.rehearsal import rehearse
from greenroom.archives.report import write_sheet
from greenroom.archives.setting_files import with_local_files
from greenroom.archives.summary import rehearsal_lines, standing_lines, summary_lines
from greenroom.archives.tasks import Said
from greenroom.backgrounds import check_background
from greenroom.cli.downloads import fetch_weights
from greenroom.cli.process_end import STATUS_FAILED
from greenroom.cli.progress import progress_bar
from greenroom.cli.standard_streams import say
from greenroom.errors import SinkError
from greenroom.segmenters import check_model
from greenroom.segmenters.best import best_notice, with_best_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from greenroom.archives.batch import Outcome
    from greenroom.archives.inputs import Recording
    from greenroom.archives.jobs import Crew
    from greenroom.archives.report import SheetRow
    from greenroom.archives.tasks import News
    from greenroom.settings import Settings
    from greenroom.settings.choices import Device

__all__ = ["batch"]

_VERSION: Final = str(greenroom.__version__)


def batch(  # noqa: PLR0913 - one for each flag
    inputs: Sequence[str] | None,
    out_dir: str,
    jobs: int | None,
    state_dir: Path | None,
    settings: Settings,
    *,
    ray: str | None,
    worker_cpus: int,
    segment_seconds: float | None,
    dry_run: bool,
    fail_fast: bool,
    redo: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Convert an archive; the exit status says whether every file is done.

    Raises
    ------
    GreenroomError
        If an argument cannot be used, or the work cannot go on.
    """
    if notice := best_notice(settings):
        say(notice)
    folder = OutputFolder(out_dir, state_dir)
    found = recordings(inputs or [], folder.name, settings)
    workers = _Workers(jobs, ray, worker_cpus, settings.device)
    if dry_run:
        with workers.reached():
            _rehearse(found, folder, settings, workers, redo=redo, as_json=as_json)
        return
    with ExitStack() as opened:
        opened.enter_context(workers.reached())
        opened.enter_context(folder)
        quality = None if report is None else QualityFiles(folder.state)
        job = opened.enter_context(
            Batch(found, folder, _VERSION, redo=redo, segment_s=segment_seconds, quality=quality)
        )
        for line in standing_lines(job.standing):
            say(line)
        if job.standing.to_do:
            _check(found, settings, folder.scratch)
        # Segments give one file work for several.
        most = job.standing.to_do if segment_seconds is None else None
        with (
            workers.crew(found, folder.scratch, most, folder.leave_mark) as crew,
            _Reporting(job, as_json=as_json) as tell,
        ):
            outcome = job.run(crew, tell, fail_fast=fail_fast)
        if report is not None and quality is not None:
            _write_report(report, quality.rows(job.manifest, job.run_number))
        _tell_end(outcome, job, as_json=as_json)
    if not outcome.is_good:
        raise typer.Exit(STATUS_FAILED)


@dataclass(frozen=True, slots=True)
class _Workers:
    """Which workers there are: processes of this machine, or of a cluster.

    Attributes
    ----------
    jobs : int or None
        Most at a time.
    ray : str or None
        Address of a cluster.
    processors : int
        What each takes there.
    device : Device
        Where models run.
    """

    jobs: int | None
    ray: str | None
    processors: int
    device: Device

    @contextmanager
    def reached(self) -> Iterator[None]:
        """Be connected to the cluster within the block, if there is one."""
        with nullcontext() if self.ray is None else cluster_connection(self.ray):
            yield

    @contextmanager
    def crew(
        self,
        found: Sequence[Recording],
        scratch: Path,
        most: int | None,
        leave_mark: Callable[[], tuple[str, bytes]] = lambda: ("", b""),
    ) -> Iterator[Crew]:
        """Have the workers within the block, not more than a number of them."""
        if self.ray is None:
            count = self.jobs or default_jobs()
            count = count if most is None else max(1, min(count, most))
            with closing(ProcessCrew(count, str(scratch))) as crew:
                yield crew
            return
        told = job_of(found, _VERSION, leave_mark())
        limits = [one for one in (self.jobs, most) if one is not None]
        limit = max(1, min(limits)) if limits else None
        with ray_crew(told, self.device, processors=self.processors, most=limit) as far:
            yield far


def _rehearse(
    found: Sequence[Recording],
    folder: OutputFolder,
    settings: Settings,
    workers: _Workers,
    *,
    redo: bool,
    as_json: bool,
) -> None:
    """Print what would be done."""
    with tempfile.TemporaryDirectory(prefix="greenroom-") as scratch:
        _check(found, settings, Path(scratch))
        with workers.crew(found, Path(scratch), len(found)) as crew:
            result = rehearse(found, folder, crew, _VERSION, redo=redo)
            count = max(1, min(crew.size, len(found)))
    for message in result.failures:
        say(f"failed: {message}")
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    for line in rehearsal_lines(result, count):
        typer.echo(line)


def _check(found: Sequence[Recording], settings: Settings, folder: Path) -> None:
    """Check what all files need, before work is begun; a list's own settings concern one file."""
    distinct = list({id(one.settings): one.settings for one in found}.values())
    for one in distinct:
        if one == with_best_model(settings):
            check_model(one)
            check_background(with_local_files(one, folder, {}))
        fetch_weights(one)


def _write_report(folder: Path, rows: Iterator[SheetRow]) -> None:
    try:
        say(f"report: {write_sheet(folder, rows)}")
    except OSError as error:
        message = f"report '{folder}' cannot be written: {(error.strerror or str(error)).lower()}."
        raise SinkError(message, folder) from error


def _tell_end(outcome: Outcome, job: Batch, *, as_json: bool) -> None:
    if outcome.stopped:
        say(f"stopped: {outcome.stopped}. The same command goes on from here.")
    if as_json:
        typer.echo(json.dumps({"batch": asdict(outcome)}))
        return
    for line in summary_lines(outcome, job.manifest, job.run_number):
        typer.echo(line)


class _Reporting:
    """Tells the user what happens, as a context.

    Parameters
    ----------
    job : Batch
    as_json : bool
        Whether files that end are printed.

    State: the progress bar, while it is open.
    """

    def __init__(self, job: Batch, *, as_json: bool) -> None:
        self._job = job
        self._as_json = as_json
        self._total = job.size_to_do
        self._opened = ExitStack()
        self._show: Callable[[int, int | None], None] | None = None

    def __enter__(self) -> Self:
        self._show = self._opened.enter_context(progress_bar("batch", counts_bytes=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def __call__(self, news: News | FileEnd) -> None:
        """Tell one thing."""
        if isinstance(news, Said):
            say(f"{logging.getLevelName(news.level).lower()}: {news.message}")
        elif isinstance(news, FileEnd):
            self._end(news)
        if self._show is not None:
            self._show(self._job.size_done, self._total)

    def _end(self, end: FileEnd) -> None:
        if end.error:
            say(f"failed: {end.error}")
        if self._as_json:
            typer.echo(json.dumps(end.to_dict()))
