"""Who is served: tokens, origins, hosts, and an application's own rule."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from greenroom.errors import SettingsError
from greenroom.hosted import segmenter_loans, tokens
from greenroom.hosted.tokens import AccessDeniedError, Action, Grant, TokenFile, new_token
from greenroom.testing import PersonSegmenter
from hosted.client import Client, PersonTrack
from hosted.service import SDP, asynchronous, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ANNA, BEN, OLD = "anna-token", "ben-token", "old-token"


def entry(name: str, token: str, more: str = "") -> str:
    """Return the lines of a token."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\n{more}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a file of three tokens."""
    path = tmp_path / "tokens.toml"
    path.write_text(
        entry("anna", ANNA, 'streams = ["anna", "team-*"]\nsessions = 1')
        + entry("ben", BEN, 'may = ["watch"]')
        + entry("old", OLD, "expires = 2020-01-31T00:00:00Z"),
        encoding="utf-8",
    )
    return path


@pytest.fixture(autouse=True)
def _drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the drawn person found by colour, in no time."""
    monkeypatch.setattr(segmenter_loans, "create_segmenter", lambda *_: PersonSegmenter())


def _replace(file: Path, text: str) -> None:
    """Write another text into a file."""
    file.write_text(text, encoding="utf-8")


def bearer(token: str) -> dict[str, str]:
    """Return the header with a token."""
    return {"Authorization": f"Bearer {token}"}


def test_new_token_is_found_by_its_hash(tmp_path: Path) -> None:
    """What is printed goes into the file as it is; the token itself is not in it."""
    token, lines = new_token("Anna's laptop")
    path = tmp_path / "tokens.toml"
    path.write_text(lines, encoding="utf-8")
    assert token not in lines
    assert TokenFile(path).grant(token) == Grant("Anna's laptop")
    with pytest.raises(SettingsError, match="without quotes"):
        new_token('a"b')


@pytest.mark.parametrize("token", ["", "x", ANNA.upper(), ANNA + " ", "\ud800", "x" * 10_000])
def test_wrong_tokens(file: Path, token: str) -> None:
    """A token that is not in the file allows nothing."""
    with pytest.raises(AccessDeniedError, match="missing or wrong"):
        TokenFile(file).grant(token)


def test_what_tokens_allow(file: Path) -> None:
    """Streams by name and pattern, to publish or to watch; not after their end."""
    known = TokenFile(file)
    anna, ben = known.grant(ANNA), known.grant(BEN)
    for stream in ("anna", "team-red"):
        anna.check(Action.PUBLISH, stream)
    ben.check(Action.WATCH, "anything")
    with pytest.raises(AccessDeniedError, match="does not allow the stream 'ben'") as refused:
        anna.check(Action.PUBLISH, "ben")
    assert refused.value.status == 403
    with pytest.raises(AccessDeniedError, match="does not allow to publish"):
        ben.check(Action.PUBLISH, "ben")
    with pytest.raises(AccessDeniedError, match="has expired, on 2020-01-31"):
        known.grant(OLD)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[token]", "not valid TOML"),
        ("[[token]]\nname = 1", "wrong at 'token.0.name'"),
        (entry("a", "b", "admin = true"), "wrong at 'token.0.admin'"),
        (entry("a", "b", "expires = 2020-01-31"), "wrong at 'token.0.expires'"),
        (entry("a", "b", "streams = []"), "wrong at 'token.0.streams'"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    """A file of another form is refused, and says where."""
    path = tmp_path / "tokens.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        TokenFile(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        TokenFile(tmp_path / "none.toml")


def test_file_is_followed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file counts; a damaged one changes nothing; one that is gone allows nothing."""
    monkeypatch.setattr(tokens, "_LOOK_S", 0)
    known = TokenFile(file)
    anna = known.grant(ANNA)
    file.write_text(entry("cleo", "cleo-token"), encoding="utf-8")
    os.utime(file, (1, 1))
    assert known.grant("cleo-token").name == "cleo"
    assert not known.holds(anna)
    file.write_text("[[", encoding="utf-8")
    os.utime(file, (2, 2))
    assert known.grant("cleo-token").name == "cleo"
    file.unlink()
    with pytest.raises(AccessDeniedError):
        known.grant("cleo-token")


@asynchronous
async def test_every_route_needs_the_token(file: Path) -> None:
    """Without it, with a wrong one and an expired one, all but page and operation answer 401."""
    async with serving(tokens=file) as service:
        document = service.app.openapi()
        for headers in ({}, bearer("wrong"), bearer(OLD), {"Authorization": ANNA}):
            for path, methods in document["paths"].items():
                for method in methods:
                    if path in ("/healthz", "/readyz", "/metrics"):
                        continue
                    response = await service.http.request(
                        method, path.format(stream="s", number="n", picture="p"), headers=headers
                    )
                    assert response.status_code == 401, (method, path)
                    assert "Bearer" in response.headers["www-authenticate"]
        assert (await service.http.get("/healthz")).status_code == 200


@asynchronous
async def test_sessions_of_others(file: Path) -> None:
    """A token that does not own a session can neither see, change nor end it."""
    async with (
        serving(tokens=file, headers=bearer(ANNA)) as service,
        Client(service.http, PersonTrack()) as client,
    ):
        assert (await client.connect("/whip/anna")).status_code == 201
        number = client.location.rpartition("/")[2]
        ask, ben = service.http.request, bearer(BEN)
        for method, path in (
            ("GET", f"/sessions/{number}"),
            ("POST", f"/sessions/{number}/changes"),
            ("POST", f"/sessions/{number}/backgrounds"),
            ("DELETE", f"/sessions/{number}"),
            ("PATCH", f"/sessions/{number}"),
        ):
            response = await ask(method, path, headers=ben)
            assert response.status_code == 404, (method, path)
        assert (await ask("DELETE", client.location, headers=ben)).status_code == 403
        assert len(service.sessions.calls) == 1


@asynchronous
async def test_streams_of_others(file: Path) -> None:
    """A token publishes its own streams alone, and no more at once than it may."""
    async with serving(tokens=file, headers=bearer(ANNA)) as service:
        response = await service.http.post("/whip/ben", content="v=0", headers=SDP)
        assert response.status_code == 403
        async with (
            Client(service.http, PersonTrack()) as first,
            Client(service.http, PersonTrack()) as second,
        ):
            assert (await first.connect("/whip/anna")).status_code == 201
            refused = await second.connect("/whip/team-red")
            assert refused.status_code == 429
            assert "allows 1 sessions" in refused.json()["message"]


@asynchronous
async def test_session_ends_with_its_token(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose token is taken out of the file loses the session within seconds."""
    monkeypatch.setattr(tokens, "_LOOK_S", 0)
    async with (
        serving(tokens=file, headers=bearer(ANNA)) as service,
        Client(service.http, PersonTrack()) as client,
    ):
        await client.connect("/whip/anna")
        _replace(file, entry("ben", BEN))
        await client.until(lambda: service.events[-1].kind == "ended", "the end")
        assert "token" in service.events[-1].reason


@asynchronous
async def test_slow_bodies_of_one_token(file: Path) -> None:
    """A token has 32 bodies under way and no more; others are served, and it is when they end."""
    ends = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"v="
        await ends.wait()

    async with serving(tokens=file, headers=bearer(ANNA)) as service:
        post = service.http.post
        under_way = [
            asyncio.create_task(post("/whip/anna", content=slow(), headers=SDP)) for _ in range(32)
        ]
        await asyncio.sleep(0.1)
        refused = await post("/whip/anna", content="v=", headers=SDP)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"
        assert "32 requests of this client are under way" in refused.json()["message"]
        assert (await service.http.get("/backgrounds")).status_code == 200
        other = await post("/whep/anna", content="v=", headers=SDP | bearer(BEN))
        assert other.status_code == 404
        ends.set()
        answers = await asyncio.gather(*under_way)  # no offers, and too many in a second
        answers.append(await post("/whip/anna", content="v=", headers=SDP))
        assert {answer.status_code for answer in answers} <= {400, 429}
        assert not any("under way" in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Origin": "http://127.0.0.1:80"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://calls.example"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost:8478"}, 200),
        ({"Host": "[::1]:8478"}, 200),
        ({"Host": "["}, 403),
        ({"Host": "evil.example@127.0.0.1"}, 403),
        ({"Host": "127.0.0.1/evil.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://evil.example/127.0.0.1"}, 403),
    ],
)
@asynchronous
async def test_origins_and_hosts(headers: dict[str, str], status: int) -> None:
    """Pages of other origins are refused, and other names of this machine without tokens."""
    async with serving(origins=("https://calls.example",)) as service:
        response = await service.http.get("/backgrounds", headers=headers)
        assert response.status_code == status
        allowed = response.headers.get("access-control-allow-origin")
        assert allowed == ("https://calls.example" if "calls" in str(headers) else None)


@asynchronous
async def test_preflight() -> None:
    """A browser may ask for an allowed origin before it sends a request with a token."""
    asked = {"Access-Control-Request-Method": "POST", "Origin": "https://calls.example"}
    async with serving(origins=("https://calls.example",)) as service:
        response = await service.http.options("/sessions", headers=asked)
        assert response.status_code == 204
        assert "Authorization" in response.headers["access-control-allow-headers"]
        foreign = asked | {"Origin": "https://evil.example"}
        assert (await service.http.options("/sessions", headers=foreign)).status_code == 403


@asynchronous
async def test_other_machines_need_tokens() -> None:
    """Without tokens another machine is refused, whatever it says."""
    async with serving() as service:
        transport = service.http._transport  # noqa: SLF001 - says who asks
        transport.client = ("192.0.2.7", 50000)  # type: ignore[attr-defined]
        assert (await service.http.get("/backgrounds")).status_code == 403


@asynchronous
async def test_application_decides() -> None:
    """An application's own rule takes the place of tokens."""

    async def authorize(request: Request) -> Grant:
        if request.headers.get("x-user") != "anna":
            message = "log in first"
            raise AccessDeniedError(message)
        return Grant("anna", streams=("anna",))

    async with serving(authorize=authorize) as service:
        assert (await service.http.get("/backgrounds")).status_code == 401
        own = {"X-User": "anna", "Host": "app.example"}
        assert (await service.http.get("/backgrounds", headers=own)).status_code == 200
        refused = await service.http.post("/whip/ben", headers=own | SDP, content="v=0")
        assert refused.status_code == 403
