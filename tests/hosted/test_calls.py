"""Calls over WebRTC: what comes back, what changes it, and what is left when they end."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from greenroom.hosted import segmenter_loans
from greenroom.settings import Settings
from greenroom.testing import Fault, FaultySegmenter, PersonSegmenter
from hosted.client import Client, PersonTrack, until
from hosted.service import asynchronous, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greenroom.media.frame import Frame

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TEAL = (0, 128, 128)
NAVY = (0, 0, 128)


def corner(frame: Frame) -> tuple[int, ...]:
    """Return the mean colour of a frame's upper left corner, where the person never is."""
    return tuple(int(value) for value in frame.to_rgb()[:20, :20].mean(axis=(0, 1)))


def is_near(colour: tuple[int, ...], expected: tuple[int, int, int]) -> bool:
    """Whether a colour is another one, but for what coding does to it."""
    return bool(np.abs(np.subtract(colour, expected)).max() < 25)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the drawn person found by colour, in no time."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: PersonSegmenter())


@pytest.mark.parametrize("codec", ["VP8", "H264"])
@asynchronous
async def test_picture_comes_back_with_another_background(codec: str) -> None:
    """Both codecs bring the person back in front of the background, and never the room."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        response = await client.connect(codec=codec)
        assert response.status_code == 201
        await until(lambda: client.count > 30, "30 frames")
        await until(lambda: is_near(corner(client.frames[-1][1]), TEAL), "the background")
        assert client.room_pixels == 0
        assert client.frames[-1][1].size == client.track.size  # type: ignore[union-attr]


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_channel_tells_settings_and_status() -> None:
    """The data channel begins with the settings, and the status follows every second."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: len(client.told("status")) >= 3, "three statuses")
        assert next(iter(client.messages[0])) == "settings"
        assert client.told("settings")[0]["background"] == "color:teal"
        assert client.told("status")[-1]["showing"] == "person"


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_change_takes_effect_within_half_a_second() -> None:
    """Another background is seen within 500 ms, and is told."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: client.count > 10, "frames")
        began_s = time.monotonic()
        client.send(settings={"background": "color:navy"})
        await until(lambda: is_near(corner(client.frames[-1][1]), NAVY), "the new background")
        assert time.monotonic() - began_s < 0.5
        await until(lambda: len(client.told("settings")) > 1, "the answer")
        assert client.told("settings")[-1]["background"] == "color:navy"


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_refused_change_changes_nothing() -> None:
    """What a client may not change, or what is out of range, is an error on the channel."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: client.count > 5, "frames")
        for values in (
            {"model": "/etc/passwd"},
            {"background": "/etc/passwd"},
            {"background": "none"},
            {"background": "http://127.0.0.1/x.png"},
            {"smoothing": 7},
        ):
            client.send(settings=values)
        await until(lambda: len(client.told("error")) == 5, "the errors")
        assert {error["name"] for error in client.told("error")} == {
            "model",
            "background",
            "smoothing",
        }
        assert service.sessions.calls[0].session.settings.background == "color:teal"


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_session_begins_as_it_is_asked_to() -> None:
    """The parameter start takes effect before the first frame, a cover too."""
    start = json.dumps({"settings": {"background": "color:navy"}, "cover": True})
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect(start=start)
        await until(lambda: client.count > 10, "frames")
        await until(lambda: bool(client.told("status")), "a status")
        assert client.told("status")[-1]["covered"] is True
        assert all(is_near(corner(frame), NAVY) for _, frame in client.frames)
        client.send(cover=False)
        await until(lambda: client.told("status")[-1]["showing"] == "person", "the person")
        assert client.room_pixels == 0


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_size_changes_in_mid_call() -> None:
    """A turned phone gives upright video, which comes back upright; the room stays hidden."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        track = client.track
        assert track is not None
        await client.connect()
        await until(lambda: client.count > 10, "frames")
        for size in ((240, 320), (160, 120), (320, 240)):
            track.size = size
            await until(lambda size=size: client.frames[-1][1].size == size, f"size {size}")  # type: ignore[misc]
        assert client.room_pixels == 0


@pytest.mark.parametrize(
    "faults",
    [
        dict.fromkeys(range(10), Fault.RAISE),
        {number: fault for number, fault in enumerate(Fault) if fault is not Fault.HANG},
    ],
    ids=["from the first frame", "of every kind"],
)
@asynchronous
async def test_faults_show_the_cover(
    faults: Mapping[int, Fault], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the model fails the viewer gets the cover, and then the person; never the room."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: FaultySegmenter(faults))
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: bool(client.told("status")), "a status")
        await until(lambda: client.told("status")[-1]["showing"] == "person", "the person")
        assert client.count > 0
        assert client.room_pixels == 0


@asynchronous
async def test_counter_sees_the_room() -> None:
    """Where the operator has the camera's picture shown, its room is counted after coding."""
    async with (
        serving(settings=Settings(background="none")) as service,
        Client(service.http, PersonTrack()) as client,
    ):
        await client.connect()
        await until(lambda: client.room_pixels > 1000, "the room")


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_published_stream_is_watched() -> None:
    """A stream published by WHIP reaches two viewers by WHEP, of other codecs; one may leave."""
    async with (
        serving() as service,
        Client(service.http, PersonTrack()) as publisher,
        Client(service.http) as first,
        Client(service.http) as second,
    ):
        response = await publisher.connect("/whip/studio", direction="sendonly")
        assert response.headers["location"].startswith("/whip/studio/")
        assert (await first.connect("/whep/studio", codec="VP8")).status_code == 201
        assert (await second.connect("/whep/studio", codec="H264")).status_code == 201
        await until(lambda: min(first.count, second.count) > 10, "frames")
        await service.http.delete(first.location)
        before = second.count
        await until(lambda: second.count > before + 10, "frames after one has left")
        assert first.room_pixels + second.room_pixels == 0
        assert [event.kind for event in service.events] == ["started", "watched", "watched"]


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_published_anew() -> None:
    """A publisher who comes again takes the place of the connection before."""
    async with serving() as service, Client(service.http, PersonTrack()) as before:
        await before.connect("/whip/studio", direction="sendonly")
        async with Client(service.http, PersonTrack()) as after:
            response = await after.connect("/whip/studio", direction="sendonly")
            assert response.status_code == 201
            assert len(service.sessions.calls) == 1
            assert [event.kind for event in service.events] == ["started", "ended", "started"]


@pytest.mark.usefixtures("drawn", "no_thread_left")
@pytest.mark.parametrize("way", ["delete", "leave", "vanish", "idle"])
@asynchronous
async def test_nothing_is_left(way: str) -> None:
    """However a call ends, its session, threads and files are gone soon after."""
    track = PersonTrack()
    async with serving(idle_s=1.0) as service, Client(service.http, track) as client:
        await client.connect()
        await until(lambda: client.count > 5, "frames")
        call = service.sessions.calls[0]
        upload = await service.http.post(f"{client.location}/backgrounds", content=b"no picture")
        assert upload.status_code == 422
        threads = call.session.threads
        if way == "delete":
            assert (await service.http.delete(client.location)).status_code == 200
        elif way == "leave":
            await client.close()
        elif way == "idle":
            track.speaks.clear()
        else:
            await _vanish(client)
        await until(lambda: not service.sessions.calls, "the end of the session")
        await until(lambda: not any(one.is_alive() for one in threads), "the end of its threads")
        await until(lambda: service.events[-1].kind == "ended", "the event")


async def _vanish(client: Client) -> None:
    """Have a client's machine lose its network: nothing is sent any more, nor a farewell."""
    for transceiver in client.pc.getTransceivers():
        transport = transceiver.sender.transport.transport
        for protocol in transport._connection._protocols:  # noqa: SLF001
            protocol.transport.abort()


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_drain() -> None:
    """While it drains nobody is admitted, those who are there are told, and then it ends."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: bool(client.told("status")), "a status")
        draining = asyncio.ensure_future(service.sessions.drain(1.0))
        await until(lambda: bool(client.told("closing")), "the notice")
        async with Client(service.http, PersonTrack()) as late:
            response = await late.connect()
            assert response.status_code == 503
            assert response.headers["retry-after"] == "1"
        assert (await service.http.get("/readyz")).status_code == 503
        assert (await service.http.get("/healthz")).status_code == 200
        await draining
        assert not service.sessions.calls


@pytest.mark.usefixtures("no_thread_left")
@asynchronous
async def test_end_while_a_session_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session whose model is being loaded when the service ends is not begun any more."""
    loading, loaded = threading.Event(), threading.Event()

    def load(*_: object) -> PersonSegmenter:
        loading.set()
        loaded.wait(10)
        return PersonSegmenter()

    monkeypatch.setattr(segmenter_loans, "create_segmenter", load)
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        connecting = asyncio.ensure_future(client.connect())
        await until(loading.is_set, "the loading")
        await service.sessions.close()
        loaded.set()
        response = await connecting
        assert response.status_code == 503
        assert not service.sessions.calls
        assert service.sessions.loans.count == 0


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_one_session_too_many_is_refused() -> None:
    """It gets 503 and when to come again; the one that runs loses nothing."""
    async with serving(max_sessions=1) as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: client.count > 10, "frames")
        async with Client(service.http, PersonTrack()) as other:
            response = await other.connect()
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        before, began_s = client.count, time.monotonic()
        await asyncio.sleep(1)
        assert client.count - before > 20 * (time.monotonic() - began_s)
        metrics = (await service.http.get("/metrics")).text
        assert 'greenroom_refusals_total{reason="full"} 1.0' in metrics


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_unwatched_stream_is_not_processed() -> None:
    """Of a stream that nobody watches no frame is made; a viewer who comes gets the picture."""
    async with serving() as service, Client(service.http, PersonTrack()) as publisher:
        await publisher.connect("/whip/studio", direction="sendonly")
        session = service.sessions.calls[0].session
        await until(lambda: session.status().asleep, "the end of processing")
        async with Client(service.http) as viewer:
            await viewer.connect("/whep/studio")
            await until(lambda: viewer.count > 10, "frames")
            assert viewer.room_pixels == 0


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_processors_are_divided() -> None:
    """Two sessions get as much each; the one that was there loses no frame by it."""
    async with (
        serving() as service,
        Client(service.http, PersonTrack()) as first,
        Client(service.http, PersonTrack()) as second,
    ):
        await first.connect()
        await until(lambda: first.count > 10, "frames")
        session = service.sessions.calls[0].session
        alone, refused = session.settings.budget_cpu, dict(session.status().drops)
        await second.connect()
        await until(lambda: session.settings.budget_cpu < alone, "the other share")
        shares = {call.session.settings.budget_cpu for call in service.sessions.calls}
        assert len(shares) == 1
        assert session.status().drops.get("settings") == refused.get("settings")
        await service.http.delete(second.location)
        await until(lambda: session.settings.budget_cpu == alone, "the whole share again")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say what is open")
@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_clients_come_and_go() -> None:
    """After many calls there are no more threads and open files than after the first ones."""
    async with serving() as service:
        used = []
        for _ in range(6):
            async with Client(service.http, PersonTrack()) as client:
                await client.connect()
                await until(lambda client=client: client.count > 3, "frames")  # type: ignore[misc]
                await service.http.delete(client.location)
            await until(lambda: not service.sessions.calls, "the end")
            used.append((threading.active_count(), _open_files()))
        await until(lambda: threading.active_count() <= used[1][0] + 1, "the end of threads")
        await until(lambda: _open_files() <= used[1][1] + 1, "closed files")


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("drawn")
@asynchronous
async def test_threads_a_session_has() -> None:
    """All of a session's threads are known, so that its time and its logs are told apart."""
    before = set(threading.enumerate())
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: client.count > 5, "frames")
        call = service.sessions.calls[0]
        own = {one for one in set(threading.enumerate()) - before if "greenroom" in one.name}
        assert set(call.session.threads) <= own
        idents = [one.ident for one in call.session.threads]
        assert {service.sessions.session_of(ident or 0) for ident in idents} == {call.id}
        assert service.sessions.session_of(threading.get_ident()) == ""


@asynchronous
async def test_wrong_settings_of_the_operator() -> None:
    """A transparent background cannot be sent, which the first client is told."""
    async with (
        serving(settings=Settings(background="transparent")) as service,
        Client(service.http, PersonTrack()) as client,
    ):
        response = await client.connect()
        assert response.status_code == 422
        assert response.json()["name"] == "background"
        assert not service.sessions.calls
