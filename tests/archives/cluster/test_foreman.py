"""How workers of a cluster are started, fed, watched and replaced, over a stand-in for Ray."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cluster.conftest import NEEDS_RAY

from greenroom.archives.cluster.crew import ray_crew
from greenroom.archives.cluster.job import Job, Place
from greenroom.archives.planner import Kind, Unit
from greenroom.archives.storage import Entry
from greenroom.archives.tasks import Finished, Lost, Progress, Task
from greenroom.errors import ProcessingError
from greenroom.settings.choices import Device

if find_spec("ray") is not None:
    from greenroom.archives.cluster import foreman

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.archives.jobs import Crew
    from greenroom.archives.tasks import News

pytestmark = NEEDS_RAY

JOB = Job("1.2.3", {}, ())
GIB = float(1 << 30)
WAIT_S = 10.0


class Answer:
    """What Ray returns of a call: its future."""

    def __init__(self) -> None:
        self.made: Future[Any] = Future()

    def future(self) -> Future[Any]:
        """Return the future."""
        return self.made


class Actor:
    """A worker that answers when it is told to."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.said = ""
        self.tasks: dict[Unit, Answer] = {}
        self.heard: list[Progress] = []
        self.is_killed = False

    def __getattr__(self, method: str) -> Any:
        """Return a method as Ray has it."""
        call = SimpleNamespace(remote=lambda *values: self._call(method, *values))
        return SimpleNamespace(options=lambda **_: call)

    def _call(self, method: str, *values: Any) -> Answer:
        answer = Answer()
        if method == "perform":
            self.tasks[values[0].unit] = answer
        elif method == "begin":
            answer.made.set_result(self.said)
        else:
            answer.made.set_result(self.heard if method == "news" else None)
        return answer

    def finish(self, unit: Unit) -> None:
        """Answer that a unit is done."""
        ended = Finished(unit, None, Entry("a", 1, "1"), {})
        self.tasks.pop(unit).made.set_result((ended, []))


def node_id(name: str) -> str:
    """Return what Ray calls a machine."""
    return name.encode().hex().ljust(56, "0")


class Cluster:
    """A cluster in which nothing happens by itself."""

    def __init__(self) -> None:
        self.machines: dict[str, dict[str, float]] = {}
        self.versions: dict[str, str] = {}
        self.actors: list[Actor] = []
        self.options: list[dict[str, Any]] = []

    def nodes(self) -> list[dict[str, Any]]:
        """Return the machines, as Ray tells them."""
        return [
            {"NodeID": node_id(name), "Alive": True, "Resources": has, "NodeManagerAddress": name}
            for name, has in self.machines.items()
        ]

    def remote(self, *values: Any, **_: Any) -> Any:
        """Return a function or class as Ray has it."""
        return self._prepared if values else lambda _: self._prepared

    @property
    def _prepared(self) -> Any:
        return SimpleNamespace(options=self._with)

    def _with(self, **options: Any) -> Any:
        def call(*values: Any) -> Any:
            if values == ("greenroom",):
                answer = Answer()
                node = options["scheduling_strategy"].node_id
                names = {node_id(name): name for name in self.machines}
                answer.made.set_result(self.versions.get(names[node], JOB.version))
                return answer
            self.options.append(options)
            self.actors.append(Actor(values[1]))
            return self.actors[-1]

        return SimpleNamespace(remote=call)

    def kill(self, actor: Actor) -> None:
        """End an actor."""
        actor.is_killed = True

    def wait(self, *_: Any, **__: Any) -> None:
        """Wait for nothing."""

    @property
    def alive(self) -> list[Actor]:
        """Return the actors that were not ended."""
        return [actor for actor in self.actors if not actor.is_killed]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return a cluster of two machines, in the place of Ray."""
    made = Cluster()
    made.machines = {name: {"CPU": 2.0, "memory": 64 * GIB} for name in ("one", "two")}
    monkeypatch.setattr(foreman, "ray", made)
    monkeypatch.setattr(foreman, "_LOOK_S", 0.02)
    return made


def task(number: int, file: int | None = None) -> Task:
    """Return a task."""
    unit = Unit(number if file is None else file, Kind.SEGMENT, number)
    return Task(unit, "a", f"b{number}", f"c{number}", {})


def until(condition: Callable[[], bool]) -> None:
    """Wait until something has happened on the foreman's thread."""
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def news_of(crew: Crew, count: int) -> list[News]:
    """Return news, as soon as there are so many but for progress."""
    found: list[News] = []

    def are_there() -> bool:
        found.extend(crew.news(0.02))
        return len(found) >= count

    until(are_there)
    return found


@contextmanager
def crew_of(device: Device = Device.AUTO, **options: Any) -> Iterator[Crew]:
    """Have workers; no thread is left."""
    with ray_crew(JOB, device, **options) as crew:
        yield crew
    assert not [one for one in threading.enumerate() if one.name == "foreman"]


def test_twice_as_many_units_are_handed_out_as_are_done(cluster: Cluster) -> None:
    """However many there are: the rest stays with the planner."""
    with crew_of() as crew:
        until(lambda: crew.free == 8)
        assert crew.size == 4
        for number in range(8):
            crew.give(task(number))
        until(lambda: sum(len(actor.tasks) for actor in cluster.actors) == 4)
        assert crew.free == 0
        assert [len(actor.tasks) for actor in cluster.actors] == [1] * 4
        actor = cluster.actors[2]
        (first,) = actor.tasks
        actor.finish(first)
        assert [one.unit for one in news_of(crew, 1)] == [first]
        until(lambda: len(actor.tasks) == 1)  # from the reserve, without the driver
        assert crew.free == 1
    assert cluster.alive == []
    assert {options["max_task_retries"] for options in cluster.options} == {0}


def test_fewer_workers_are_on_all_machines_in_turn(cluster: Cluster) -> None:
    """With ``--jobs``."""
    with crew_of(most=3) as crew:
        until(lambda: crew.size == 3)
        assert [actor.place.machine for actor in cluster.actors] == ["one", "two", "one"]
        assert {actor.place.number for actor in cluster.actors} == {0, 1}


def test_a_worker_with_a_card_does_several(cluster: Cluster) -> None:
    """It has the card for itself, and its share of the processors."""
    cluster.machines = {"one": {"CPU": 6.0, "GPU": 2.0, "memory": 64 * GIB}}
    with crew_of() as crew:
        until(lambda: crew.size == 6)
        for number in range(6):
            crew.give(task(number))
        until(lambda: [len(actor.tasks) for actor in cluster.actors] == [3, 3])
    assert [(one["num_gpus"], one["num_cpus"]) for one in cluster.options] == [(1, 3)] * 2


def test_units_of_a_lost_machine_are_attempts(cluster: Cluster) -> None:
    """Others go on, and workers are started when it is back."""
    with crew_of() as crew:
        until(lambda: crew.size == 4)
        for number in range(4):
            crew.give(task(number))
        until(lambda: all(actor.tasks for actor in cluster.actors))
        back = cluster.machines.pop("two")
        lost = news_of(crew, 2)
        expected = {
            unit for actor in cluster.actors if actor.place.machine == "two" for unit in actor.tasks
        }
        assert {one.unit for one in lost if isinstance(one, Lost)} == expected
        assert all("'two' was lost" in one.message for one in lost if isinstance(one, Lost))
        assert crew.size == 2
        cluster.machines["two"] = back
        until(lambda: crew.size == 4)


def test_a_dead_worker_is_replaced(cluster: Cluster) -> None:
    """What it was at is an attempt; a late answer of its is not heard."""
    with crew_of(most=1) as crew:
        until(lambda: crew.size == 1)
        crew.give(task(1))
        until(lambda: bool(cluster.actors[0].tasks))
        (answer,) = cluster.actors[0].tasks.values()
        answer.made.set_exception(RuntimeError("gone"))
        (lost,) = news_of(crew, 1)
        assert isinstance(lost, Lost)
        until(lambda: len(cluster.actors) == 2)
        crew.give(task(1))
        until(lambda: bool(cluster.actors[1].tasks))
        assert cluster.alive == cluster.actors[1:]


def test_a_silent_worker_is_replaced(cluster: Cluster) -> None:
    """One that tells of frames is not."""
    with crew_of(most=2, silence_s=0.3) as crew:
        until(lambda: crew.size == 2)
        for number in range(2):
            crew.give(task(number))
        until(lambda: all(actor.tasks for actor in cluster.actors))
        (told,) = cluster.actors[0].tasks
        cluster.actors[0].heard = [Progress(told, 5, 10)]
        (silent,) = cluster.actors[1].tasks
        until(lambda: any(isinstance(one, Lost) and one.unit == silent for one in crew.news(0.02)))
        assert cluster.actors[1].is_killed
        assert not cluster.actors[0].is_killed


def test_segments_go_to_who_has_their_file(cluster: Cluster) -> None:
    """A worker keeps its copy of an input; what waits for longer is done by others."""
    with crew_of(most=2) as crew:
        until(lambda: crew.size == 2)
        for one in (task(0, 7), task(1, 8), task(2, 8), task(3, 7)):
            crew.give(one)
        until(lambda: all(actor.tasks for actor in cluster.actors))
        (first,) = (actor for actor in cluster.actors if Unit(7, Kind.SEGMENT, 0) in actor.tasks)
        first.finish(Unit(7, Kind.SEGMENT, 0))
        until(lambda: list(first.tasks) == [Unit(7, Kind.SEGMENT, 3)])


def test_one_machine_with_another_version(cluster: Cluster) -> None:
    """It gets no worker; the others do the work."""
    cluster.versions["one"] = "0.9"
    with crew_of() as crew:
        until(lambda: crew.size == 2)
        assert {actor.place.machine for actor in cluster.actors} == {"two"}


def test_no_machine_can_be_used(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run ends, with the reason of each."""
    cluster.versions["one"] = "0.9"
    monkeypatch.setattr(Actor, "_call", _refusing)
    with crew_of() as crew, pytest.raises(ProcessingError) as caught:
        news_of(crew, 1)
    assert "'one' has greenroom 0.9, and here it is 1.2.3" in str(caught.value)
    assert "machine 'two': no model" in str(caught.value)


def _refusing(actor: Actor, *_: Any) -> Answer:
    answer = Answer()
    answer.made.set_result(f"machine '{actor.place.machine}': no model")
    return answer


def test_workers_that_do_not_start(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """After three of them the machine is not used."""
    monkeypatch.setattr(Actor, "_call", _dying)
    del cluster.machines["two"]
    with crew_of(most=1) as crew, pytest.raises(ProcessingError, match="do not start: no memory"):
        news_of(crew, 1)
    assert len(cluster.actors) == 3


def _dying(_: Actor, *__: Any) -> Answer:
    answer = Answer()
    answer.made.set_exception(RuntimeError("died\nno memory."))
    return answer


@pytest.mark.usefixtures("cluster")
def test_a_cluster_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that never start end the run, in place of waiting for ever."""
    monkeypatch.setattr(foreman, "_START_S", 0.1)
    monkeypatch.setattr(Actor, "_call", lambda *_: Answer())
    with crew_of() as crew, pytest.raises(ProcessingError, match="2 machines with 4 processors"):
        news_of(crew, 1)
