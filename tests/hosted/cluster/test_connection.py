"""What of one machine a cluster does not have, and what is not public of Ray Serve."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from cluster.conftest import NEEDS_RAY

from greenroom.cluster.addresses import RAY_HERE
from greenroom.errors import SettingsError
from greenroom.hosted.cluster import ray_internals
from greenroom.hosted.options import ServeOptions, parse_replicas


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


@pytest.mark.parametrize("text", ["", "-", "2-", "-2", "a", "1-2-3", "1.5"])
def test_wrong_numbers_of_replicas(text: str) -> None:
    """What is no range of numbers is refused."""
    with pytest.raises(SettingsError, match="MIN-MAX"):
        parse_replicas(text)


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
def test_what_is_not_public_is_still_there() -> None:
    """A new version of Ray Serve has the function whose address is changed."""
    program = "from ray.serve._private import replica; print(replica.add_port_to_grpc_server)"
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)
