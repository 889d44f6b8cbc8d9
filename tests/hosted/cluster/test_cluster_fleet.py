"""Replicas as the process in front follows them, without Ray: placement, loss, tokens, the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest

from greenroom.errors import SinkError
from greenroom.hosted.cluster.cluster_fleet import ClusterFleet
from greenroom.hosted.cluster.directory import Directory
from greenroom.hosted.options import ServeOptions
from greenroom.hosted.rtc import NoCandidateError
from hosted.client import Client, PersonTrack, until
from hosted.cluster.replicas import HOST, SECRET, InFront, ThreadReplicas, in_front
from hosted.service import SDP, asynchronous

if TYPE_CHECKING:
    from greenroom.hosted.cluster.remote_worker import RemoteWorker

pytestmark = pytest.mark.allow_hosts([HOST])


@asynchronous
async def test_sessions_are_spread_and_asked_where_they_are() -> None:
    """Two sessions are on two replicas, and requests for each reach its own."""
    async with in_front() as service, two_clients(service) as clients:
        first, second = clients
        assert {owner(first), owner(second)} == {"a", "b"}
        await until(lambda: min(first.count, second.count) > 3, "frames of both")
        for client in clients:
            changed = await service.http.post(f"{client.location}/changes", json={"cover": True})
            assert changed.status_code == 200
            assert (await service.http.delete(client.location)).status_code == 200
        assert (await service.http.get("/sessions/c.none")).status_code == 404


@asynchronous
async def test_session_that_one_refuses_begins_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica without a free port refuses; only when none has one is the client told so."""

    async def refuse(*_: object, **__: object) -> None:
        message = "no UDP port of 40000-40001 is free"
        raise NoCandidateError(message)

    async with in_front() as service, Client(service.http, PersonTrack()) as client:
        for name in ("a", "b"):
            sessions = service.replicas.running[name].server.sessions
            if name == "b":
                assert (await client.connect()).status_code == 201
                assert owner(client) == "b"
            monkeypatch.setattr(sessions, "begin", refuse)
        offer = client.pc.localDescription.sdp
        refused = await service.http.post("/sessions", content=offer, headers=SDP)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert "no UDP port" in refused.json()["message"]


@asynchronous
async def test_lost_replica_ends_its_sessions_alone() -> None:
    """Its sessions are unknown at once, the others go on, no counter falls, and new ones begin."""
    async with in_front() as service, two_clients(service) as clients:
        await until(lambda: min(one.count for one in clients) > 3, "frames of both")
        await until(lambda: total(service, "greenroom_frames_total") > 5, "metrics")
        before = total(service, "greenroom_frames_total")
        gone, stays = clients
        await asyncio.to_thread(service.replicas.running.pop(owner(gone)).end)
        await until(lambda: worker(service, owner(gone)).address is None, "the loss")
        assert (await service.http.get(gone.location)).status_code == 404
        assert (await service.http.get(stays.location)).status_code == 200
        assert total(service, "greenroom_frames_total") >= before
        assert total(service, "greenroom_worker_ends_total") == 1
        async with Client(service.http, PersonTrack()) as again:
            assert (await again.connect()).status_code == 201
            assert owner(again) == owner(stays)
            await until(lambda: again.count > 3, "frames of the one that is back")
        name = owner(gone)
        await service.replicas.directory.leave(name)
        await until(lambda: name not in [one.name for one in service.fleet.workers], "its removal")
        assert total(service, "greenroom_frames_total") >= before
        assert total(service, "greenroom_worker_ends_total") == 1


@asynchronous
async def test_replica_that_leaves_is_no_loss() -> None:
    """A replica that leaves the directory before it ends is not counted as lost."""
    async with in_front() as service:
        await service.replicas.directory.leave("a")
        await until(lambda: not worker(service, "a").is_listed, "that it leaves")
        assert not worker(service, "a").has_room
        await asyncio.to_thread(service.replicas.running.pop("a").end)
        await until(lambda: worker(service, "a").address is None, "its end")
        assert total(service, "greenroom_worker_ends_total") == 0
        assert service.fleet.is_ready


@asynchronous
async def test_new_directory_takes_no_session_away() -> None:
    """Replicas that report stay when the directory has lost them, until they enter themselves."""
    async with in_front() as service, two_clients(service) as clients:
        service.replicas.directory = Directory(SECRET)
        await until(lambda: not any(one.is_listed for one in service.fleet.workers), "its loss")
        for client in clients:
            assert (await service.http.get(client.location)).status_code == 200
        await service.replicas.start()
        await until(lambda: all(one.is_listed for one in service.fleet.workers), "its return")
        assert len(service.fleet.workers) == 2


@asynchronous
async def test_revoked_token_ends_its_sessions() -> None:
    """Sessions end whose name no valid token has any more."""
    valid = ["local"]
    async with (
        in_front(holds_name=lambda name: name in valid) as service,
        Client(service.http, PersonTrack()) as client,
    ):
        await client.connect()
        await until(lambda: client.count > 3, "frames")
        valid.clear()
        await until(
            lambda: not any(one.report.sessions for one in service.fleet.workers), "the end"
        )
        assert (await service.http.get(client.location)).status_code == 404


@asynchronous
async def test_replicas_take_nothing_without_the_secret() -> None:
    """Neither sessions nor control are to be had from a replica, nor control from the front."""
    async with in_front(1) as service, httpx.AsyncClient(trust_env=False) as http:
        host, port = service.fleet.workers[0].address or ("", 0)
        for headers in ({}, {"greenroom-secret": "x", "greenroom-control": "reports"}):
            answer = await http.get(f"http://{host}:{port}/metrics", headers=headers)
            assert answer.status_code == 403
        answer = await service.http.post(
            "/sessions", content="v=0", headers={**SDP, "greenroom-control": "drain"}
        )
        assert answer.status_code == 400  # taken as an offer
        assert not service.replicas.running["a"].server.sessions.draining


@asynchronous
async def test_drain_gives_sessions_their_time() -> None:
    """Clients are told, nobody is admitted, and the replicas end when all have gone."""
    async with in_front(grace_s=5.0) as service, two_clients(service) as clients:
        await until(lambda: min(one.count for one in clients) > 3, "frames of both")
        draining = asyncio.create_task(service.fleet.drain(5.0))
        await until(lambda: all(one.told("closing") for one in clients), "word of the end")
        refused = await service.http.post("/sessions", content="v=0", headers=SDP)
        assert refused.status_code == 503
        assert (await service.http.get("/readyz")).json() == {"ready": False, "draining": True}
        assert not draining.done()
        for client in clients:
            await service.http.delete(client.location)
        await asyncio.wait_for(draining, 2.0)
        assert service.replicas.has_ended


@asynchronous
async def test_service_without_replicas_does_not_start() -> None:
    """If no replica can start, the reason is told, and nothing is left."""
    options = ServeOptions()
    replicas = ThreadReplicas(0, options)
    replicas.failure = "the folder is not there"
    fleet = ClusterFleet(options, replicas)
    with pytest.raises(SinkError, match="no replica starts: the folder is not there"):
        await fleet.start()
    assert "the folder is not there" in fleet.failure
    assert replicas.has_ended


class two_clients:  # noqa: N801 - used as a function
    """Two clients that are connected."""

    def __init__(self, service: InFront) -> None:
        self._clients = [Client(service.http, PersonTrack()) for _ in range(2)]

    async def __aenter__(self) -> list[Client]:
        for client in self._clients:
            assert (await client.connect()).status_code == 201
        return self._clients

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()


def owner(client: Client) -> str:
    """Return the replica that a session's address names."""
    return client.location.rpartition("/")[2].partition(".")[0]


def worker(service: InFront, name: str) -> RemoteWorker:
    """Return a replica as the process in front sees it."""
    return next(one for one in service.fleet.workers if one.name == name)


def total(service: InFront, name: str) -> float:
    """Return the sum of a metric."""
    lines = service.fleet.metrics.text().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
