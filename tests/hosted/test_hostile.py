"""Clients that mean harm, or are broken: nothing is left of them, and others do not notice."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.hosted import segmenter_loans
from greenroom.testing import PersonSegmenter
from hosted.client import SIZE, Client, PersonTrack, until
from hosted.service import SDP, Service, asynchronous, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

BODIES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda parts: st.lists(parts) | st.dictionaries(st.text(max_size=20), parts),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(["settings", "cover"]), st.booleans() | st.none()).map(
        lambda value: json.dumps(value).encode()
    ),
)
KINDS = st.sampled_from(
    ["application/sdp", "application/trickle-ice-sdpfrag", "application/json", "", "é"]
)


@pytest.fixture(autouse=True)
def _drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the drawn person found by colour, in no time."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: PersonSegmenter())


@asynchronous
async def test_peer_that_never_sends() -> None:
    """A client that connects and sends no video is closed after the idle time."""
    track = PersonTrack()
    track.speaks.clear()
    async with serving(idle_s=1.0) as service, Client(service.http, track) as client:
        await client.connect()
        await until(lambda: service.events[-1].kind == "ended", "the end")
        assert "no video" in service.events[-1].reason
        assert client.room_pixels == 0


@asynchronous
async def test_video_that_is_too_large() -> None:
    """Larger video than is allowed ends the session, and nothing of it was sent."""
    async with (
        serving(max_size=SIZE) as service,
        Client(service.http, PersonTrack((640, 480))) as client,
    ):
        await client.connect()
        await until(lambda: service.events[-1].kind == "ended", "the end")
        assert "640" in service.events[-1].reason
        assert client.room_pixels == 0
        assert not any(frame.size == (640, 480) for _, frame in client.frames[-1:])


@asynchronous
async def test_flood_of_messages() -> None:
    """One client's thousands of messages cost another one no frames, and nothing is queued."""
    async with (
        serving() as service,
        Client(service.http, PersonTrack()) as hostile,
        Client(service.http, PersonTrack()) as other,
    ):
        await hostile.connect()
        await other.connect()
        await until(lambda: min(hostile.count, other.count) > 10, "frames")
        for number in range(2000):
            hostile.channel.send("{" * (number % 50) if number % 2 else '{"cover": false}')
        before, began_s = other.count, time.monotonic()
        await asyncio.sleep(1.5)
        assert other.count - before > 15 * (time.monotonic() - began_s)
        assert len(service.sessions.calls) == 2
        assert hostile.room_pixels + other.room_pixels == 0


@asynchronous
async def test_flood_of_offers() -> None:
    """Hundreds of offers at once cost a session no frames, and are no more sessions than may be."""
    async with serving(max_sessions=2) as service, Client(service.http, PersonTrack()) as client:
        await client.connect()
        await until(lambda: client.count > 10, "frames")
        offer = client.pc.localDescription.sdp
        before, began_s = client.count, time.monotonic()
        answers = await asyncio.gather(
            *(service.http.post("/sessions", content=offer, headers=SDP) for _ in range(300))
        )
        await asyncio.sleep(1)
        assert client.count - before > 15 * (time.monotonic() - began_s)
        assert {answer.status_code for answer in answers} <= {201, 429, 503}
        assert sum(answer.status_code == 201 for answer in answers) <= 1
        assert all("retry-after" in answer.headers for answer in answers if not answer.is_success)


@asynchronous
async def test_ports_that_are_all_taken() -> None:
    """One session too many for the ports is refused for a while; nothing of it is left."""
    async with (
        serving(udp_ports=range(46_300, 46_302)) as service,
        Client(service.http, PersonTrack()) as first,
        Client(service.http, PersonTrack()) as second,
        Client(service.http, PersonTrack()) as third,
        Client(service.http) as viewer,
    ):
        assert (await first.connect("/whip/studio", direction="sendonly")).status_code == 201
        assert (await second.connect()).status_code == 201
        await until(lambda: second.count > 10, "frames")
        threads = set(threading.enumerate())
        for refused in (await third.connect(), await viewer.connect("/whep/studio")):
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "5"
            assert "no UDP port of 46300-46301 is free" in refused.json()["message"]
        await until(lambda: threads.issuperset(threading.enumerate()), "the end of its threads")
        assert len(service.sessions.calls) == 2
        assert (
            'greenroom_refusals_total{reason="ports"} 2.0'
            in (await service.http.get("/metrics")).text
        )
        count = second.count
        await until(lambda: second.count > count + 10, "more frames")
        await service.http.delete(first.location)
        again = await service.http.post(
            "/sessions", content=third.pc.localDescription.sdp, headers=SDP
        )
        assert again.status_code == 201


@asynchronous
async def test_wrong_offer_ends_nothing() -> None:
    """What cannot be answered does not end the session of the same stream."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect("/whip/studio", direction="sendonly")
        refused = await service.http.post("/whip/studio", content="noise", headers=SDP)
        assert refused.status_code == 400
        assert len(service.sessions.calls) == 1


@asynchronous
async def test_two_publish_at_once() -> None:
    """Of two publishers of one stream that come at the same moment one is refused."""
    async with (
        serving() as service,
        Client(service.http, PersonTrack()) as first,
        Client(service.http, PersonTrack()) as second,
    ):
        answers = await asyncio.gather(
            *(one.connect("/whip/studio", direction="sendonly") for one in (first, second))
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409]
        assert len(service.sessions.calls) == 1


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """Return a loop that lives as long as the module's service."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def service(loop: asyncio.Runner) -> Iterator[Service]:
    """Run one service for all examples."""
    context = serving()
    yield loop.run(context.__aenter__())
    loop.run(context.__aexit__(None, None, None))


@settings(max_examples=150)
@given(data=st.data())
def test_nonsense(service: Service, loop: asyncio.Runner, data: st.DataObject) -> None:
    """Whatever is sent to whichever route, the answer is never an internal error."""
    document = service.app.openapi()
    path = data.draw(st.sampled_from(sorted(document["paths"])))
    method = data.draw(st.sampled_from(["get", "post", "patch", "delete", "options", "put"]))
    name = st.text(st.characters(codec="utf-8"), max_size=70)
    filled = path.format(stream=data.draw(name), number=data.draw(name), picture=data.draw(name))
    query = {key: data.draw(name) for key in ("start", "stream", "name")}
    response = loop.run(_asked(service, method, filled, query, data.draw(KINDS), data.draw(BODIES)))
    assert response is None or response.status_code < 500, response.text


async def _asked(
    service: Service, method: str, path: str, query: dict[str, str], kind: str, body: bytes
) -> httpx.Response | None:
    """Send a request; None if it is none that a client could send."""
    headers: dict[str, Any] = {"Content-Type": kind.encode(), "If-Match": '"x"'}
    try:
        return await service.http.request(method, path, content=body, params=query, headers=headers)
    except httpx.InvalidURL:
        return None
