"""Workers as the process in front counts and chooses them, without a process."""

from __future__ import annotations

import pytest

from greenroom.errors import SettingsError
from greenroom.hosted.options import ServeOptions
from greenroom.hosted.refusals import UnavailableError, UnknownSessionError
from greenroom.hosted.tokens import Grant
from greenroom.hosted.workers.local_fleet import LocalFleet
from greenroom.hosted.workers.placement import least_loaded
from greenroom.hosted.workers.process import WORKER_HOST
from greenroom.hosted.workers.reports import Held, WorkerReport, decode, encode
from greenroom.hosted.workers.worker import SessionWorker, worker_options

ANNA = Grant("anna")
BEN = Grant("ben")


def reported(
    worker: SessionWorker, *sessions: Held, number: int = 1, cores: float = 0.0, young: int = 0
) -> None:
    """Have a worker run, and report some sessions."""
    owners = [one.owner for one in sessions]
    worker.address = (WORKER_HOST, 1)
    worker.take(
        WorkerReport(
            number=number,
            is_ready=True,
            capacity=4,
            cores_used=cores,
            young=young,
            sessions=sessions,
            connections={owner: owners.count(owner) for owner in owners},
        )
    )


def fleet_of(count: int = 2, max_sessions: int | None = None) -> LocalFleet:
    """Return workers that run and have nothing to do."""
    fleet = LocalFleet(ServeOptions(workers=count, max_sessions=max_sessions))
    for worker in fleet.workers:
        reported(worker)
    return fleet


def held(number: int, count: int, owner: str = "anna") -> list[Held]:
    """Return some sessions of a worker."""
    return [Held(f"{number}.{one}", f"stream-{number}-{one}", owner) for one in range(count)]


def test_workers_share_ports_sessions_and_processors() -> None:
    """No port belongs to two workers, none is lost, and sessions are rounded up."""
    options = ServeOptions(udp_ports=range(40000, 40010), max_sessions=7)
    parts = [worker_options(options, number, 3) for number in range(3)]
    ports = [port for part in parts for port in part.udp_ports or ()]
    assert ports == list(range(40000, 40010))
    assert [part.max_sessions for part in parts] == [3, 3, 3]
    assert [part.part.id_prefix for part in parts] == ["0.", "1.", "2."]
    assert sum(part.part.cores for part in parts) == pytest.approx(
        worker_options(options, 0, 1).part.cores
    )


def test_each_worker_needs_a_port() -> None:
    """Fewer ports than workers are refused; the default is as many workers as there are ports."""
    with pytest.raises(SettingsError, match="at least one port for each of 3 workers"):
        ServeOptions(workers=3, udp_ports=range(40000, 40002)).check()
    assert ServeOptions(udp_ports=range(40000, 40001)).worker_count == 1


def test_report_is_what_was_sent() -> None:
    """A report that went through the pipe is the one before."""
    report = WorkerReport(
        number=3, is_ready=True, sessions=tuple(held(0, 2)), connections={"anna": 2}, metrics="# x"
    )
    assert WorkerReport.from_told(decode(encode({"report": report.told()}))["report"]) == report


def test_next_session_goes_where_least_cpu_is_taken() -> None:
    """Measured CPU time counts, not how many sessions there are."""
    fleet = fleet_of()
    reported(fleet.workers[0], *held(0, 1), cores=0.9)
    reported(fleet.workers[1], *held(1, 3), cores=0.6)
    assert least_loaded(fleet.workers) is fleet.workers[1]


def test_sessions_too_new_to_be_measured_count_as_others_do() -> None:
    """Sessions that begin one after the other are spread, though none is measured yet."""
    fleet = fleet_of()
    chosen = []
    for _ in range(4):
        with fleet.place(ANNA, "", None) as (worker, given):
            given.report = 2
        chosen.append(worker.name)
    assert sorted(chosen) == ["0", "0", "1", "1"]
    reported(fleet.workers[0], *held(0, 2), number=2, young=2)
    reported(fleet.workers[1], *held(1, 1), number=2, cores=0.3)
    assert least_loaded(fleet.workers) is fleet.workers[1]


def test_session_is_counted_once_from_the_answer_to_the_report() -> None:
    """Between answer and report a session is held by what was given, and then by the report."""
    worker = fleet_of().workers[0]
    with worker.giving("anna", "room", is_session=True) as given:
        assert worker.session_count == 1
        given.report = 2
    assert (worker.session_count, worker.owner_of("room")) == (1, "anna")
    reported(worker, number=1)
    assert worker.session_count == 1
    reported(worker, Held("0.x", "room", "anna"), number=2)
    assert (worker.session_count, worker.unreported) == (1, [])
    with worker.giving("anna", "other", is_session=True):
        pass  # it was refused
    assert worker.session_count == 1


def test_limit_of_a_token_counts_on_all_workers() -> None:
    """A token's sessions and viewers on all workers together are limited."""
    fleet = fleet_of()
    limited = Grant("anna", sessions=2)
    reported(fleet.workers[0], *held(0, 1))
    reported(fleet.workers[1], *held(1, 1))
    with pytest.raises(UnavailableError) as refused, fleet.place(limited, "", None):
        pass
    assert refused.value.reason == "limit"
    with pytest.raises(UnavailableError), fleet.watch(limited, "stream-0-0"):
        pass
    with fleet.place(Grant("ben", sessions=1), "", None):
        pass


def test_stream_stays_with_its_publisher() -> None:
    """A stream of somebody else is refused; its owner publishes anew on the same worker."""
    fleet = fleet_of()
    reported(fleet.workers[0], cores=0.1)
    reported(fleet.workers[1], Held("1.a", "room", "anna"), cores=0.9)
    with pytest.raises(UnavailableError) as refused, fleet.place(BEN, "room", None):
        pass
    assert refused.value.reason == "taken"
    with fleet.place(Grant("anna", sessions=1), "room", None) as (worker, _):
        assert worker.name == "1"
    with fleet.watch(BEN, "room") as (worker, _):
        assert worker.name == "1"
    with pytest.raises(UnknownSessionError), fleet.watch(BEN, "nothing"):
        pass


def test_full_busy_and_draining_are_told_apart() -> None:
    """Why there is no place is said by the reason of the refusal."""
    fleet = fleet_of(max_sessions=3)
    reported(fleet.workers[0], *held(0, 2))
    reported(fleet.workers[1], *held(1, 1))
    assert refusal(fleet) == "full"
    assert not fleet.is_ready
    fleet = fleet_of()
    for worker in fleet.workers:
        worker.take(WorkerReport(1, is_ready=False, capacity=4))
    assert refusal(fleet) == "busy"
    for worker in fleet.workers:
        worker.address = None
    assert refusal(fleet) == "worker"
    fleet.draining = True
    assert refusal(fleet) == "draining"


def test_requests_of_one_client_are_limited() -> None:
    """A client that asks on and on is refused, and another one is not."""
    fleet = fleet_of()
    reasons = [refusal(fleet) for _ in range(30)]
    assert reasons.count("rate") >= 8
    with fleet.place(BEN, "", None):
        pass


def test_id_names_its_owner() -> None:
    """The id of a session begins with its worker, and no other id finds one."""
    fleet = fleet_of(11)
    assert fleet.owner("10.abc").name == "10"
    assert fleet.owner("1.0.abc").name == "1"
    for unknown in ("11.abc", "abc", "", "-1.abc", "1"):
        with pytest.raises(UnknownSessionError):
            fleet.owner(unknown)
    fleet.workers[1].address = None
    with pytest.raises(UnknownSessionError):
        fleet.owner("1.abc")


def refusal(fleet: LocalFleet) -> str:
    """Return why Anna gets no place; empty if she gets one."""
    try:
        with fleet.place(ANNA, "", None):
            return ""
    except UnavailableError as error:
        return error.reason
