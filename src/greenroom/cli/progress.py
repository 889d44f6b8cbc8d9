"""Progress bars on a terminal, and nothing elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(
    label: str, *, counts_bytes: bool = False
) -> Iterator[Callable[[int, int | None], None] | None]:
    """Show what is done, its rate and the time left on standard error; None if it is no terminal.

    What is counted are frames, or bytes.
    """
    if not sys.stderr.isatty():
        yield None
        return
    # Only where they are shown: Rich takes a tenth of the start.
    from rich import console, progress  # noqa: PLC0415

    columns: list[progress.ProgressColumn] = (
        [progress.DownloadColumn(), progress.TransferSpeedColumn()]
        if counts_bytes
        else [progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[rate]}")]
    )
    with progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        *columns,
        progress.TimeRemainingColumn(),
        console=console.Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(label, total=None, rate="")

        def show(done: int, expected: int | None) -> None:
            speed = bar.tasks[task].speed
            bar.update(
                task,
                completed=done,
                total=None if expected is None else max(expected, done),
                rate=f"{speed:.0f} frames/s" if speed else "",
            )

        yield show
