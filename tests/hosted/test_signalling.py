"""Signalling over HTTP: WHIP and WHEP by their standards, limits of bodies, errors."""

from __future__ import annotations

import pytest

from greenroom.hosted import segmenter_loans
from greenroom.hosted.rtc import IceServer
from greenroom.testing import PersonSegmenter
from hosted.client import Client, PersonTrack
from hosted.service import SDP, asynchronous, serving

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@pytest.fixture(autouse=True)
def _drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the drawn person found by colour, in no time."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: PersonSegmenter())


@asynchronous
async def test_answer_of_whip() -> None:
    """The answer has status 201, SDP, the session's address and its ETag (RFC 9725, 4.2)."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        response = await client.connect("/whip/studio", direction="sendonly")
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/sdp"
        assert response.headers["etag"].startswith('"')
        assert response.text.startswith("v=0")
        assert "a=recvonly" in response.text
        assert service.sessions.calls[0].id in response.headers["location"]


@asynchronous
async def test_ice_servers_are_told() -> None:
    """TURN servers come as Link headers, with their account (RFC 9725, 4.6)."""
    servers = (
        IceServer("stun:127.0.0.1:3478"),
        IceServer("turn:127.0.0.1:3478?transport=udp", "anna", "secret"),
    )
    async with serving(ice_servers=servers) as service:
        response = await service.http.options("/whip/studio")
    assert response.status_code == 204
    assert response.headers["accept-post"] == "application/sdp"
    assert response.headers.get_list("link") == [
        '<stun:127.0.0.1:3478>; rel="ice-server"',
        (
            '<turn:127.0.0.1:3478?transport=udp>; rel="ice-server"; username="anna"; '
            'credential="secret"; credential-type="password"'
        ),
    ]


@pytest.mark.parametrize("path", ["/whip/studio", "/sessions"])
@asynchronous
async def test_candidates_that_come_later(path: str) -> None:
    """PATCH adds candidates: 204, or what is wrong with the request (RFC 9725, 4.3)."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect(path)
        patch, own = service.http.patch, {"If-Match": client.etag}
        body = (
            f"a=ice-ufrag:{_ufrag(client.pc.localDescription.sdp)}\r\nm=video 9 UDP/TLS/RTP/SAVPF 0"
            "\r\na=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host\r\n"
        )
        answers = [
            await patch(client.location, content=body, headers=FRAGMENT | headers)
            for headers in (own, {}, {"If-Match": '"other"'}, {"If-Match": "*"})
        ]
        assert [answer.status_code for answer in answers] == [204, 428, 412, 422]
        wrong = await patch(client.location, content="what?", headers=FRAGMENT | own)
        assert wrong.status_code == 400
        sdp = await patch(client.location, content=body, headers=SDP | own)
        assert sdp.status_code == 415


def _ufrag(sdp: str) -> str:
    return sdp.partition("a=ice-ufrag:")[2].splitlines()[0]


@asynchronous
async def test_delete_ends_the_session() -> None:
    """DELETE answers 200, and 404 when the session is gone already."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect("/whip/studio", direction="sendonly")
        assert (await service.http.delete(client.location)).status_code == 200
        assert (await service.http.delete(client.location)).status_code == 404
        assert not service.sessions.calls


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"v=0", "text/plain", 415),
        (b"v=0", "", 415),
        (b"", "application/sdp", 400),
        (b"noise", "application/sdp", 400),
        (b"v=0\r\n", "application/sdp", 400),
        (b"\xff\xfe", "application/sdp", 400),
        (b"v=0\r\n" * 20_000, "application/sdp", 413),
        (b"x" * 10 * 2**20, "application/sdp", 413),
    ],
)
@asynchronous
async def test_wrong_bodies(body: bytes, kind: str, status: int) -> None:
    """What is no short session description is refused with a reason, and nothing is left of it."""
    async with serving() as service:
        response = await service.http.post(
            "/sessions", content=body, headers={"Content-Type": kind} if kind else {}
        )
        assert response.status_code == status
        assert response.json()["message"]
        assert not service.sessions.calls


@pytest.mark.parametrize("name", ["a b", "a" * 65, "-x", "é"])
@asynchronous
async def test_names_of_streams(name: str) -> None:
    """A stream's name is short and plain."""
    async with serving() as service:
        response = await service.http.post(f"/whip/{name}", content=_offer_text(), headers=SDP)
        assert response.status_code in (404, 422)
        assert not service.sessions.calls


def _offer_text() -> str:
    return "v=0\r\n"


@asynchronous
async def test_nobody_publishes() -> None:
    """Who wants to watch what nobody publishes is told so."""
    async with serving() as service, Client(service.http) as viewer:
        response = await viewer.connect("/whep/studio")
        assert response.status_code == 404
        assert "studio" in response.json()["message"]


@asynchronous
async def test_viewers_are_limited() -> None:
    """One viewer too many is refused, until another leaves."""
    async with (
        serving(max_viewers=1) as service,
        Client(service.http, PersonTrack()) as publisher,
        Client(service.http) as first,
        Client(service.http) as second,
        Client(service.http) as third,
    ):
        await publisher.connect("/whip/studio", direction="sendonly")
        assert (await first.connect("/whep/studio")).status_code == 201
        assert (await second.connect("/whep/studio")).status_code == 503
        await service.http.delete(first.location)
        assert (await third.connect("/whep/studio")).status_code == 201


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("{", None),
        ("[]", None),
        ('{"settings": {"model": "x"}}', "model"),
        ('{"settings": {"background": "/etc/passwd"}}', "background"),
        ('{"settings": {"smoothing": 2}}', "smoothing"),
    ],
)
@asynchronous
async def test_wrong_start(start: str, name: str | None) -> None:
    """A session is not begun otherwise than as it was asked for."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        response = await client.connect(start=start)
        assert response.status_code == 422
        assert response.json()["name"] == name
        assert not service.sessions.calls


@asynchronous
async def test_settings_over_http() -> None:
    """A publisher without a data channel changes settings, and reads the state, over HTTP."""
    async with serving() as service, Client(service.http, PersonTrack()) as client:
        await client.connect("/whip/studio", direction="sendonly")
        address = f"/sessions/{client.location.rpartition('/')[2]}"
        changed = await service.http.post(
            f"{address}/changes", json={"settings": {"background": "color:navy"}, "cover": True}
        )
        assert changed.json()["settings"]["background"] == "color:navy"
        assert changed.json()["status"]["covered"] is True
        state = (await service.http.get(address)).json()
        assert state["stream"] == "studio"
        assert state["settings"]["background"] == "color:navy"
        wrongs: list[object] = [{}, {"cover": 1}, {"settings": {"model": "x"}}, [], {"x": 1}]
        for wrong in wrongs:
            response = await service.http.post(f"{address}/changes", json=wrong)
            assert response.status_code == 422


@asynchronous
async def test_document_describes_the_routes() -> None:
    """The OpenAPI document has the routes of signalling, sessions and operation."""
    async with serving() as service:
        document = (await service.http.get("/openapi.json")).json()
    assert {"/whip/{stream}", "/whep/{stream}", "/sessions", "/sessions/{number}/changes"} <= set(
        document["paths"]
    )
    assert document["paths"]["/whip/{stream}"]["post"]["requestBody"]["content"].keys() == {
        "application/sdp"
    }
