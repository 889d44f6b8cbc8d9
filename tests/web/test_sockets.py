"""What is pushed to open pages: changes, and previews no faster than they are shown."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from starlette.websockets import WebSocketDisconnect

from web.conftest import PORT
from web.fake_session import SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.testclient import TestClient, WebSocketTestSession

    from web.fake_session import FakeSession

pytestmark = [pytest.mark.usefixtures("no_thread_left")]

DEADLINE_S = 10.0
TEAL = (0, 128, 128)


def eventually(check: Callable[[], object]) -> None:
    """Wait until another thread has done something."""
    end = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < end
        time.sleep(0.005)


def news(socket: WebSocketTestSession, kind: str) -> Any:
    """Return the next news of a kind."""
    while True:
        told = socket.receive_json()
        if told["type"] == kind:
            return told["value"]


def read_to_end(socket: WebSocketTestSession) -> None:
    """Read pictures until the connection is closed."""
    while True:
        socket.receive_bytes()


def unpacked(message: bytes) -> tuple[int, dict[int, Any]]:
    """Return a message's number, and its views as (H, W, 3) RGB."""
    number = struct.unpack_from(">I", message)[0]
    place, views = 4, {}
    while place < len(message):
        view, size = struct.unpack_from(">BI", message, place)
        data = np.frombuffer(message[place + 5 : place + 5 + size], np.uint8)
        views[view] = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
        place += 5 + size
    return number, views


def opened(client: TestClient, path: str) -> WebSocketTestSession:
    """Open a connection as a page does."""
    return client.websocket_connect(f"ws://127.0.0.1:{PORT}{path}")


@pytest.fixture
def only_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing sent just because time has passed."""
    monkeypatch.setattr("greenroom.web.sockets._STATUS_INTERVAL_S", 60.0)


def test_a_page_is_told_everything_at_once(client: TestClient, session: FakeSession) -> None:
    """Settings, the gallery's version and the status are told at the beginning."""
    with opened(client, "/ws") as socket:
        told = {}
        for _ in range(3):
            message = socket.receive_json()
            told[message["type"]] = message["value"]

    assert told["settings"] == client.get("/api/settings").json()
    assert told["backgrounds"] == 0
    assert told["status"]["config"] == str(session.config)


@pytest.mark.usefixtures("only_changes")
def test_changes_are_pushed_to_every_page(client: TestClient, session: FakeSession) -> None:
    """A change of settings, from wherever it comes, is told to all open pages at once."""
    with opened(client, "/ws") as one, opened(client, "/ws") as other:
        for socket in (one, other):
            assert news(socket, "settings")["settings"]["mirror"] is False
            news(socket, "status")
        session.update(mirror=True)
        for socket in (one, other):
            assert news(socket, "settings")["settings"]["mirror"] is True
            news(socket, "status")
        session.cover(on=True)
        for socket in (one, other):
            assert news(socket, "status")["covered"] is True


@pytest.mark.usefixtures("only_changes")
def test_a_change_of_the_gallery_is_pushed(client: TestClient) -> None:
    """After an upload every page is told to look at the gallery again."""
    picture = cv2.imencode(".png", np.zeros((9, 16, 3), np.uint8))[1].tobytes()
    with opened(client, "/ws") as socket:
        assert news(socket, "backgrounds") == 0
        news(socket, "status")
        client.post("/api/backgrounds", params={"name": "a.png"}, content=picture)
        assert news(socket, "backgrounds") == 1


def test_the_status_comes_regularly(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status is sent again and again, settings only when they changed."""
    monkeypatch.setattr("greenroom.web.sockets._STATUS_INTERVAL_S", 0.01)
    with opened(client, "/ws") as socket:
        kinds = [socket.receive_json()["type"] for _ in range(12)]

    assert kinds.count("status") == 10
    assert kinds.count("settings") == kinds.count("backgrounds") == 1


@pytest.mark.parametrize("error", [WebSocketDisconnect(1006), RuntimeError("it is closed")])
def test_a_page_that_went_away_at_once_is_no_error(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """That its preview is refused cannot be told any more."""
    told = []

    async def fail(*reason: object) -> None:
        told.append(reason)
        raise error

    monkeypatch.setattr("starlette.websockets.WebSocket.close", fail)
    with opened(client, "/ws/preview?views=x"):
        eventually(lambda: bool(told))


def test_a_page_that_went_away_is_forgotten(client: TestClient, session: FakeSession) -> None:
    """Nobody is told, and nothing is shown, any more."""
    with (
        opened(client, "/ws") as socket,
        opened(client, "/ws/preview") as preview,
    ):
        news(socket, "status")
        preview.receive_bytes()
        (shown,) = session.opened
        assert session.listeners
    eventually(lambda: not session.listeners)
    eventually(shown.closed.is_set)


def test_a_preview_has_the_views_that_were_asked_for(
    client: TestClient, session: FakeSession
) -> None:
    """Each message has what is sent and what the camera sees, of one moment, in one size."""
    session.update(background="color:teal")
    with opened(client, "/ws/preview?views=after,before") as socket:
        number, views = unpacked(socket.receive_bytes())

    assert number == 1
    assert sorted(views) == [0, 1]
    assert {view.shape for view in views.values()} == {(SIZE[1], SIZE[0], 3)}
    assert abs(views[0][3, 3].astype(int) - TEAL).max() <= 6
    assert abs(views[1][3, 3].astype(int) - TEAL).max() > 6


def test_nothing_of_the_camera_is_sent_while_covered(
    client: TestClient, session: FakeSession
) -> None:
    """A page that asks for the camera's picture gets the cover alone."""
    session.cover(on=True)
    with opened(client, "/ws/preview?views=before") as socket:
        assert list(unpacked(socket.receive_bytes())[1]) == [0]


def test_the_next_picture_waits_for_the_last_one(client: TestClient, session: FakeSession) -> None:
    """Nothing is made or sent before the page says that it has shown what it was sent."""
    with opened(client, "/ws/preview") as socket:
        assert unpacked(socket.receive_bytes())[0] == 1
        (preview,) = session.opened
        for said in ({"shown": 0}, {"shown": 7}, {"views": ["matte"]}):
            socket.send_json(said)
        eventually(lambda: frozenset({"matte"}) in preview.asked)
        time.sleep(0.2)  # as long as three pictures take
        assert preview.taken == 1
        socket.send_json({"shown": 1})
        number, views = unpacked(socket.receive_bytes())
        assert (number, list(views)) == (2, [2])


def test_pictures_are_not_sent_faster_than_they_are_needed(client: TestClient) -> None:
    """A page that shows at once what it gets is sent at most fifteen pictures a second."""
    with opened(client, "/ws/preview") as socket:
        started_s = time.monotonic()
        for _number in range(6):
            number, _views = unpacked(socket.receive_bytes())
            socket.send_json({"shown": number})
        assert time.monotonic() - started_s >= 5 / 15 - 0.02


@pytest.mark.parametrize(
    "said", ["no JSON", "[]", "[" * 4000, '{"views": 3}', '{"views": ["room"]}', b"\x00"]
)
@pytest.mark.parametrize("is_shown", [True, False])
def test_nonsense_ends_a_preview(
    client: TestClient,
    session: FakeSession,
    said: str | bytes,
    is_shown: bool,
) -> None:
    """What a page never says ends its preview with a reason, and nothing else."""
    with opened(client, "/ws/preview") as socket:
        socket.receive_bytes()
        (preview,) = session.opened
        if is_shown:
            socket.send_json({"shown": 1})
        socket.send_bytes(said) if isinstance(said, bytes) else socket.send_text(said)
        with pytest.raises(WebSocketDisconnect) as ended:
            read_to_end(socket)
    assert ended.value.code == 1008
    assert ended.value.reason
    eventually(preview.closed.is_set)


def test_a_view_that_there_is_not_is_refused(client: TestClient, session: FakeSession) -> None:
    """A page that asks for something else sees nothing."""
    with (
        opened(client, "/ws/preview?views=room") as socket,
        pytest.raises(WebSocketDisconnect) as ended,
    ):
        socket.receive_bytes()
    assert ended.value.code == 1008
    assert "room" in ended.value.reason
    assert session.opened == []


def test_what_a_page_sends_as_news_is_ignored(client: TestClient, session: FakeSession) -> None:
    """The connection for news takes anything, and goes on."""
    with opened(client, "/ws") as socket:
        news(socket, "status")
        socket.send_text("hello")
        socket.send_bytes(b"\xff")
        session.cover(on=True)
        while not news(socket, "status")["covered"]:
            pass


def test_there_are_only_so_many_previews(client: TestClient, session: FakeSession) -> None:
    """The ninth page is told to try again later, and can when another one is closed."""
    sockets = [opened(client, "/ws/preview") for _ in range(8)]
    for socket in sockets:
        socket.__enter__()
        socket.receive_bytes()
    with (
        opened(client, "/ws/preview") as ninth,
        pytest.raises(WebSocketDisconnect) as refused,
    ):
        ninth.receive_bytes()
    assert refused.value.code == 1013
    sockets.pop().__exit__(None, None, None)
    eventually(lambda: len(session.opened) == 7)
    with opened(client, "/ws/preview") as again:
        again.receive_bytes()
    for socket in sockets:
        socket.__exit__(None, None, None)
