"""``greenroom batch --ray``: a node that is lost, an interruption, and clusters that do not do."""

from __future__ import annotations

import importlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from cluster.conftest import NEEDS_RAY, TwoNodes, ray_environment
from hosted.workers.served import await_end, descendants

import greenroom
from archives.test_segments import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["ray_environment"]

pytestmark = [
    NEEDS_RAY,
    pytest.mark.usefixtures("ray_environment"),
    pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc"),
]

TICKS = 512  # a frame of 25 a second
BACKGROUND = "color:teal"
LIMIT_S = 120.0
# Levels of 255: a segment begins with a key frame where the whole clip has none.
MEAN_LEVELS = 2.0
COMMAND = "from greenroom.cli import main; main()"


@pytest.fixture(scope="module")
def nodes(ray_environment: None) -> Iterator[TwoNodes]:  # noqa: ARG001 - set before they start
    """Return two nodes, which two tests share: one of them ends the second node."""
    made = TwoNodes()
    try:
        assert made.address
        yield made
    finally:
        made.close()


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """Return a folder with two clips of 24 s and one of 4 s."""
    folder = tmp_path / "talks"
    folder.mkdir()
    for name, frames in (("one", 600), ("two", 600), ("three", 100)):
        times = [number * TICKS for number in range(frames)]
        times[50:] = [time + 100 for time in times[50:]]  # not quite regular
        recorded(folder / f"{name}.mp4", times, key_every=50)
    return folder


class Run:
    """A batch that runs as a process of its own.

    Parameters
    ----------
    folder : Path
        Of inputs; the outputs go beside it.
    *arguments : str
        More of the command.
    program : str
        What Python runs.
    """

    def __init__(self, folder: Path, *arguments: str, program: str = COMMAND) -> None:
        self.out = folder.parent / "done"
        command = ["batch", str(folder), "--out-dir", str(self.out), "--background", BACKGROUND]
        self._said = folder.parent / "output", folder.parent / "errors"
        with self._said[0].open("w") as output, self._said[1].open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, *command, "--json", *arguments],
                stdout=output,
                stderr=errors,
            )

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has happened, while it runs."""
        end_s = time.monotonic() + LIMIT_S
        while not condition():
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < end_s
            time.sleep(0.02)

    def count(self, condition: str) -> int:
        """Return how many segments there are in the manifest with a property."""
        manifest = self.out / ".greenroom/manifest.sqlite"
        with suppress(sqlite3.OperationalError), closing(_opened(manifest)) as database:
            query = f"SELECT COUNT(*) FROM segments WHERE {condition}"  # noqa: S608 - no input
            return int(database.execute(query).fetchone()[0])
        return 0

    def end(self) -> tuple[int, list[dict[str, Any]], str]:
        """Wait for its end; return status, results, and messages."""
        try:
            status = self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
        output, errors = (path.read_text() for path in self._said)
        return status, [json.loads(line) for line in output.splitlines()], errors


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def shown(path: Path) -> tuple[list[int | None], np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the times and pictures of a clip."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    pictures = [frame.to_ndarray(format="gray") for frame in frames]
    return [frame.pts for frame in frames], np.asarray(pictures, float)


def left_over(out: Path) -> list[Path]:
    """Return what is unfinished in an output folder."""
    return list((out / ".greenroom/staged").iterdir())


def test_a_lost_node_loses_no_file(nodes: TwoNodes, talks: Path, tmp_path: Path) -> None:
    """Its segments are done on the other one; the result is that of one machine."""
    run = Run(talks, f"--ray={nodes.address}", "--segment-seconds=10")
    run.until(lambda: run.count("state = 'done'") > 0)
    nodes.end_second()
    status, told, said = run.end()
    assert (status, told[-1]["batch"]["done"]) == (0, 3), said
    assert "was lost" in said
    assert sum(one.get("attempts", 0) for one in told) > 3
    assert left_over(run.out) == []
    for path in talks.iterdir():
        alone = tmp_path / f"alone-{path.name}"
        greenroom.convert(path, alone, background=BACKGROUND)
        times, pictures = shown(run.out / path.name)
        expected_times, expected = shown(alone)
        assert times == expected_times
        assert np.abs(pictures - expected).mean(axis=(1, 2)).max() < MEAN_LEVELS


def test_lost_machines_are_told_from_processes_that_ended() -> None:
    """For the first no file is given up soon; the second is an attempt."""
    exceptions = importlib.import_module("ray.exceptions")
    foreman = importlib.import_module("greenroom.archives.cluster.foreman")
    assert foreman.is_of_machine(exceptions.ActorUnavailableError("no connection", None))
    died = exceptions.ActorDiedError(None)
    assert not foreman.is_of_machine(died)
    died.error_msg += " The actor died because its node has died. Node Id: 5f"
    assert foreman.is_of_machine(died)


def test_interrupted_and_taken_up(talks: Path) -> None:
    """Ctrl-C ends Ray and its workers, and leaves nothing but the manifest; it goes on from there.

    Ray is started for the run here, on this machine.
    """
    run = Run(talks, "--ray", "--segment-seconds=10", "--jobs=1")
    run.until(lambda: run.count("state = 'done'") > 0)
    processes = descendants(run.process.pid)
    assert len(processes) > 2
    run.process.send_signal(signal.SIGINT)
    status, told, said = run.end()
    assert (status, told) == (130, []), said
    await_end(processes, 10)
    kept = [path.name for path in left_over(run.out)]
    assert kept
    assert all(name.endswith(".part") for name in kept)
    again = Run(talks, "--jobs=2", "--segment-seconds=10")
    status, told, said = again.end()
    assert (status, told[-1]["batch"]["done"]) == (0, 3), said
    assert left_over(run.out) == []


def test_workers_with_another_version(nodes: TwoNodes, talks: Path) -> None:
    """They get no work, and both versions are named."""
    older = f"import greenroom.cli.archive_run as run; run._VERSION = '0.0.1'; {COMMAND}"
    status, told, said = Run(talks, f"--ray={nodes.address}", program=older).end()
    assert (status, told) == (1, [])
    assert "no machine of the cluster can be used" in said
    assert f"has greenroom {greenroom.__version__}, and here it is 0.0.1" in said


def test_nobody_answers(talks: Path) -> None:
    """A cluster that cannot be reached is wrong usage, and nothing is begun."""
    run = Run(talks, "--ray=127.0.0.1:1")
    status, told, said = run.end()
    assert (status, told) == (2, [])
    assert "no Ray answers at 127.0.0.1:1" in said
    assert not run.out.exists()
