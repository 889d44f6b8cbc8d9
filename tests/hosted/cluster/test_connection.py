"""How a cluster is reached, and what is refused before that."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from greenroom.errors import SettingsError, SinkError
from greenroom.hosted.cluster import ray_internals
from greenroom.hosted.cluster.connection import connected
from greenroom.hosted.options import (
    RAY_HERE,
    ServeOptions,
    parse_ray_address,
    parse_replicas,
)
from hosted.cluster.conftest import NEEDS_RAY


@pytest.mark.parametrize(
    ("chosen", "word"),
    [
        ({"workers": 2}, "not both"),
        ({"public_address": "192.0.2.1"}, "GREENROOM_PUBLIC_ADDRESS"),
        ({"replicas": (3, 2)}, "3-2"),
        ({"replicas": (0, 2)}, "0-2"),
        ({"ray": "http://10.0.0.5:8265"}, "HOST:PORT"),
    ],
)
def test_what_a_cluster_does_not_have_is_refused(chosen: dict[str, Any], word: str) -> None:
    """Options of one machine alone are refused, with what to do in place of them."""
    with pytest.raises(SettingsError, match=word):
        ServeOptions(**({"ray": RAY_HERE} | chosen)).check()


def test_ports_are_shared_by_replicas() -> None:
    """Fewer UDP ports than processors are no error: replicas of a machine share them."""
    ServeOptions(ray="10.0.0.5", udp_ports=range(40000, 40001)).check()


@pytest.mark.parametrize("text", ["", "10.0.0.5:x", "10.0.0.5:99999", "u@10.0.0.5", ":6379"])
def test_wrong_addresses(text: str) -> None:
    """An address that is none is refused."""
    with pytest.raises(SettingsError, match="HOST:PORT"):
        parse_ray_address(text)


def test_addresses() -> None:
    """The port is Ray's own unless it is given."""
    assert parse_ray_address("head.example") == ("head.example", 6379)
    assert parse_ray_address("[fd00::5]:7000") == ("fd00::5", 7000)


@pytest.mark.parametrize("text", ["", "-", "2-", "-2", "a", "1-2-3", "1.5"])
def test_wrong_numbers_of_replicas(text: str) -> None:
    """What is no range of numbers is refused."""
    with pytest.raises(SettingsError, match="MIN-MAX"):
        parse_replicas(text)


def test_ray_without_tokens_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ray that lets everybody in is neither started nor joined."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(SettingsError, match="RAY_AUTH_MODE=token"):
        ray_internals.prepare(is_loopback=True, is_own=True)


def test_environment_of_a_ray_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends no usage reports, and has a token that is new each time."""
    monkeypatch.setattr(os, "environ", dict[str, str]())
    ray_internals.prepare(is_loopback=True, is_own=True)
    first = dict(os.environ)
    assert first["RAY_USAGE_STATS_ENABLED"] == "0"
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    os.environ.clear()
    ray_internals.prepare(is_loopback=False, is_own=False)
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_calls_between_replicas_are_not_taken_from_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray Serve's server for them listens at the address of its machine alone."""
    asked = []

    def add_port(_server: object, address: str) -> int:
        asked.append(address)
        return 5

    module = SimpleNamespace(add_port_to_grpc_server=add_port)
    private = SimpleNamespace(replica=module)
    monkeypatch.setitem(sys.modules, "ray.serve._private", private)
    ray_internals.listen_at("127.0.0.1")
    assert module.add_port_to_grpc_server(None, "[::]:0") == 5
    ray_internals.listen_at("fd00::5")
    module.add_port_to_grpc_server(None, "[::]:0")
    assert asked == ["127.0.0.1:0", "[fd00::5]:0"]


@NEEDS_RAY
@pytest.mark.allow_hosts(["127.0.0.1"])
def test_nobody_answers() -> None:
    """An address where no Ray is gives an error that says how to start it, and at once."""
    with (
        pytest.raises(SinkError, match="ray start --head"),
        connected("127.0.0.1:1"),
    ):
        pass


@NEEDS_RAY
def test_what_is_not_public_is_still_there() -> None:
    """A new version of Ray Serve has the function whose address is changed."""
    program = "from ray.serve._private import replica; print(replica.add_port_to_grpc_server)"
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
