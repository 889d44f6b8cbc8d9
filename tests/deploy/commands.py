"""Commands of the files for operators."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEPLOY = Path(__file__).parents[2] / "deploy"
DEADLINE_S = 15.0


def configured(name: str, replaced: Mapping[str, str]) -> str:
    """Return a file for operators with some of its text replaced, which has to be there."""
    text = (DEPLOY / name).read_text()
    for old, new in replaced.items():
        assert old in text, f"{name} has no '{old}'"
        text = text.replace(old, new)
    return text


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that was free a moment ago, for programs that cannot choose one themselves."""
    with socket.socket(type=kind) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def await_port(port: int) -> None:
    """Wait until a program takes connections."""
    end_s = time.monotonic() + DEADLINE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end_s, "the program does not take connections"
            time.sleep(0.05)
        else:
            return


def assert_flags_exist(arguments: Sequence[str]) -> None:
    """Fail if the command would not take some arguments; nothing is served."""
    result = subprocess.run(
        [sys.executable, "-m", "greenroom", *arguments, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
