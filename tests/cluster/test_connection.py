"""How a cluster is reached, and what is refused before that."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from cluster.conftest import NEEDS_RAY
from greenroom.cluster.addresses import parse_ray_address
from greenroom.cluster.connection import connected
from greenroom.cluster.ray_environment import prepare
from greenroom.errors import SettingsError, SinkError


@pytest.mark.parametrize("text", ["", "10.0.0.5:x", "10.0.0.5:99999", "u@10.0.0.5", ":6379"])
def test_wrong_addresses(text: str) -> None:
    """An address that is none is refused."""
    with pytest.raises(SettingsError, match="HOST:PORT"):
        parse_ray_address(text)


def test_addresses() -> None:
    """The port is Ray's own unless it is given."""
    assert parse_ray_address("head.example") == ("head.example", 6379)
    assert parse_ray_address("[fd00::5]:7000") == ("fd00::5", 7000)


def test_ray_without_tokens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray that lets everybody in is neither started nor joined."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(SettingsError, match="RAY_AUTH_MODE=token"):
        prepare(is_loopback=True, is_own=True)


def test_environment_of_a_ray_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends no usage reports, and has a token that is new each time."""
    monkeypatch.setattr(os, "environ", dict[str, str]())
    prepare(is_loopback=True, is_own=True)
    first = dict(os.environ)
    assert first["RAY_USAGE_STATS_ENABLED"] == "0"
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    os.environ.clear()
    prepare(is_loopback=False, is_own=False)
    assert "RAY_AUTH_TOKEN" not in os.environ


@NEEDS_RAY
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_nobody_answers() -> None:
    """An address where no Ray is gives an error that says how to start it, and at once."""
    with (
        pytest.raises(SinkError, match="ray start --head"),
        connected("127.0.0.1:1", "test"),
    ):
        pass


@NEEDS_RAY
@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("says", [b"", b"220 mail.example ESMTP\r\n"])
def test_something_else_answers(says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes connections and is no Ray, or hangs, is given up within seconds."""
    monkeypatch.setattr("greenroom.cluster.connection._REACH_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            taken.append(server.accept()[0])
            taken[0].sendall(says)

        thread = threading.Thread(target=take)
        thread.start()
        with (
            pytest.raises(SinkError, match="ray start --head"),
            connected(f"127.0.0.1:{server.getsockname()[1]}", "test"),
        ):
            pass
        thread.join(5)
        taken[0].close()
