"""Who may use the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from web.conftest import ORIGIN, PORT, TOKEN

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from web.fake_session import FakeSession

pytestmark = [pytest.mark.usefixtures("no_thread_left")]


def opened(client: TestClient, path: str, *protocols: str) -> WebSocketTestSession:
    """Open a connection, offering protocols."""
    return client.websocket_connect(f"ws://127.0.0.1:{PORT}{path}", subprotocols=protocols)


PRIVATE = [
    "/api/settings",
    "/api/status",
    "/api/snapshot.png",
    "/api/key",
    "/api/backgrounds",
    "/api/backgrounds/beach/thumbnail",
    "/nothing",
]
PATHS = ["/", "/static/main.js", *PRIVATE]


def test_the_page_itself_is_free_and_empty(stranger: TestClient) -> None:
    """The page's files are the same for everybody: they need no token, and have none in them."""
    for path in ("/", "/static/main.js", "/?token=wrong", f"/?token={TOKEN}"):
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert TOKEN not in answer.text
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", PRIVATE)
@pytest.mark.parametrize("token", ["", "wrong", "ö", TOKEN + "x", TOKEN[:-1]])
def test_nothing_else_is_served_without_the_token(
    stranger: TestClient, path: str, token: str
) -> None:
    """Every other path needs the token in a header, and says where it is."""
    headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
    answer = stranger.get(path, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["name"] == "token"
    assert "greenroom page --print" in answer.json()["message"]


def test_a_token_elsewhere_is_none(stranger: TestClient, session: FakeSession) -> None:
    """A cookie, of whatever name, and an address let nobody in."""
    for name in ("token", f"greenroom-{PORT}", "greenroom"):
        stranger.cookies.set(name, TOKEN)
    assert stranger.get("/api/status", params={"token": TOKEN}).status_code == 403
    assert stranger.post("/api/cover", json={"on": True}).status_code == 403
    with pytest.raises(WebSocketDisconnect), opened(stranger, f"/ws/preview?token={TOKEN}"):
        pass
    assert not session.covered
    assert session.opened == []


def test_a_program_may_use_the_token_in_a_header(
    stranger: TestClient, session: FakeSession
) -> None:
    """A program without an origin covers with the token in a header."""
    answer = stranger.post(
        "/api/cover", json={"on": True}, headers={"Authorization": f"Bearer {TOKEN}"}
    )

    assert answer.status_code == 200
    assert session.covered


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8477", "127.0.0.1", "127.0.0.1:80", "0.0.0.0:8477", ""]
)
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    """A name that was made to mean this machine leads nowhere, even with the token."""
    answer = client.get("/api/settings", headers={"Host": host})

    assert answer.status_code == 400
    assert "127.0.0.1:8477" in answer.json()["message"]


def test_localhost_leads_to_the_page(app: ASGIApp) -> None:
    """Who types localhost gets to the address of which it is known who listens there."""
    with TestClient(app, base_url=f"http://localhost:{PORT}", follow_redirects=False) as client:
        answer = client.get("/")
        assert (answer.status_code, answer.headers["location"]) == (307, f"{ORIGIN}/")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert client.get("/api/status", headers=headers).status_code == 400


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:3000", "null"])
def test_a_foreign_origin_changes_nothing(
    client: TestClient, session: FakeSession, origin: str
) -> None:
    """What another site, or another port of this machine, sends is refused, even with the token."""
    headers = {"Origin": origin}
    assert client.post("/api/cover", json={"on": True}, headers=headers).status_code == 403
    assert client.patch("/api/settings", json={"mirror": True}, headers=headers).status_code == 403
    assert client.get("/api/settings", headers=headers).status_code == 403
    assert not session.covered
    assert session.settings.mirror is False


def test_a_picture_in_another_site_is_refused(client: TestClient) -> None:
    """What a browser says to come from another site is refused without an origin as well."""
    del client.headers["Origin"]
    for site in ("cross-site", "same-site"):
        answer = client.get("/api/snapshot.png", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/ws", "/ws/preview"])
@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:3000", "null"])
def test_sockets_need_the_page_s_origin(
    stranger: TestClient, session: FakeSession, path: str, origin: str
) -> None:
    """A WebSocket of another site is refused with the token too."""
    stranger.headers["Origin"] = origin
    for protocols in ([], ["greenroom", f"token.{TOKEN}"]):
        with pytest.raises(WebSocketDisconnect), opened(stranger, path, *protocols):
            pass
    assert session.opened == []


@pytest.mark.parametrize("path", ["/ws", "/ws/preview"])
def test_sockets_take_the_token_as_a_protocol(stranger: TestClient, path: str) -> None:
    """It is not answered: what is agreed upon is the harmless protocol."""
    for protocols in ([], ["greenroom"], ["greenroom", "token.wrong"], ["token.", TOKEN]):
        with pytest.raises(WebSocketDisconnect), opened(stranger, path, *protocols):
            pass
    for offered, agreed in (
        (["greenroom", f"token.{TOKEN}"], "greenroom"),
        ([f"token.{TOKEN}"], None),
    ):
        with opened(stranger, path, *offered) as socket:
            assert socket.accepted_subprotocol == agreed


@pytest.mark.parametrize("name", ["Host", "Origin", "Authorization", "Sec-Fetch-Site"])
def test_headers_that_decide_come_once(client: TestClient, name: str) -> None:
    """Two of a kind are refused: others on the way may take the other one."""
    values = {"Host": f"127.0.0.1:{PORT}", "Origin": ORIGIN, "Authorization": f"Bearer {TOKEN}"}
    value = values.get(name, "same-origin")
    headers = [*client.headers.multi_items(), (name, value), (name, value)]
    answer = client.get("/api/status", headers=headers)
    assert answer.status_code == 400
    assert name.lower() in answer.json()["message"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_protected(client: TestClient, path: str) -> None:
    """No answer may be framed, kept, sniffed, or load anything from elsewhere."""
    headers = client.get(path).headers

    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert f"connect-src 'self' ws://127.0.0.1:{PORT};" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(client: TestClient) -> None:
    """The page's files name no other host, and nothing that the policy would forbid."""
    page = client.get("/").text
    names = [part.split('"')[0] for part in page.split('"static/')[1:]]
    scripts = [
        "access.js",
        "session.js",
        "dom.js",
        "preview.js",
        "gallery.js",
        "controls.js",
        "status.js",
    ]
    files = {name: client.get(f"/static/{name}") for name in {*names, *scripts}}

    assert ORIGIN.startswith("http://127.0.0.1")
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page
    assert "<script>" not in page
    for name, answer in files.items():
        assert answer.status_code == 200, name
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, name
        assert "https://" not in text, name
        assert "innerHTML" not in text, name
    assert files["main.js"].headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/static/../app.py"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    """There is no documentation that loads from elsewhere, and no way out of the files."""
    assert client.get(path).status_code == 404
