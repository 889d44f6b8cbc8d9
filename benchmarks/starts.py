"""What a start costs: CPU seconds of a process until it has ended, or until its first frame."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Final

from turns import cpu_s_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Until = Callable[[subprocess.Popen[bytes]], bool]

__all__ = ["begun"]

HOMES: Final = (
    *("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"),
    "NUMBA_CACHE_DIR",
)


# The command, which says when a picture of the person may leave.
TELLING: Final = """
import sys
try:
    from greenroom.cli.lean_start import begin_start
except ImportError:  # an earlier version
    pass
else:
    begin_start()
from greenroom.live.gate import Gate
offer = Gate.offer
def offered(*arguments):
    left = offer(*arguments)
    if left:
        print("sent", flush=True)
    return left
Gate.offer = offered
from greenroom.cli import main
main()
"""


def begun(folder: Path, clip: Path, size: tuple[int, int], python: Path) -> dict[str, float]:
    """Return the CPU seconds of each thing that is begun once."""
    command = python.with_name("greenroom")
    picture = ["--background", "beach"]
    null = ["--to", "null", "--no-on-demand"]
    commands: dict[str, tuple[list[str | Path], Until | None]] = {
        "import numpy": ([python, "-c", "import numpy"], None),
        "import greenroom": ([python, "-c", "import greenroom"], None),
        "import VirtualBackground": (
            [python, "-c", "from greenroom import VirtualBackground"],
            None,
        ),
        "greenroom --help": ([command, "--help"], None),
        "greenroom convert, to its first frame": (
            [command, "convert", clip, "-", *picture],
            partial(is_first_frame, size),
        ),
        "greenroom run, to its first frame": (
            [python, "-c", TELLING, "run", "--source", clip, *null, *picture],
            partial(is_told, b"sent"),
        ),
        "greenroom run, until it says what is sent": (
            [command, "run", "--source", clip, *null, *picture],
            partial(is_told, b"sending you"),
        ),
    }
    return {what: cpu_s(folder, line, until) for what, (line, until) in commands.items()}


def is_first_frame(size: tuple[int, int], process: subprocess.Popen[bytes]) -> bool:
    """Read the first frame out of Y4M."""
    output = process.stdout
    assert output is not None
    output.readline()
    width, height = size
    samples = width * height * 3 // 2
    return output.readline().startswith(b"FRAME") and len(output.read(samples)) == samples


def is_told(words: bytes, process: subprocess.Popen[bytes]) -> bool:
    """Read until it says something."""
    assert process.stdout is not None
    return any(line.startswith(words) for line in process.stdout)


def cpu_s(folder: Path, command: Sequence[str | Path], until: Until | None) -> float:
    """Run a command to its end, or until its output says so; return its CPU seconds so far.

    Nothing is kept for it: it has a new home each time, and so have numba's kernels, which
    earlier ones had.
    """
    with (
        tempfile.TemporaryDirectory(dir=folder) as home,
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd=home,
            env=os.environ | dict.fromkeys(HOMES, home),
        ) as process,
    ):
        assert process.stdout is not None
        if until is None:
            process.stdout.read()
            ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            went_well = ended is not None and ended.si_status == 0
        else:
            went_well = until(process)
        spent_s = cpu_s_of(process)
        process.kill()
        if not went_well:
            said.seek(0)
            sys.exit(f"benchmarks: {command[0]} failed: {said.read()}")
    return spent_s
