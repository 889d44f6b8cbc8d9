"""What the tests with Ray share."""

from __future__ import annotations

import secrets
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDS_RAY = pytest.mark.skipif(
    find_spec("ray") is None, reason="needs the extra cluster: pip install 'greenroom[cluster]'"
)


@pytest.fixture(scope="session")
def ray_environment() -> Iterator[None]:
    """Set what an operator sets on every machine: token authentication, no usage reports."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback as such
        yield


class TwoNodes:
    """Two nodes that run.

    Attributes
    ----------
    address : str
        Of the first.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("two_nodes.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self._line()

    def end_second(self) -> None:
        """End the second one as a crash would."""
        assert self._process.stdin is not None
        self._process.stdin.write("end\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End what is left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def two_nodes(ray_environment: None) -> Iterator[TwoNodes]:  # noqa: ARG001 - set before they start
    """Return two nodes."""
    nodes = TwoNodes()
    try:
        assert nodes.address
        yield nodes
    finally:
        nodes.close()
