"""A rehearsal: what a batch would do, and how long it would take, from a measured sample."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from greenroom.archives.batch import task_of
from greenroom.archives.manifest import Manifest
from greenroom.archives.planner import Kind, Unit
from greenroom.archives.resumption import Standing, take_up
from greenroom.archives.setting_files import SettingsKeys
from greenroom.archives.tasks import Failed, Finished, Lost, Progress, Said
from greenroom.media.image_files import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.archives.inputs import Recording
    from greenroom.archives.jobs import Crew
    from greenroom.archives.manifest import FileRow
    from greenroom.archives.output_folder import OutputFolder
    from greenroom.archives.tasks import Task

__all__ = ["Rehearsal", "rehearse"]

# Frames of each file of the sample: enough for the model's cadence and the encoder's look-ahead.
_SAMPLE_FRAMES: Final = 100
# Files of the sample, of each kind, as parts of all sorted by size.
_PLACES: Final = (1 / 6, 1 / 2, 5 / 6)
_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a batch would do.

    Attributes
    ----------
    standing : Standing
        What of earlier runs stands.
    size : int
        What there is to do, in bytes of the inputs.
    measured : int
        Files of the sample.
    seconds : float or None
        How long the work would take, with all workers; None if nothing could be measured.
    failures : tuple of str
        Messages about files of the sample that failed.
    """

    standing: Standing
    size: int
    measured: int
    seconds: float | None
    failures: tuple[str, ...]


def rehearse(
    found: Sequence[Recording],
    folder: OutputFolder,
    crew: Crew,
    version: str,
    *,
    redo: bool,
) -> Rehearsal:
    """Find out what a batch would do; nothing is written, and the folder need not be there.

    Parameters
    ----------
    found : sequence of Recording
    folder : OutputFolder
        Not open.
    crew : Crew
        The workers of the batch.
    version : str
        That of greenroom.
    redo : bool
        See `take_up`.

    Raises
    ------
    SettingsError, SinkError
        As the batch would.
    """
    with tempfile.TemporaryDirectory(prefix="greenroom-") as temporary:
        manifest = Manifest.copy(folder.state, Path(temporary), version)
        try:
            run, keys = manifest.begin_run(), SettingsKeys()
            standing = take_up(manifest, run, found, keys, folder, redo=redo, version=version)
            rows = [
                manifest.file(units[0].file) for units in manifest.pending(run, split=False)
            ]  # the largest first
        finally:
            manifest.close()
    settings = {keys.key(one.settings).digest: one.settings for one in found}
    is_picture = [PurePosixPath(row.input).suffix.lower() in PICTURE_SUFFIXES for row in rows]
    kinds = [
        [row for row, picture in zip(rows, is_picture, strict=True) if picture is kind]
        for kind in (False, True)
    ]
    samples = {row.number: row for kind in kinds for row in _sample(kind)}
    tasks = [
        task_of(row, Unit(row.number, Kind.WHOLE), folder, settings[row.settings], _SAMPLE_FRAMES)
        for row in samples.values()
    ]
    answers = _answers(tasks, crew)
    rates = {
        one.unit.file: _seconds(one) / max(1, samples[one.unit.file].size)
        for one in answers
        if isinstance(one, Finished)
    }
    parts = [_extrapolated(kind, rates) for kind in kinds if kind]
    known = [part for part in parts if part is not None]
    workers = max(1, min(crew.size, len(rows)))
    return Rehearsal(
        standing,
        sum(row.size for row in rows),
        len(rates),
        sum(known) / workers if parts and len(known) == len(parts) else None,
        tuple(one.message for one in answers if not isinstance(one, Finished)),
    )


def _sample(rows: Sequence[FileRow]) -> list[FileRow]:
    return [rows[int(place * len(rows))] for place in _PLACES] if rows else []


def _answers(tasks: Sequence[Task], crew: Crew) -> list[Finished | Failed | Lost]:
    """Have a crew do tasks once each."""
    waiting, answers = list(tasks), list[Finished | Failed | Lost]()
    while len(answers) < len(tasks):
        while waiting and crew.free:
            crew.give(waiting.pop())
        answers += [one for one in crew.news(_LOOK_S) if not isinstance(one, (Progress, Said))]
    return answers


def _seconds(sample: Finished) -> float:
    """Return how long the whole file would take: its start, and so much for each frame."""
    frames = int(sample.summary["frames"])
    first_s = float(sample.summary["first_frame_s"])
    each_s = (float(sample.summary["seconds"]) - first_s) / max(1, frames - 1)
    return first_s + each_s * max(0, (sample.expected or frames) - 1)


def _extrapolated(rows: Sequence[FileRow], rates: dict[int, float]) -> float | None:
    """Return how long files of one kind take one after the other, from seconds a byte of some."""
    measured = [row for row in rows if row.number in rates]
    if not measured:
        return None
    seconds = sum(rates[row.number] * row.size for row in measured)
    return seconds * sum(row.size for row in rows) / max(1, sum(row.size for row in measured))
