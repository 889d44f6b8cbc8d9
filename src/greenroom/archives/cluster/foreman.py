"""The workers on the machines of a cluster: started, given units, watched, replaced.

::

    machine ──▶ its version ──▶ workers, as many as it has shares ──▶ units, one after the other
       │             │                 │
       └─ lost       └─ refused        └─ lost: its units are attempts, another worker is started

Everything happens on one thread, which no storage or manifest holds up: steps come to it from the
driver and from Ray, and once a second it looks around.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from greenroom.archives.cluster.job import Place, everywhere, share_of
from greenroom.archives.cluster.worker import Worker, other_version
from greenroom.archives.jobs import SILENCE_S, longest_silence_s
from greenroom.archives.tasks import Failed, Finished, Lost, Progress, Said
from greenroom.errors import ProcessingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from greenroom.archives.cluster.job import Job, Share
    from greenroom.archives.planner import Unit
    from greenroom.archives.tasks import News, Task
    from greenroom.settings.choices import Device

__all__ = ["Foreman", "is_of_machine"]

logger = logging.getLogger(__name__)

_LOOK_S: Final = 1.0
# Time without any worker until it is said, and until the run ends: a cluster may start machines.
_SAY_S: Final = 30.0
_START_S: Final = 600.0
# Workers of a machine that end before they are ready, one after the other.
_MOST_FALSE_STARTS: Final = 3
# Time for all machines to say their version, before a limited number of workers is divided.
_ANSWER_S: Final = 10.0
_END_S: Final = 3.0
# What Ray says of an actor that was lost with its node; the error has no other sign of it.
_NODE_DIED: Final = "its node has died"
_WORK, _ASK = "work", "ask"


@dataclass(eq=False)
class _Worker:
    """An actor, and the tasks that it is at, with the time when each was last heard of."""

    place: Place
    actor: Any
    is_ready: bool = False
    is_asked: bool = False
    at: dict[Unit, tuple[Task, float]] = field(default_factory=dict)
    last_file: int = -1


@dataclass(eq=False)
class _Machine:
    """A machine of the cluster; ``refused`` says why it is not used."""

    node: str
    address: str
    share: Share
    processors: int
    is_known: bool = False
    refused: str = ""
    false_starts: int = 0
    workers: list[_Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.share.workers:
            self.refused = f"machine '{self.address}' has not what a worker takes"


class Foreman:
    """Has tasks done in the cluster that this process is connected to.

    Parameters
    ----------
    job : Job
    device : Device
        Where models run.
    processors : int
        What a worker takes of a machine without GPUs.
    most : int, optional
        Most workers.
    tell : callable
        Called on another thread with the news, and with an error that ends the run.
    silence_s : float
        How long a worker may be silent before it is replaced, in seconds.

    Notes
    -----
    State: machines, their workers, and tasks that wait for one.
    """

    def __init__(
        self,
        job: Job,
        device: Device,
        processors: int,
        tell: Callable[[News | ProcessingError], None],
        *,
        most: int | None = None,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._job = job
        self._device = device
        self._processors = processors
        self._tell = tell
        self._most = most
        self._silence_s = silence_s
        self._steps: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._machines: dict[str, _Machine] = {}
        self._waiting: deque[Task] = deque()
        self._numbers = itertools.count(1)
        self._ready_s = time.monotonic()
        self._has_said = False
        self._is_ended = False
        self.units = 0
        """Units that all workers, those that start included, do at a time; for any thread."""
        self._began_s = self._looked_s = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="foreman", daemon=True)
        self._thread.start()

    @property
    def silent_s(self) -> float:
        """How long Ray has not said which machines there are, in seconds; for any thread."""
        return time.monotonic() - self._looked_s

    def give(self, task: Task) -> None:
        """Have a task done; for any thread."""
        self._steps.put(partial(self._take, everywhere(task)))

    def close(self) -> None:
        """End all workers; for any thread."""
        self._steps.put(self._end)
        self._thread.join(_END_S * 3)

    def _run(self) -> None:
        look_s = time.monotonic()
        try:
            while not self._is_ended:
                now_s = time.monotonic()
                if now_s >= look_s:
                    self._look()
                    self._looked_s = time.monotonic()
                    look_s = self._looked_s + _LOOK_S
                try:
                    step = self._steps.get(timeout=max(0.0, look_s - time.monotonic()))
                except queue.Empty:
                    continue
                step()
        except ProcessingError as error:
            self._tell(error)
        except Exception as error:  # the driver waits for news
            logger.debug("the cluster fails", exc_info=True)
            self._tell(ProcessingError(f"Ray does not do what it is asked: {error}"))

    def _when(self, answer: Any, then: Callable[[Future[Any]], None]) -> None:
        """Do a step when an answer of Ray's is there."""
        answer.future().add_done_callback(lambda done: self._steps.put(partial(then, done)))

    def _look(self) -> None:
        """See which machines there are, and how the workers are doing."""
        self._survey()
        self._fill()
        self._dispatch()
        for worker in list(self._workers()):
            self._watch(worker)
        self._check_start()

    def _workers(self) -> Iterator[_Worker]:
        return (worker for machine in self._machines.values() for worker in machine.workers)

    def _survey(self) -> None:
        alive = {one["NodeID"]: one for one in ray.nodes() if one["Alive"]}
        for node in set(self._machines) - set(alive):
            machine = self._machines.pop(node)
            for worker in list(machine.workers):
                self._lose(machine, worker, "the machine does not answer", with_machine=True)
        for node in sorted(set(alive) - set(self._machines)):
            resources = alive[node]["Resources"]
            machine = _Machine(
                node,
                str(alive[node]["NodeManagerAddress"]),
                share_of(resources, self._device, self._processors),
                int(resources.get("CPU", 0)),
            )
            self._machines[node] = machine
            if not machine.refused:
                asked = ray.remote(importlib.metadata.version).options(
                    name="version of greenroom",
                    num_cpus=0,
                    scheduling_strategy=self._on(machine),
                )
                self._when(asked.remote("greenroom"), partial(self._hear_version, machine))

    def _hear_version(self, machine: _Machine, answer: Future[Any]) -> None:
        error = answer.exception()
        if isinstance(error, importlib.metadata.PackageNotFoundError):
            version = "not installed"
        elif error is not None:  # the machine is lost, or Ray has not started a process in time
            logger.debug("machine '%s' does not say its version: %s", machine.address, error)
            self._machines.pop(machine.node, None)  # it is asked again if it is there
            return
        else:
            version = str(answer.result())
        if version != self._job.version:
            self._refuse(machine, other_version(machine.address, version, self._job.version))
        machine.is_known = True
        self._fill()

    @staticmethod
    def _on(machine: _Machine) -> NodeAffinitySchedulingStrategy:
        return NodeAffinitySchedulingStrategy(machine.node, soft=False)

    def _refuse(self, machine: _Machine, reason: str) -> None:
        """Have no workers on a machine."""
        logger.warning("%s It is not used.", reason)
        machine.refused = reason
        for worker in list(machine.workers):
            self._lose(machine, worker, "it is not used any more", with_machine=True)

    def _fill(self) -> None:
        """Start the workers that are missing, on all machines in turn."""
        machines = [one for one in self._machines.values() if one.is_known and not one.refused]
        unknown = len(machines) < sum(not one.refused for one in self._machines.values())
        if self._most is not None and unknown and time.monotonic() - self._began_s < _ANSWER_S:
            return  # the first that answers would get all workers
        count = sum(len(machine.workers) for machine in machines)
        for step in range(max((machine.share.workers for machine in machines), default=0)):
            for machine in machines:
                is_due = len(machine.workers) <= step < machine.share.workers
                if is_due and (self._most is None or count < self._most):
                    count += 1
                    self._start(machine)
        self.units = sum(worker.place.share.units for worker in self._workers())

    def _start(self, machine: _Machine) -> None:
        taken = {worker.place.number for worker in machine.workers}
        number = next(one for one in itertools.count() if one not in taken)
        place = Place(machine.address, number, machine.share, machine.processors)
        actor = (
            ray.remote(concurrency_groups={_WORK: machine.share.units, _ASK: 1})(Worker)
            .options(
                name=f"worker {next(self._numbers)} on {machine.address}",
                num_cpus=machine.share.processors,
                num_gpus=machine.share.cards,
                max_restarts=0,
                max_task_retries=0,
                scheduling_strategy=self._on(machine),
            )
            .remote(self._job, place)
        )
        worker = _Worker(place, actor)
        machine.workers.append(worker)
        begun = actor.begin.options(concurrency_group=_WORK, name="get ready").remote()
        self._when(begun, partial(self._hear_start, machine, worker))

    def _hear_start(self, machine: _Machine, worker: _Worker, answer: Future[Any]) -> None:
        if worker not in machine.workers:
            return
        error = answer.exception()
        if error is not None:
            machine.false_starts += 1
            self._lose(machine, worker, "")
            if machine.false_starts >= _MOST_FALSE_STARTS and machine.node in self._machines:
                last = str(error).strip().splitlines()[-1].strip()
                self._refuse(machine, f"machine '{machine.address}': workers do not start: {last}.")
            return
        if answer.result():
            self._refuse(machine, str(answer.result()))
            return
        machine.false_starts = 0
        worker.is_ready = True
        self._dispatch()

    def _take(self, task: Task) -> None:
        self._waiting.append(task)
        self._dispatch()

    def _dispatch(self) -> None:
        """Give waiting tasks to workers that can do more; those of the last file first.

        A worker keeps a copy of an input that came from an address for its next segment.
        """
        while self._waiting:
            free = [
                worker
                for worker in self._workers()
                if worker.is_ready and len(worker.at) < worker.place.share.units
            ]
            if not free:
                return
            worker = min(free, key=lambda one: len(one.at))
            task = next(
                (one for one in self._waiting if one.unit.file == worker.last_file),
                self._waiting[0],
            )
            self._waiting.remove(task)
            worker.at[task.unit] = task, time.monotonic()
            worker.last_file = task.unit.file
            part = f" {task.unit.part}" if task.segment else ""
            done = worker.actor.perform.options(
                concurrency_group=_WORK, name=f"{task.unit.kind}{part} of {task.shown}"
            ).remote(task)
            self._when(done, partial(self._hear_end, worker, task))

    def _hear_end(self, worker: _Worker, task: Task, answer: Future[Any]) -> None:
        if task.unit not in worker.at:  # it was given up before
            return
        error = answer.exception()
        if error is not None:
            logger.debug("'%s' is lost", task.shown, exc_info=error)
            machine, with_machine = self._machine_of(worker), is_of_machine(error)
            self._lose(machine, worker, _reason(error), with_machine=with_machine)
            return
        ended, news = answer.result()
        assert isinstance(ended, (Finished, Failed))
        for one in news:
            self._tell(one)
        del worker.at[task.unit]
        self._tell(ended)
        self._dispatch()

    def _machine_of(self, worker: _Worker) -> _Machine:
        return next(one for one in self._machines.values() if worker in one.workers)

    def _lose(
        self, machine: _Machine, worker: _Worker, reason: str, *, with_machine: bool = False
    ) -> None:
        """Give up a worker; its units failed, for which its machine may be the reason."""
        machine.workers.remove(worker)
        self.units -= worker.place.share.units
        ray.kill(worker.actor)
        for task, _ in worker.at.values():
            message = f"'{task.shown}': its worker on '{machine.address}' was lost: {reason}."
            self._tell(Lost(task.unit, message, with_machine))
        worker.at.clear()

    def _watch(self, worker: _Worker) -> None:
        """Ask a worker for news, and give it up if it is silent for too long."""
        if not worker.at:
            return
        if not worker.is_asked:
            worker.is_asked = True
            news = worker.actor.news.options(concurrency_group=_ASK, name="news").remote()
            self._when(news, partial(self._hear_news, worker))
        for task, heard_s in list(worker.at.values()):
            silent_s = time.monotonic() - heard_s
            if silent_s > longest_silence_s(task, self._silence_s):
                self._lose(self._machine_of(worker), worker, f"it was silent for {silent_s:.0f} s")
                return

    def _hear_news(self, worker: _Worker, answer: Future[Any]) -> None:
        worker.is_asked = False
        if answer.exception() is not None:  # so does what it is at
            return
        for one in answer.result():
            assert isinstance(one, (Progress, Said))
            if one.unit in worker.at:
                worker.at[one.unit] = worker.at[one.unit][0], time.monotonic()
                self._tell(one)

    def _check_start(self) -> None:
        """End the run if no machine can be used, or none of the workers starts.

        Raises
        ------
        ProcessingError
        """
        now_s = time.monotonic()
        if any(worker.is_ready for worker in self._workers()):
            self._ready_s, self._has_said = now_s, False
            return
        machines = list(self._machines.values())
        if machines and all(machine.refused for machine in machines):
            reasons = " ".join(sorted(machine.refused for machine in machines))
            message = f"no machine of the cluster can be used. {reasons}"
            raise ProcessingError(message)
        total = int(sum(machine.processors for machine in machines))
        told = f"{len(machines)} machines with {total} processors, which others may have taken"
        if now_s - self._ready_s > _START_S:
            message = f"no worker has started in the cluster for {_START_S / 60:.0f} min: {told}."
            raise ProcessingError(message)
        if now_s - self._ready_s > _SAY_S and not self._has_said:
            self._has_said = True
            logger.warning("no worker has started in the cluster yet: %s", told)

    def _end(self) -> None:
        """End all workers, which leaves none of their files if they are asked in time."""
        self._is_ended = True
        workers = list(self._workers())
        ends = [
            one.actor.end.options(concurrency_group=_ASK, name="end").remote() for one in workers
        ]
        if ends:
            ray.wait(ends, num_returns=len(ends), timeout=_END_S)
        for worker in workers:
            ray.kill(worker.actor)


def is_of_machine(error: BaseException) -> bool:
    """Whether a worker was lost with its machine.

    Of a process that ended, its machine tells Ray at once. Where nobody tells, the worker is
    unavailable, and some time later its node has died.
    """
    return isinstance(error, ActorUnavailableError) or _NODE_DIED in str(error)


def _reason(error: BaseException) -> str:
    """Return Ray's reason for a loss in one line."""
    if not isinstance(error, RayError):
        return f"{type(error).__name__}: {error}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found = next((line for line in lines if "because" in line or "reason" in line.lower()), "")
    return (found or type(error).__name__).rstrip(".")[:200]
