"""A service of two workers, as processes: media, control, ends and restarts."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from PIL import Image

from hosted.client import Client, PersonTrack, until
from hosted.service import SDP, asynchronous
from hosted.workers.served import Served, await_end, descendants, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [
    pytest.mark.allow_hosts(["127.0.0.1"]),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc"),
]

PORTS = range(42100, 42140)
OPTIONS = (
    "--workers=2",
    "--max-sessions=4",
    f"--udp-ports={PORTS[0]}-{PORTS[-1]}",
    "--grace-seconds=2",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the option for a background that is not the room."""
    path = tmp_path_factory.mktemp("config") / "settings.toml"
    path.write_text('background = "color:teal"\n')
    return f"--config={path}"


@pytest.fixture(scope="module")
def service(config: str) -> Iterator[Served]:
    """Return a service for all tests that leave it as it was."""
    with served(*OPTIONS, config) as running:
        yield running


@asynccontextmanager
async def asking(service: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Ask a service."""
    async with httpx.AsyncClient(base_url=service.url, timeout=30, trust_env=False) as http:
        yield http


async def count(http: httpx.AsyncClient, name: str) -> float:
    """Return the sum of a metric."""
    text = (await http.get("/metrics")).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
    return sum(float(value) for _, value in lines)


async def reach(http: httpx.AsyncClient, name: str, value: float) -> None:
    """Wait until a metric has a value, with a deadline."""
    for _ in range(300):
        if await count(http, name) == value:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{name} did not become {value}")


async def idle(http: httpx.AsyncClient) -> None:
    """Wait until the workers have nothing left to do, by which the next sessions are placed."""
    for _ in range(300):
        if all(
            [await count(http, f'greenroom_worker_cores{{worker="{one}"}}') < 0.05 for one in "01"]
        ):
            return
        await asyncio.sleep(0.05)
    pytest.fail("the workers did not become idle")


async def empty(http: httpx.AsyncClient) -> None:
    """Wait until no session is left."""
    await reach(http, "greenroom_sessions ", 0)


def port_of(sdp: str) -> int:
    """Return the port of the first candidate."""
    line = next(line for line in sdp.splitlines() if line.startswith("a=candidate"))
    return int(line.split()[5])


@asynchronous
async def test_two_sessions_are_on_two_workers(service: Served) -> None:
    """Each gets its picture from the worker that its address names, from that one's ports."""
    async with (
        asking(service) as http,
        Client(http, PersonTrack()) as first,
        Client(http, PersonTrack()) as second,
    ):
        await idle(http)
        answers = [await client.connect() for client in (first, second)]
        owners = [
            client.location.removeprefix("/sessions/").split(".")[0] for client in (first, second)
        ]
        assert sorted(owners) == ["0", "1"]
        half = len(PORTS) // 2
        for owner, answer in zip(owners, answers, strict=True):
            assert port_of(answer.text) in PORTS[:half] if owner == "0" else PORTS[half:]
        await until(lambda: min(first.count, second.count) > 10, "frames of both")
        assert first.room_pixels == second.room_pixels == 0
        await reach(http, "greenroom_sessions ", 2)
        for client in (first, second):
            changed = await http.post(
                f"{client.location}/changes", json={"settings": {"background": "color:navy"}}
            )
            assert changed.json()["settings"]["background"] == "color:navy"
            candidates = await http.patch(
                client.location,
                content="a=end-of-candidates\r\n",
                headers={
                    "Content-Type": "application/trickle-ice-sdpfrag",
                    "If-Match": client.etag,
                },
            )
            assert candidates.status_code == 204
            assert (await http.delete(client.location)).status_code == 200
            assert (await http.get(client.location)).status_code == 404
        await empty(http)


@asynchronous
async def test_viewer_comes_to_the_worker_of_the_stream(service: Served) -> None:
    """A stream is watched where it is published, at once after the publisher's answer."""
    async with asking(service) as http:
        publishers = []
        for number in range(2):
            publisher = Client(http, PersonTrack())
            publishers.append(publisher)
            assert (
                await publisher.connect(f"/whip/room-{number}", direction="sendonly")
            ).status_code == 201
            async with Client(http) as viewer:
                answer = await viewer.connect(f"/whep/room-{number}", direction="recvonly")
                assert answer.status_code == 201
                worker = publisher.location.rpartition("/")[2].split(".")[0]
                assert viewer.location.startswith(f"/whep/room-{number}/{worker}.")
                await until(lambda one=viewer: one.count > 3, "frames")  # type: ignore[misc]
                assert viewer.room_pixels == 0
                assert (await http.delete(viewer.location)).status_code == 200
        assert (await http.post("/whep/nobody", content="v=0", headers=SDP)).status_code == 404
        for publisher in publishers:
            assert (await http.delete(publisher.location)).status_code == 200
            await publisher.close()
        await empty(http)


@asynchronous
async def test_upload_comes_to_the_owner(service: Served) -> None:
    """A background that is uploaded passes through to the session's worker."""
    async with asking(service) as http, Client(http, PersonTrack()) as client:
        await client.connect()
        file = io.BytesIO()
        Image.effect_noise((640, 480), 90).save(file, "PNG")
        sent = await http.post(f"{client.location}/backgrounds?name=a.png", content=chunks(file))
        assert sent.status_code == 201
        thumbnail = await http.get(sent.json()["thumbnail"])
        assert thumbnail.content.startswith(b"\xff\xd8")
        refused = await http.post(f"{client.location}/backgrounds", content=b"no picture at all")
        assert refused.status_code == 422
        assert (await http.delete(client.location)).status_code == 200
        await empty(http)


async def chunks(file: io.BytesIO) -> AsyncIterator[bytes]:
    """Yield a file in parts, as a chunked body."""
    data = file.getvalue()
    for start in range(0, len(data), 10_000):
        yield data[start : start + 10_000]


@asynchronous
async def test_worker_takes_no_request_without_the_secret(service: Served) -> None:
    """Other programs of the machine get nothing from a worker's port, nor may clients forge."""
    ports = {port for pid in service.workers() for port in listening(pid)}
    assert len(ports) == 2
    async with httpx.AsyncClient(trust_env=False) as http:
        for port in ports:
            answer = await http.get(f"http://127.0.0.1:{port}/metrics")
            assert answer.status_code == 403
            forged = {"greenroom-secret": "x", "greenroom-grant": "{}"}
            answer = await http.get(f"http://127.0.0.1:{port}/schema", headers=forged)
            assert answer.status_code == 403
        answer = await http.get(f"{service.url}/schema", headers=forged)
        assert answer.status_code == 200


def test_workers_keep_their_memory_together(service: Served) -> None:
    """Threads of a worker share two arenas, or it would grow with each that comes and goes."""
    for pid in service.workers():
        assert b"\0MALLOC_ARENA_MAX=2\0" in Path(f"/proc/{pid}/environ").read_bytes()


@asynchronous
async def test_answers_are_those_of_one_process(service: Served) -> None:
    """What needs no session is answered by any worker, and errors are JSON."""
    async with asking(service) as http:
        assert (await http.get("/readyz")).json() == {"ready": True, "draining": False}
        assert (await http.get("/healthz")).status_code == 200
        assert "/whip/{stream}" in (await http.get("/openapi.json")).json()["paths"]
        assert (await http.get("/schema")).json()["groups"]
        picture = (await http.get("/backgrounds")).json()[0]["thumbnail"]
        assert (await http.get(picture)).content.startswith(b"\xff\xd8")
        assert (await http.options("/whip/room")).headers["accept-post"] == "application/sdp"
        assert (await http.get("/")).headers["content-type"].startswith("text/html")
        umlaut = {b"User-Agent": "Küche".encode("latin-1"), b"Cookie": "a=ü".encode()}
        assert (await http.get("/schema", headers=umlaut)).status_code == 200
        for path in ("/sessions/0.nobody", "/sessions/9.nobody", "/nothing", "/whip/a/0.b/c"):
            answer = await http.get(path)
            assert (answer.status_code, set(answer.json())) in (
                (404, {"name", "message"}),
                (405, {"name", "message"}),
            )
        noise = await http.post("/sessions", content="noise", headers=SDP)
        assert noise.status_code == 400
        large = await http.post("/sessions", content="v" * 100_000, headers=SDP)
        assert large.status_code == 413
        foreign = await http.post(
            "/sessions", content="noise", headers=SDP | {"Origin": "https://elsewhere.example"}
        )
        assert foreign.status_code == 403


@asynchronous
async def test_dead_worker_ends_only_its_sessions(service: Served) -> None:
    """Others go on, the worker comes back, its client finds a place, and no counter falls."""
    async with (
        asking(service) as http,
        Client(http, PersonTrack()) as first,
        Client(http, PersonTrack()) as second,
    ):
        for client in (first, second):
            assert (await client.connect()).status_code == 201
        await until(lambda: min(first.count, second.count) > 5, "frames of both")
        before = service.workers()
        frames = await count(http, "greenroom_frames_total")
        ends = await count(http, "greenroom_worker_ends_total")
        os.kill(owner_process(before, first.location), signal.SIGKILL)
        await reach(http, "greenroom_worker_ends_total", ends + 1)
        assert await count(http, "greenroom_frames_total") >= frames
        assert (await http.get(first.location)).status_code == 404
        assert (await http.get("/readyz")).status_code == 200
        async with Client(http, PersonTrack()) as again:
            assert (await again.connect()).status_code == 201
            seen = second.count
            await until(lambda: second.count > seen + 10, "frames of the other one")
            await until(lambda: again.count > 3, "frames after the reconnection")
            assert (await http.get(second.location)).status_code == 200
            for client in (second, again):
                await http.delete(client.location)
        await reach(http, "greenroom_worker_up", 2)
        assert len(service.workers()) == 2
        assert set(service.workers()) & set(before)
        await empty(http)


def test_term_drains_and_leaves_nothing(config: str) -> None:
    """SIGTERM gives sessions their time, ends all processes, and the exit status is 0."""
    with served(*OPTIONS, config) as running:

        @asynchronous
        async def drain() -> None:
            async with asking(running) as http, Client(http, PersonTrack()) as client:
                await client.connect()
                await until(lambda: client.count > 5, "frames")
                processes = descendants(running.process.pid)
                running.process.send_signal(signal.SIGTERM)
                await until(lambda: bool(client.told("closing")), "word of the end")
                refused = await http.post("/sessions", content="v=0", headers=SDP)
                assert refused.status_code == 503
                assert refused.headers["retry-after"]
                assert (await http.get("/readyz")).json() == {"ready": False, "draining": True}
                assert await asyncio.to_thread(running.end) == 0
                await asyncio.to_thread(await_end, processes, 5)

        drain()


def test_killed_front_leaves_no_process(config: str) -> None:
    """When the process in front is killed, its workers end by themselves."""
    with served(*OPTIONS, config) as running:
        processes = descendants(running.process.pid)
        assert len(running.workers()) == 2
        os.kill(running.process.pid, signal.SIGKILL)
        await_end(processes, 10)


def owner_process(processes: list[int], location: str) -> int:
    """Return the process of a session's worker: they were started in the order of their ids."""
    number = int(location.rpartition("/")[2].partition(".")[0])
    return sorted(processes)[number]


def listening(pid: int) -> set[int]:
    """Return the TCP ports at which a process listens."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            target = str(link.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in inodes:
            found.add(int(fields[1].rpartition(":")[2], 16))
    return found
