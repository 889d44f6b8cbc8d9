"""Workers: processes of this machine that each keep a warm engine."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from greenroom.archives.tasks import Lost, Progress, Said
from greenroom.archives.work import Workbench
from greenroom.errors import ProcessingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from greenroom.archives.tasks import News, Task

__all__ = [
    "SILENCE_S",
    "WORKER_BYTES",
    "Crew",
    "Forwarding",
    "ProcessCrew",
    "default_jobs",
    "longest_silence_s",
    "processors_of",
]

logger = logging.getLogger(__name__)

# Not fork: it would copy locks that other threads hold.
_SPAWN: Final = multiprocessing.get_context("spawn")
SILENCE_S: Final = 600.0
"""A worker that makes no frame and copies no byte for this long hangs; see `longest_silence_s`."""
_SLOWEST_BYTES_S: Final = 4 << 20
_PROGRESS_S: Final = 0.5
_END_S: Final = 5.0
# Workers that end before they have begun; then there is something wrong that concerns them all.
_MOST_FALSE_STARTS: Final = 3
WORKER_BYTES: Final = 768 << 20
"""Memory of a worker at 1080p, with some to spare (docs/performance.md)."""


def default_jobs() -> int:
    """Return how many workers fill this machine: one for each processor, if memory allows."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return _processors()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(_processors(), memory // WORKER_BYTES))


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def longest_silence_s(task: Task, silence_s: float) -> float:
    """Return how long a worker may be silent over a task, in seconds: longer for large files.

    They may be read as a whole to be divided, be joined, or get their index at the beginning.
    """
    return silence_s + task.size / _SLOWEST_BYTES_S


class Crew(ABC):
    """Workers that do one unit each at a time. For one thread."""

    @property
    @abstractmethod
    def free(self) -> int:
        """Number of workers that could be given a task."""

    @property
    def size(self) -> int:
        """Number of units that are done at a time; for when none is given."""
        return self.free

    @abstractmethod
    def give(self, task: Task) -> None:
        """Have a worker that is free do a task."""

    @abstractmethod
    def news(self, timeout_s: float) -> Sequence[News]:
        """Return what workers have said, waiting for a time if there is nothing.

        Raises
        ------
        ProcessingError
            If workers cannot be started.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers at once; units that they are at are left as they are."""


class _Ready(NamedTuple):
    """A worker has begun."""


class ProcessCrew(Crew):
    """Workers that are processes of this machine, started when they are needed.

    Each of several has its share of the processors for itself, so that as many as there are
    processors do not wake each other up: decoder, engine and encoder of a worker then have one
    thread each.

    Parameters
    ----------
    count : int
        Most workers at a time.
    scratch : str
        Folder for files that workers need meanwhile; empty for the system's own.
    silence_s : float
        How long a worker may be silent before it is ended, in seconds; longer for large files.
    clock : callable
        Returns seconds that do not run backwards.

    Notes
    -----
    State: the processes. A worker that ends or hangs costs the unit that it was at one attempt, and
    is replaced.
    """

    def __init__(
        self,
        count: int,
        scratch: str = "",
        *,
        silence_s: float = SILENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._scratch = scratch
        self._silence_s = silence_s
        self._clock = clock
        self._workers: list[_Worker] = []
        self._false_starts = 0

    @property
    def free(self) -> int:
        """See `Crew.free`."""
        return self._count - sum(worker.task is not None for worker in self._workers)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that have begun."""
        return tuple(worker.pid for worker in self._workers if worker.has_begun)

    def give(self, task: Task) -> None:
        """See `Crew.give`."""
        worker = next((one for one in self._workers if one.task is None), None)
        if worker is None:
            taken = {one.number for one in self._workers}
            number = next(number for number in range(self._count) if number not in taken)
            worker = _Worker(number, processors_of(number, self._count), self._scratch)
            self._workers.append(worker)
        worker.give(task, self._clock())

    def news(self, timeout_s: float) -> Sequence[News]:
        """See `Crew.news`."""
        by_pipe = {worker.pipe: worker for worker in self._workers}
        ready = wait(list(by_pipe), timeout_s) if by_pipe else []
        if not by_pipe:
            time.sleep(timeout_s)
        found: list[News] = []
        for pipe in ready:
            found += self._hear(by_pipe[cast("Connection", pipe)])
        for worker in list(self._workers):
            silent_s = self._clock() - worker.heard_s
            if worker.task is not None and silent_s > longest_silence_s(
                worker.task, self._silence_s
            ):
                found += self._lose(worker, f"it was silent for {silent_s:.0f} s")
        return found

    def close(self) -> None:
        """See `Crew.close`."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.join()

    def _hear(self, worker: _Worker) -> list[News]:
        """Return what a worker has said."""
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            return self._lose(worker, "")
        worker.heard_s = self._clock()
        if isinstance(said, _Ready):
            worker.has_begun = True
            self._false_starts = 0
            return []
        if not isinstance(said, (Progress, Said)):
            worker.task = None
        return [said]

    def _lose(self, worker: _Worker, reason: str) -> list[News]:
        """Remove a worker that has ended or hangs."""
        self._workers.remove(worker)
        worker.kill()
        reason = reason or worker.join()
        worker.join()
        if not worker.has_begun:
            self._false_starts += 1
            if self._false_starts >= _MOST_FALSE_STARTS:
                message = f"workers do not start: {reason}."
                raise ProcessingError(message)
        if worker.task is None:
            return []
        task, worker.task = worker.task, None
        return [Lost(task.unit, f"'{task.shown}': its worker was lost: {reason}.")]


def processors_of(number: int, count: int) -> tuple[int, ...]:
    """Return the processors of one of several workers; empty where they are not divided.

    Parameters
    ----------
    number : int
        Of the worker, from 0 on.
    count : int
        Workers of this machine.
    """
    if count == 1 or not hasattr(os, "sched_getaffinity"):
        return ()
    processors = sorted(os.sched_getaffinity(0))
    if count >= len(processors):
        return (processors[number % len(processors)],)
    return tuple(
        processors[len(processors) * number // count : len(processors) * (number + 1) // count]
    )


class _Worker:
    """One process, and what it is at.

    Parameters
    ----------
    number : int
        One that no other worker has.
    processors : tuple of int
        Those that it may use; empty for all.
    scratch : str
    """

    def __init__(self, number: int, processors: tuple[int, ...], scratch: str) -> None:
        self.number = number
        self.task: Task | None = None
        self.heard_s = 0.0
        self.has_begun = False
        self.pipe, theirs = _SPAWN.Pipe()
        self._process: SpawnProcess = _SPAWN.Process(
            target=_run_worker,
            args=(theirs, processors, scratch),
            name=f"greenroom worker {number}",
            daemon=True,
        )
        with _without_ctrl_c():
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def give(self, task: Task, now_s: float) -> None:
        self.task, self.heard_s = task, now_s
        with suppress(OSError):  # it has ended: its pipe says so
            self.pipe.send(task)

    def end(self) -> None:
        """Have the process end: at once if it is at something."""
        if self.task is not None:
            self.kill()
        self.pipe.close()

    def kill(self) -> None:
        self._process.kill()

    def join(self) -> str:
        """Wait for the end of the process; return how it ended."""
        if self._process.exitcode is None:
            self._process.join(_END_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join(_END_S)
        code = self._process.exitcode
        self.pipe.close()
        if code is None or code >= 0:
            return f"its process ended with status {code}"
        names = {-int(one): one.name for one in signal.Signals}
        hint = ", as when memory is short" if code == -9 else ""
        return f"its process was ended by {names.get(code, code)}{hint}"


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Have processes that are started never see Ctrl-C: it is for the process in front."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would end the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_worker(pipe: Connection, processors: tuple[int, ...], scratch: str) -> None:
    """Do tasks until the process in front closes the pipe, or has ended; a main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be blocked
    if processors:
        os.sched_setaffinity(0, processors)
    _Errand(pipe).run(scratch)


class _Errand:
    """The two directions of a worker's pipe.

    State: tasks that have come; a thread that reads them ends with the process.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._told_s = 0.0
        self._task: Task | None = None

    def run(self, scratch: str) -> None:
        log = logging.getLogger("greenroom")
        log.addHandler(Forwarding(self._say))
        log.propagate = False
        with Workbench(scratch) as bench:
            threading.Thread(target=self._receive, args=(bench,), daemon=True).start()
            self._send(_Ready())
            while True:
                self._task = self._tasks.get()
                self._send(bench.perform(self._task, self._tell_progress))

    def _receive(self, bench: Workbench) -> None:
        """Take tasks; when the process in front is gone, so is this one, whatever it is at."""
        with suppress(EOFError, OSError):
            while True:
                self._tasks.put(self._pipe.recv())
        bench.remove_files()
        os._exit(0)

    def _tell_progress(self, done: int, expected: int | None) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= _PROGRESS_S and self._task is not None:
            self._told_s = now_s
            self._send(Progress(self._task.unit, done, expected))

    def _say(self, level: int, text: str) -> None:
        if self._task is not None:
            self._send(Said(self._task.unit, level, text))

    def _send(self, news: News | _Ready) -> None:
        with self._sending, suppress(OSError):  # the process in front has ended: see _receive
            self._pipe.send(news)


class Forwarding(logging.Handler):
    """Passes warnings and errors of the library on.

    Parameters
    ----------
    say : callable
        Called with the level of `logging` and the message.
    """

    def __init__(self, say: Callable[[int, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self._say(record.levelno, record.getMessage())
