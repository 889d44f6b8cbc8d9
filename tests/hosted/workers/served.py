"""``greenroom serve`` as a process of its own, for tests."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Processes import everything anew, on a machine that may be busy.
START_S = 90.0
END_S = 30.0


class Served:
    """A service that runs.

    Parameters
    ----------
    *arguments : str
        Of the command.
    within : sequence of str
        A program that becomes the command, and its arguments.

    Attributes
    ----------
    process : Popen
    url : str
        Its address, without a slash at the end.
    log : list of str
        Its log so far.
    """

    def __init__(self, *arguments: str, within: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*within, sys.executable, "-m", "greenroom", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self.url = ""
        self._started = threading.Event()
        self._reading = [
            threading.Thread(target=self._read_output),
            threading.Thread(target=self._read_log),
        ]
        for thread in self._reading:
            thread.start()

    def wait(self) -> None:
        """Wait until it takes connections."""
        assert self._started.wait(START_S), "".join(self.log)
        assert self.url, "".join(self.log)

    def workers(self) -> list[int]:
        """Return the processes that have sessions."""
        return [one for one in descendants(self.process.pid) if is_worker(one)]

    def end(self, signal_number: int = signal.SIGTERM) -> int:
        """Ask it to end; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        return self.process.wait(END_S)

    def close(self) -> None:
        """End it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(END_S)
        for thread in self._reading:
            thread.join(END_S)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def _read_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.url = line.partition(" ")[2].strip().rstrip("/")
            self._started.set()
        self._started.set()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)


@contextmanager
def served(*arguments: str, within: Sequence[str] = ()) -> Iterator[Served]:
    """Run the service until the end of the block."""
    service = Served(*arguments, within=within)
    try:
        service.wait()
        yield service
    finally:
        service.close()


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found = []
    for child in _children(pid):
        found += [child, *descendants(child)]
    return found


def is_worker(pid: int) -> bool:
    """Whether a process is one that multiprocessing has spawned."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def await_end(pids: list[int], within_s: float) -> None:
    """Wait until processes have ended."""
    end_s = time.monotonic() + within_s
    while left := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < end_s, f"{left} still run"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(one) for one in text.split()]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
