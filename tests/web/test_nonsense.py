"""What nobody should send: each is refused with a sentence, in time, and nothing else happens."""

from __future__ import annotations

import json
import re
import socket
import stat
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import pytest
from starlette.websockets import WebSocketDisconnect

from web.conftest import TOKEN
from web.test_sockets import opened, read_to_end

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient

    from greenroom.web.gallery import Gallery
    from greenroom.web.server import PageServer
    from web.fake_session import FakeSession

pytestmark = [
    pytest.mark.usefixtures("no_thread_left"),
    pytest.mark.allow_hosts(["127.0.0.1"]),
]

DEADLINE_S: Final = 20.0
LONG: Final = "x" * 60_000
TEXTS: Final = [
    LONG,
    "\0",
    "a\0b",
    "\ud800",
    "half \udfff",
    "../" * 1300,
    "é" * 3000,
    "~nobody-is-called-so/beach.jpg",
    "~" + "u" * 300,
    "color:" + "9" * 3000,
    "blur:nan",
    "blur:-inf",
    "\U0010ffff" * 999,
    "%n%s",
]
VALUES: Final[list[Any]] = [
    *TEXTS,
    None,
    -1,
    1e308,
    float("nan"),
    float("-inf"),
    10**4000,
    [],
    {},
    [[[[]]]],
    {"a": {"\ud800": []}},
]
BODIES: Final = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe{}",
    b"[" * 60_000,
    b'{"a":' * 9000,
    b"1" * 60_000,
    b"1e999999",
    b'["\\ud800"]',
    b'{"on": 1}',
    b'{"on": NaN}',
    b'{"nonce": "\\ud800"}',
    b'{"code": ["a"]}',
    b'{"code": "\\ud800"}',
    b'{"nonce": "nnnnnnnnnnnnnnnnnnnnnn", "proof": "\\u00e9"}',
    b'{"on": true}' + b" " * 70_000,
]
WEBSOCKET: Final = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
HEADS: Final = [
    "Content-Length: abc\r\n",
    "Content-Length: -1\r\n",
    "Content-Length: " + "9" * 400 + "\r\n",
    "Content-Length: 1\r\nContent-Length: 2\r\n",
    "Content-Length: 99999999999\r\n",
    "Transfer-Encoding: foo\r\n",
    "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "Host: evil.example\r\n",
    "Authorization: Bearer x\r\n",
    "X-A: \0\r\n",
    "X-é: a\r\n",
    "X-A: " + "a" * 70_000 + "\r\n",
    WEBSOCKET + "8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    WEBSOCKET + "13\r\n",
    WEBSOCKET + "13\r\nSec-WebSocket-Key: x\r\n",
    WEBSOCKET + "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nContent-Length: 1\r\n",
]


def answered(port: int, said: bytes) -> tuple[int, dict[str, Any]]:
    """Say something, and return the status and the JSON of what is answered to it."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as connection:
        connection.settimeout(DEADLINE_S)
        connection.sendall(said)
        answer, length = b"", 0
        while not length or len(answer.partition(b"\r\n\r\n")[2]) < length:
            part = connection.recv(65536)
            assert part, answer
            answer += part
            if b"\r\n\r\n" in answer:
                found = re.search(rb"(?i)content-length: (\d+)", answer)
                length = int(found[1]) if found else 0
    # What follows may be taken for another request, and answered too.
    return int(answer.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2][:length])


@pytest.mark.parametrize(
    "name", ["background", "overlay", "plate", "keep_region", "edge_shift", "people"]
)
def test_no_value_is_too_odd(client: TestClient, session: FakeSession, name: str) -> None:
    """A value of any kind and length is taken or refused with a sentence, never a failure."""
    before = session.settings
    for value in VALUES:
        answer = client.patch("/api/settings", content=json.dumps({name: value}).encode())
        assert answer.status_code in (200, 413, 422), (value, answer.text)
        if answer.status_code != 200:
            told = answer.json()
            assert set(told) == {"name", "message"}
            assert 0 < len(told["message"]) < 10_000
    client.patch("/api/settings", json={name: getattr(before, name)})


@pytest.mark.parametrize("name", ["", "self", "__class__", "\ud800", "\0", "x" * 5000, "é y"])
def test_no_name_is_too_odd(client: TestClient, name: str) -> None:
    """A setting that there is not is told, whatever it is called."""
    answer = client.patch("/api/settings", content=json.dumps({name: 1}).encode())
    assert answer.status_code == 422
    assert answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/api/settings"),
        ("POST", "/api/cover"),
        ("POST", "/api/hello"),
        ("POST", "/api/enter"),
        ("PUT", "/api/backgrounds/order"),
        ("POST", "/api/backgrounds?name=%ff%00"),
        ("POST", "/api/nothing"),
    ],
)
def test_no_body_is_too_odd(client: TestClient, method: str, path: str) -> None:
    """What is no JSON, or other JSON than what was expected, is refused with a sentence."""
    for body in BODIES:
        answer = client.request(method, path, content=body)
        assert answer.status_code in (200, 400, 403, 404, 413, 422), (body[:40], answer.text)
        assert answer.status_code == 200 or answer.json()["message"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/backgrounds/%00",
        "/api/backgrounds/%ff/thumbnail",
        "/api/backgrounds/..%2f..%2fetc/thumbnail",
        "/api/backgrounds/" + "a" * 20_000,
        "/static/%2e%2e/app.py",
        "/nothing/%zz",
        "/api",
        "/ws",
    ],
)
def test_no_address_is_too_odd(client: TestClient, method: str, path: str) -> None:
    """What is not there is told as JSON, by every method."""
    answer = client.request(method, path)
    assert answer.status_code in (404, 405)
    assert answer.json()["message"]


def test_no_head_is_too_odd(server: PageServer) -> None:
    """What is no request, or one that contradicts itself, is refused as JSON and at once."""
    start = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
    for head in HEADS:
        for first in ("POST /api/backgrounds", "GET /ws"):
            said = f"{first} HTTP/1.1\r\n{start}{head}\r\n".encode("latin-1")
            if first.startswith("GET") and "999" in head:
                continue  # a body that nobody reads
            status, told = answered(server.port, said)
            assert 400 <= status < 500, (head, told)
            assert told["message"]
    for said in (
        b"\0" * 99,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\0",
        b"a" * 70_000,
    ):
        status, told = answered(server.port, said + b"\r\n\r\n")
        assert (status, set(told)) == (400, {"name", "message"})


@pytest.mark.parametrize(
    "head", [f"{WEBSOCKET}8\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"]
)
def test_a_wrong_request_for_the_head_alone_is_refused(
    server: PageServer, caplog: pytest.LogCaptureFixture, head: str
) -> None:
    """It is answered without a body, as HEAD is, and nothing is said of it in the terminal."""
    said = f"HEAD /nothing HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{head}"
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S) as connection:
        connection.sendall(said.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert re.match(rb"HTTP/1.1 40[03] ", answer)
    assert answer.endswith(b"\r\n\r\n")
    assert not caplog.records


@pytest.mark.parametrize(
    "said",
    [
        '{"views": ["\\ud800"]}',
        json.dumps({"views": ["é" * 900]}),
        '{"shown": 1e999, "views": {}}1',
    ],
)
def test_no_message_is_too_odd(client: TestClient, said: str) -> None:
    """What no page says ends its preview with a reason that fits."""
    with opened(client, "/ws/preview") as page:
        page.receive_bytes()
        page.send_text(said)
        with pytest.raises(WebSocketDisconnect) as ended:
            read_to_end(page)
    assert ended.value.code == 1008
    assert 0 < len(ended.value.reason.encode()) <= 123


@pytest.mark.parametrize("suffix", [".png", ".mp4"])
def test_what_is_kept_is_private(
    client: TestClient, gallery: Gallery, suffix: str, tmp_path: Path
) -> None:
    """Uploads, their names and thumbnails can be read by nobody else, nor can their folder."""
    gallery.folder.chmod(0o755)
    if suffix == ".png":
        data = cv2.imencode(".png", np.zeros((9, 16, 3), np.uint8))[1].tobytes()
    else:
        from e2e.conftest import write_clip  # noqa: PLC0415 - for this case

        data = write_clip(tmp_path / "clip.mp4", (96, 64), 3).read_bytes()
    answer = client.post("/api/backgrounds", params={"name": f"a{suffix}"}, content=data)
    assert answer.status_code == 201, answer.text
    assert client.get(answer.json()["thumbnail"]).status_code == 200
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in gallery.folder.rglob("*")
        if path.is_file()
    }
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}
    for folder in (gallery.folder, gallery.folder / "thumbnails"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_full_disk_is_told(
    client: TestClient, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload that does not fit leaves nothing, and it is said which folder is full."""

    def fail(_: Path, *, private: bool) -> None:
        assert private
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("greenroom.web.background_routes.new_file", fail)
    answer = client.post("/api/backgrounds", params={"name": "a.png"}, content=b"x" * 9)
    assert answer.status_code == 422
    assert f"'{gallery.folder}' cannot be written to: No space left" in answer.json()["message"]
    assert list(gallery.folder.iterdir()) == []
