"""Progress bars on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, ProgressColumn

__all__ = ["download_bar", "progress_bar"]


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """Show frames, rate and time left on standard error; None if it is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import MofNCompleteColumn, TextColumn

    with _progress(MofNCompleteColumn(), TextColumn("{task.fields[rate]}")) as progress:
        task = progress.add_task(label, total=None, rate="")

        def show(done: int, expected: int | None) -> None:
            speed = progress.tasks[task].speed
            progress.update(
                task,
                completed=done,
                total=None if expected is None else max(expected, done),
                rate=f"{speed:.0f} frames/s" if speed else "",
            )

        yield show


@contextmanager
def download_bar(label: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """Show bytes, speed and time left on standard error; None if it is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import DownloadColumn, TransferSpeedColumn

    with _progress(DownloadColumn(), TransferSpeedColumn()) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, expected: progress.update(task, completed=done, total=expected)


def _progress(*columns: ProgressColumn) -> Progress:
    from rich.console import Console  # noqa: PLC0415 - as late as rich.progress
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
