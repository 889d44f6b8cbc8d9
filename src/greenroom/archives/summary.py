"""Texts about a batch: what there is to do, how it ended, and which files failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.archives.manifest import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.archives.batch import Outcome
    from greenroom.archives.manifest import Manifest
    from greenroom.archives.rehearsal import Rehearsal
    from greenroom.archives.resumption import Standing

__all__ = ["duration", "rehearsal_lines", "size", "standing_lines", "summary_lines"]


def size(count: int) -> str:
    """Return a number of bytes as text.

    >>> size(512), size(3 << 20), size(5 << 40)
    ('512 B', '3.0 MiB', '5.0 TiB')
    """
    if count < 1024:
        return f"{count} B"
    number = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        number /= 1024
        if number < 1024:
            return f"{number:.1f} {unit}"
    return f"{number / 1024:.1f} TiB"


def duration(seconds: float) -> str:
    """Return a time as text.

    >>> duration(8.2), duration(200), duration(12_000), duration(400_000)
    ('8 s', '3 min 20 s', '3 h 20 min', '4 d 15 h')
    """
    whole = round(seconds)
    for big, small, first, second in (
        (86_400, 3600, "d", "h"),
        (3600, 60, "h", "min"),
        (60, 1, "min", "s"),
    ):
        if whole >= big:
            return f"{whole // big} {first} {whole % big // small} {second}"
    return f"{whole} s"


def standing_lines(standing: Standing) -> Iterator[str]:
    """Yield what users should know of the beginning of a run."""
    for count, text in (
        (standing.done, "done by earlier runs, and kept"),
        (standing.other_version, "of these by another version of greenroom"),
        (standing.goes_on, "left by earlier runs"),
        (standing.input_changed, "done again: the input was changed"),
        (standing.settings_changed, "done again with other settings"),
        (standing.output_gone, "done again: the output is gone"),
        (standing.output_foreign, "not done: there is a file of that name (--overwrite)"),
    ):
        if count:
            yield f"{count} {'file' if count == 1 else 'files'} {text}"


def rehearsal_lines(rehearsal: Rehearsal, jobs: int) -> Iterator[str]:
    """Yield what a batch would do."""
    to_do = rehearsal.standing.to_do
    yield f"{to_do} {'file' if to_do == 1 else 'files'} to do, {size(rehearsal.size)}"
    yield from standing_lines(rehearsal.standing)
    workers = f"{jobs} {'worker' if jobs == 1 else 'workers'}"
    if not to_do:
        return
    if rehearsal.seconds is None:
        yield "how long it takes could not be measured: files of the sample failed"
    else:
        yield (
            f"about {duration(rehearsal.seconds)} with {workers}, "
            f"measured on {rehearsal.measured} of them"
        )


def summary_lines(outcome: Outcome, manifest: Manifest, run: int) -> Iterator[str]:
    """Yield the table of how a run ended, and the files that failed."""
    frames, covered, in_files = manifest.frames(run)
    rows = [
        ("done", str(outcome.done)),
        ("done before", str(outcome.done_before)),
        ("failed", str(outcome.failed)),
        ("not done", str(outcome.left)),
        ("frames", str(frames)),
        ("time", duration(outcome.seconds)),
    ]
    if covered:
        rows.insert(5, ("frames with the background alone", f"{covered} in {in_files} files"))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        yield f"{name:<{width}}  {value}"
    for row in manifest.rows(run, State.FAILED):
        attempts = "1 attempt" if row.attempts == 1 else f"{row.attempts} attempts"
        yield f"failed: {row.output} ({attempts if row.attempts else 'not tried'}): {row.error}"
