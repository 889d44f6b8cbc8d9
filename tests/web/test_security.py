"""Who may use the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from web.conftest import ORIGIN, PORT, TOKEN

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from web.fake_session import FakeSession

pytestmark = [pytest.mark.usefixtures("no_thread_left")]

PATHS = ["/", "/static/main.js", "/api/settings", "/api/status", "/api/snapshot.png", "/nothing"]


def test_the_right_token_opens_the_page_and_leaves_the_address(stranger: TestClient) -> None:
    """The address with the token sets a cookie no script can read, and leads to one without."""
    answer = stranger.get("/", params={"token": TOKEN})

    assert answer.status_code == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"greenroom-{PORT}=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize("token", ["wrong", "", "ö", TOKEN + "x", TOKEN[:-1]])
def test_a_wrong_token_is_told_where_the_right_one_is(stranger: TestClient, token: str) -> None:
    """A wrong token gets no cookie, but a page that says how to get the right address."""
    answer = stranger.get("/", params={"token": token})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "greenroom run printed" in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_served_without_the_token(stranger: TestClient, path: str) -> None:
    """Every path, the page's own files among them, needs the token."""
    assert stranger.get(path).status_code == 403
    stranger.cookies.set(f"greenroom-{PORT}", "wrong")
    assert stranger.get(path).status_code == 403
    assert stranger.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 403


def test_a_program_may_use_the_token_in_a_header(
    stranger: TestClient, session: FakeSession
) -> None:
    """A program without cookies and without an origin covers with the token in a header."""
    answer = stranger.post(
        "/api/cover", json={"on": True}, headers={"Authorization": f"Bearer {TOKEN}"}
    )

    assert answer.status_code == 200
    assert session.covered


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8477", "127.0.0.1", "127.0.0.1:80", "0.0.0.0:8477", ""]
)
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    """A name that was made to mean this machine leads nowhere, even with the cookie."""
    answer = client.get("/api/settings", headers={"Host": host})

    assert answer.status_code == 400
    assert "127.0.0.1:8477" in answer.json()["message"]


def test_localhost_is_this_machine_too(app: ASGIApp) -> None:
    """The page can be opened as localhost."""
    with TestClient(app, base_url=f"http://localhost:{PORT}") as client:
        assert client.get("/", params={"token": TOKEN}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:3000", "null"])
def test_a_foreign_origin_changes_nothing(
    client: TestClient, session: FakeSession, origin: str
) -> None:
    """What another site, or another port of this machine, sends with the cookie is refused."""
    headers = {"Origin": origin}
    assert client.post("/api/cover", json={"on": True}, headers=headers).status_code == 403
    assert client.patch("/api/settings", json={"mirror": True}, headers=headers).status_code == 403
    assert client.get("/api/settings", headers=headers).status_code == 403
    assert not session.covered
    assert session.settings.mirror is False


def test_a_write_with_the_cookie_needs_an_origin(client: TestClient) -> None:
    """A form of another site, which old browsers send without an origin, changes nothing."""
    del client.headers["Origin"]

    assert client.post("/api/cover", json={"on": True}).status_code == 403
    assert client.get("/api/settings").status_code == 200


def test_a_picture_in_another_site_is_refused(client: TestClient) -> None:
    """What a browser says to come from another site is refused without an origin as well."""
    del client.headers["Origin"]
    for site in ("cross-site", "same-site"):
        answer = client.get("/api/snapshot.png", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/ws", "/ws/preview"])
@pytest.mark.parametrize("origin", ["http://evil.example", None])
def test_sockets_need_the_page_s_origin(
    stranger: TestClient, session: FakeSession, path: str, origin: str | None
) -> None:
    """A WebSocket of another site, or of no page at all, is refused with the cookie too."""
    stranger.get("/", params={"token": TOKEN})
    headers = {"Origin": origin} if origin else {}
    with (
        pytest.raises(WebSocketDisconnect),
        stranger.websocket_connect(f"ws://127.0.0.1:{PORT}{path}", headers=headers),
    ):
        pass
    assert session.opened == []


@pytest.mark.parametrize("path", [*PATHS, "/?token=wrong"])
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
    names = [part.split('"')[0] for part in page.split('"/static/')[1:]]
    scripts = ["session.js", "dom.js", "preview.js", "gallery.js", "controls.js", "status.js"]
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
