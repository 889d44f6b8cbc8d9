"""What the tests of archives share: inputs without pictures, and workers without processes."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from greenroom.archives.batch import Batch
from greenroom.archives.inputs import recordings
from greenroom.archives.jobs import Crew
from greenroom.archives.manifest import Made
from greenroom.archives.output_folder import OutputFolder
from greenroom.archives.planner import Retries
from greenroom.archives.storage import storage_of
from greenroom.archives.tasks import Failed, Fault, Finished, fault_of
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greenroom.archives.batch import FileEnd, Outcome
    from greenroom.archives.tasks import News, Task

    Go = Callable[..., "Ran"]

VERSION = "1.2.3"


class InlineCrew(Crew):
    """Workers that do their tasks when they are asked for news.

    Parameters
    ----------
    work : callable
        Does a task.
    """

    def __init__(self, work: Callable[[Task], News], count: int = 2) -> None:
        self._work = work
        self._count = count
        self._given: deque[Task] = deque()
        self.done: list[Task] = []
        self.is_closed = False

    @property
    def free(self) -> int:
        """See `Crew.free`."""
        return self._count - len(self._given)

    def give(self, task: Task) -> None:
        """See `Crew.give`."""
        self._given.append(task)

    def news(self, timeout_s: float) -> Sequence[News]:
        """See `Crew.news`."""
        del timeout_s
        if not self._given:
            return []
        task = self._given.popleft()
        self.done.append(task)
        return [self._work(task)]

    def close(self) -> None:
        """See `Crew.close`."""
        self._given.clear()
        self.is_closed = True


def copy(task: Task) -> News:
    """Do a task by copying the input, through storages as a worker would."""
    storage = storage_of(task.input)
    entry = storage.entry(task.input)
    if entry is None:
        return Failed(task.unit, Fault.FILE, f"input '{task.input}' cannot be read: no such file.")
    try:
        content = storage.read(task.input)
        made = Path(tempfile.mkdtemp()) / "made"
        made.write_bytes(b"converted " + content)
        end = storage_of(task.target).deliver(made, task.target, lambda _: None)
        made.parent.rmdir()
    except OSError as error:
        return Failed(task.unit, fault_of(error), str(error))
    return Finished(task.unit, Made(end.name, end.fingerprint, 5, 0, 0.1), entry, {"frames": 5})


class Ran:
    """A run of a batch, and what it told."""

    def __init__(self, outcome: Outcome, told: list[News | FileEnd], crew: InlineCrew) -> None:
        self.outcome = outcome
        self.told = told
        self.names = [PurePosixPath(task.input).name for task in crew.done]


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """Return a folder with three inputs, of different sizes."""
    folder = tmp_path / "talks"
    folder.mkdir()
    for number, name in enumerate(("one", "two", "three")):
        (folder / f"{name}.mp4").write_bytes(name.encode() * (number + 1))
    return folder


@pytest.fixture
def go(tmp_path: Path) -> Go:
    """Return a function that runs a batch on ``talks`` to ``done``, and returns how it ended."""

    def run(
        work: Callable[[Task], News] = copy,
        *,
        inputs: Sequence[str] | None = None,
        out: str = "",
        settings: Settings | None = None,
        redo: bool = False,
        fail_fast: bool = False,
        clock: Callable[[], float] | None = None,
        segment_s: float | None = None,
        retries: Retries | None = None,
    ) -> Ran:
        folder = OutputFolder(out or str(tmp_path / "done"), tmp_path / "state" if out else None)
        found = recordings(inputs or [str(tmp_path / "talks")], folder.name, settings or Settings())
        crew, told = InlineCrew(work), list["News | FileEnd"]()
        with (
            folder,
            Batch(
                found,
                folder,
                VERSION,
                redo=redo,
                retries=retries or Retries(first_s=0.0),
                clock=clock or time.monotonic,
                segment_s=segment_s,
            ) as batch,
        ):
            outcome = batch.run(crew, told.append, fail_fast=fail_fast)
        return Ran(outcome, told, crew)

    return run
