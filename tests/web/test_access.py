"""Tokens, codes, and what a tab and greenroom prove to each other."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from greenroom.web.access import Access, knows_connection_owners, owner_of
from web.conftest import PORT, TOKEN

if TYPE_CHECKING:
    from starlette.testclient import TestClient

NONCE = "n" * 43


def said(key: bytes, who: str, nonce: str, other: str) -> str:
    """Compute a proof by RFC 2104 alone, as a page does."""
    digest = hmac.new(key, f"{who} {nonce} {other}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()


def test_who_has_the_key_gets_the_token(client: TestClient, stranger: TestClient) -> None:
    """Both sides say what only the key can say; greenroom first, and differently."""
    key = base64.urlsafe_b64decode(client.get("/api/key").json()["key"])
    del stranger.headers["Authorization"]
    hello = stranger.post("/api/hello", json={"nonce": NONCE}).json()
    assert hello["proof"] == said(key, "server", NONCE, hello["nonce"])
    proof = said(key, "page", NONCE, hello["nonce"])
    assert stranger.post("/api/enter", json={"nonce": NONCE, "proof": proof}).json() == {
        "token": TOKEN
    }


def test_who_has_not_gets_nothing(stranger: TestClient, access: Access) -> None:
    """Neither what greenroom said itself, nor another key, nonce or port lets in."""
    hello = stranger.post("/api/hello", json={"nonce": NONCE}).json()
    key = base64.urlsafe_b64decode(access.tab_key)
    access.port = PORT + 1
    elsewhere = base64.urlsafe_b64decode(access.tab_key)
    access.port = PORT
    for nonce, proof in (
        (NONCE, hello["proof"]),
        (NONCE, said(b"another key", "page", NONCE, hello["nonce"])),
        (NONCE, said(elsewhere, "page", NONCE, hello["nonce"])),
        ("m" * 43, said(key, "page", NONCE, hello["nonce"])),
        (NONCE, said(key, "page", NONCE, "o" * 43)),
        (NONCE, ""),
        ("", said(key, "page", "", hello["nonce"])),
    ):
        answer = stranger.post("/api/enter", json={"nonce": nonce, "proof": proof})
        assert answer.status_code == 403
        assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "body", [None, [], {}, {"nonce": 3}, {"nonce": ""}, {"nonce": "a b" * 20}, {"nonce": "\ud800"}]
)
def test_nonsense_is_no_greeting(stranger: TestClient, body: Any) -> None:
    """What is no nonce is refused with a sentence."""
    for path in ("/api/hello", "/api/enter"):
        answer = stranger.post(path, content=_json(body))
        assert answer.status_code in (403, 422)
        assert answer.json()["message"]


def _json(body: object) -> bytes:
    import json  # noqa: PLC0415 - httpx cannot send half characters

    return json.dumps(body).encode()


def test_codes_work_once_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A code is used up, ends after a minute, and there are only so many of them."""
    now_s = [1000.0]
    monkeypatch.setattr("greenroom.web.access.time.monotonic", lambda: now_s[0])
    access = Access(b"k" * 32)
    code = access.code()
    assert not access.redeem(code[:-1])
    assert access.redeem(code)
    assert not access.redeem(code)
    late = access.code()
    now_s[0] += 60.0
    assert not access.redeem(late)
    codes = [access.code() for _ in range(20)]
    assert [access.redeem(one) for one in codes] == [False] * 4 + [True] * 16


def test_a_new_token_ends_everything() -> None:
    """Token, codes and key are others after it, and who listens is told."""
    access = Access(b"k" * 32, make_key=lambda: b"x" * 32)
    access.port = PORT
    token, key, code, told = access.token, access.tab_key, access.code(), [0]
    access.subscribe(lambda: told.append(1))
    access.renew()
    assert told == [0, 1]
    assert not access.is_token(token)
    assert not access.redeem(code)
    assert access.tab_key != key
    assert access.token in access.url


@pytest.mark.skipif(not knows_connection_owners(), reason="only Linux tells whose connections are")
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_connections_have_owners() -> None:
    """The system says that a connection of this process belongs to this user."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        ports = client.getsockname()[1], server.getsockname()[1]
        assert owner_of(*ports) == os.getuid()
    assert owner_of(1, ports[1]) is None


@pytest.mark.skipif(not knows_connection_owners(), reason="only Linux tells whose connections are")
def test_a_code_is_for_its_owner(
    client: TestClient, stranger: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user who reads it from a command line is refused, and does not use it up."""
    code = client.post("/api/code").json()["code"]
    del stranger.headers["Authorization"]
    for owner, status in ((os.getuid() + 1, 403), (None, 403), (os.getuid(), 200)):
        monkeypatch.setattr("greenroom.web.entry_routes.owner_of", lambda *_, uid=owner: uid)
        assert stranger.post("/api/enter", json={"code": code}).status_code == status
