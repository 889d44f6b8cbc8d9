"""Programs that are measured in turns, so that a noisy machine is as noisy for each of them.

Each is a process that keeps what it has loaded, waits, and measures a few frames when it is told
to. What is compared are neighbours in time: the median of their ratios counts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Command = Sequence[str | Path]
    Measured = dict[str, float]

__all__ = ["answer_turns", "cpu_s_of", "in_turns", "median", "median_ratio"]

# Clocks of processes on Linux: the number's complement, and which of their clocks (CLOCK_SCHED).
_CLOCK_OF_PROCESS: Final = 2


def answer_turns(measure: Callable[[int], Measured]) -> None:
    """Measure as many frames as each line of standard input says; print the result as JSON."""
    for line in sys.stdin:
        print(json.dumps(measure(int(line))), flush=True)


def in_turns(commands: Mapping[str, Command], turns: int, frames: int) -> dict[str, list[Measured]]:
    """Have programs that answer turns measure one after the other, and over again.

    Parameters
    ----------
    commands : mapping
        The programs by name.
    turns : int
        How often each has its turn.
    frames : int
        Frames of one turn; the first turn of each warms up, and is not counted.
    """
    measured: dict[str, list[Measured]] = {name: [] for name in commands}
    with ExitStack() as opened:
        running = {
            name: opened.enter_context(_started(command)) for name, command in commands.items()
        }
        for number in range(turns + 1):
            for name, ask in running.items():
                answer = ask(frames)
                if number > 0:
                    measured[name].append(answer)
    return measured


@contextmanager
def _started(command: Command) -> Iterator[Callable[[int], Measured]]:
    """Start a program that answers turns; end it afterwards."""
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=said, text=True) as process,
    ):
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None

        def ask(frames: int) -> Measured:
            asked.write(f"{frames}\n")
            asked.flush()
            line = answers.readline()
            if not line:
                process.wait()
                said.seek(0)
                sys.exit(f"benchmarks: {command[0]} failed: {said.read()}")
            result: Measured = json.loads(line)
            return result

        try:
            yield ask
        finally:
            process.kill()


def median(measured: Sequence[Mapping[str, float]], what: str) -> float:
    """Return the median of one figure over all turns."""
    return statistics.median(each[what] for each in measured)


def median_ratio(
    ours: Sequence[Mapping[str, float]],
    theirs: Sequence[Mapping[str, float]],
    what: str = "cpu",
) -> float:
    """Return the median of the ratios of one figure in neighbouring turns."""
    pairs = zip(ours, theirs, strict=True)
    return statistics.median(one[what] / other[what] for one, other in pairs)


def cpu_s_of(process: subprocess.Popen[Any]) -> float:
    """Return the CPU seconds that all threads of a running process have taken (Linux)."""
    return time.clock_gettime((~process.pid << 3) | _CLOCK_OF_PROCESS)
