"""A worker on a machine of a cluster: an actor of Ray's that keeps warm engines."""

from __future__ import annotations

import logging
import os
import queue
import secrets
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, Final

import greenroom
from greenroom.archives.jobs import Forwarding, processors_of
from greenroom.archives.storage import storage_of
from greenroom.archives.tasks import Progress, Said
from greenroom.archives.work import Workbench
from greenroom.cluster.ray_environment import require_token
from greenroom.errors import GreenroomError, SinkError
from greenroom.media.file_locks import lock_file

if TYPE_CHECKING:
    from typing import IO

    from greenroom.archives.cluster.job import Job, Place
    from greenroom.archives.tasks import Failed, Finished, Task

__all__ = ["Worker", "other_version"]

_PROGRESS_S: Final = 0.5


def other_version(machine: str, theirs: str, ours: str) -> str:
    """Return why a machine with another version is refused."""
    return (
        f"machine '{machine}' has greenroom {theirs}, and here it is {ours}. Install the same "
        f"version on all machines."
    )


class Worker:
    """Does units of one run.

    Ray calls `begin` and `perform` on as many threads as there are units at a time, and the
    others on one more. What it is given and returns is small: frames never leave it.

    Parameters
    ----------
    job : Job
    place : Place

    Notes
    -----
    State: an engine for each unit at a time; news that nobody has asked for yet.
    """

    def __init__(self, job: Job, place: Place) -> None:
        self._job = job
        self._place = place
        self._scratch: Path | None = None
        self._lock: IO[bytes] | None = None
        self._benches: list[Workbench] = []
        self._free: queue.SimpleQueue[Workbench] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[Progress | Said] = queue.SimpleQueue()
        self._at: dict[int, Task] = {}  # by the thread that is at it
        self._forwarding = Forwarding(self._say)

    def begin(self) -> str:
        """Make it ready; return why that is not possible, or an empty text."""
        self._take_processors()
        try:
            require_token()
            return self._other_version() or self._other_storage() or self._make_ready()
        except (GreenroomError, OSError) as error:
            self.end()
            return f"machine '{self._place.machine}': {error}"

    def perform(self, task: Task) -> tuple[Finished | Failed, list[Progress | Said]]:
        """Do a unit; return how it ended, and the news up to then."""
        self._take_processors()
        bench = self._free.get()
        told_s = 0.0

        def tell(done: int, expected: int | None) -> None:
            nonlocal told_s
            if time.monotonic() - told_s >= _PROGRESS_S:
                told_s = time.monotonic()
                self._news.put(Progress(task.unit, done, expected))

        self._at[threading.get_ident()] = task
        try:
            return bench.perform(task, tell), self.news()
        finally:
            del self._at[threading.get_ident()]
            self._free.put(bench)

    def news(self) -> list[Progress | Said]:
        """Return what there is to tell since it was last asked."""
        found: list[Progress | Said] = []
        with suppress(queue.Empty):
            while True:
                found.append(self._news.get_nowait())
        return found

    def end(self) -> None:
        """Remove the files of whatever it is at; then Ray ends the process."""
        logging.getLogger("greenroom").removeHandler(self._forwarding)
        for bench in self._benches:
            bench.remove_files()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch.with_suffix(".lock").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    def _take_processors(self) -> None:
        """Have this thread, and those that it starts, run on the worker's share of processors.

        Only where all processors are Ray's: others may be of other containers.
        """
        share = self._place.share
        is_whole = hasattr(os, "sched_getaffinity") and not share.cards and share.workers > 1
        if is_whole and len(os.sched_getaffinity(os.getpid())) == self._place.total:
            processors = processors_of(self._place.number, self._place.total // share.processors)
            os.sched_setaffinity(0, processors)

    def _other_version(self) -> str:
        ours = str(greenroom.__version__)
        if ours == self._job.version:
            return ""
        return other_version(self._place.machine, ours, self._job.version)

    def _other_storage(self) -> str:
        """Tell what of the files it does not see as the driver does."""
        machine = self._place.machine
        inputs = self._job.inputs
        # One will do: others may have been moved since the run began.
        if inputs and not any(storage_of(one.name).entry(one.name) == one for one in inputs):
            return (
                f"machine '{machine}' does not see the input '{inputs[0].name}' as it was here. "
                f"All machines need the inputs at the same paths or addresses."
            )
        mark = self._job.mark
        if not mark:
            return ""
        storage = storage_of(mark)
        try:
            is_seen = storage.read(mark) == self._job.content
            if is_seen:
                own = f"{mark}-{secrets.token_hex(4)}"
                storage.write_new(own, b"")
                storage.remove(own)
        except FileNotFoundError:
            is_seen = False
        if is_seen:
            return ""
        return (
            f"machine '{machine}' does not see the output folder: there is no '{mark}'. All "
            f"machines need it at the same path or address."
        )

    def _make_ready(self) -> str:
        logging.getLogger("greenroom").addHandler(self._forwarding)
        self._scratch, self._lock = _own_folder()
        for _ in range(self._place.share.units):
            bench = Workbench(str(self._scratch))
            self._benches.append(bench)
            bench.warm_up(self._job.settings)
            self._free.put(bench)
        return ""

    def _say(self, level: int, text: str) -> None:
        """Tell a message of the unit that this thread, or all of them, are at; Ray logs others."""
        at = dict(self._at)
        task = at.get(threading.get_ident())
        if task is None and len(at) == 1:
            (task,) = at.values()
        if task is not None:
            self._news.put(Said(task.unit, level, text))


def _own_folder() -> tuple[Path, IO[bytes]]:
    """Make a folder for this process alone; remove those of processes that were killed.

    A lock on the file beside it, which is open until the end, says that its process is there.
    """
    owner = os.getuid() if hasattr(os, "getuid") else None
    base = Path(tempfile.gettempdir(), f"greenroom-workers-{owner}")
    base.mkdir(mode=0o700, exist_ok=True)
    status = base.lstat()
    if not S_ISDIR(status.st_mode) or (owner is not None and status.st_uid != owner):
        message = f"folder '{base}' is somebody else's. Remove it."
        raise SinkError(message, base)
    for lock in base.glob("*.lock"):
        with suppress(OSError), lock.open("ab") as file:
            if lock_file(file):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()
    folder = base / secrets.token_hex(8)
    # It is locked before others see it.
    file = folder.with_suffix(".new").open("xb")
    lock_file(file)
    folder.with_suffix(".new").rename(folder.with_suffix(".lock"))
    folder.mkdir(mode=0o700)
    return folder, file
