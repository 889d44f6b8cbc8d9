"""Archives: two workers against one, and what a batch costs beside plain ``convert``.

    .venv/bin/python benchmarks/archive_runs.py

Each line has the time on the clock and that of the processors. On a machine that does something
else, too, only the second says much; the load is printed at the beginning and at the end.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.settings import Settings
from greenroom.sinks import create_sink
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMAND: Final = (sys.executable, "-m", "greenroom")
_CLIPS: Final = 8
_TINY: Final = 100
_TINY_FRAMES: Final = 10


class Times(NamedTuple):
    """Time of a command, in seconds: on the clock, and of all processors."""

    clock_s: float
    processor_s: float


def measured(arguments: Sequence[str], folder: Path, processors: set[int] | None) -> Times:
    """Run greenroom in a folder, on some processors."""
    before, began_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [*_COMMAND, *arguments],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=None if processors is None else lambda: os.sched_setaffinity(0, processors),
    )
    clock_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Times(clock_s, used)


def write_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """Write a clip of the drawn person."""
    source = PersonSource(size=size, frames=frames)
    sink = create_sink(path, Settings(preset="veryfast"), source.info)
    for frame in source:
        sink.write(frame)
    sink.close()


def best(runs: Sequence[Times]) -> Times:
    """Return the least of each time: what else the machine does only adds to it."""
    return Times(min(run.clock_s for run in runs), min(run.processor_s for run in runs))


def compare_workers(folder: Path, seconds: int, repeats: int) -> None:
    """Measure one and two workers on eight clips."""
    (folder / "clips").mkdir()
    for number in range(_CLIPS):
        write_clip(folder / f"clips/{number}.mp4", (1280, 720), 30 * seconds)
    one = min(os.sched_getaffinity(0))
    cases = {
        "one worker on one processor": ("1", {one}),
        "one worker on all processors": ("1", None),
        "two workers": ("2", None),
    }
    runs: dict[str, list[Times]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, (jobs, processors) in cases.items():
            shutil.rmtree(folder / "out", ignore_errors=True)
            arguments = ["batch", "clips", "--out-dir", "out", "--jobs", jobs]
            runs[name].append(measured(arguments, folder, processors))
    print(f"{_CLIPS} clips of {seconds} s, 1280x720, H.264 to H.264, blur")
    two = best(runs["two workers"])
    for name, found in runs.items():
        times = best(found)
        ratio = times.clock_s / two.clock_s
        print(f"{name:<30} {times.clock_s:7.1f} s  {times.processor_s:7.1f} CPU-s  {ratio:5.2f}")


def compare_tiny(folder: Path, repeats: int) -> None:
    """Measure convert and batch on a hundred tiny files."""
    (folder / "tiny").mkdir()
    for number in range(_TINY):
        write_clip(folder / f"tiny/{number}.mp4", (160, 96), _TINY_FRAMES)
    names = sorted(str(path.relative_to(folder)) for path in (folder / "tiny").iterdir())
    cases = {
        "convert --out-dir": ["convert", *names, "--out-dir", "out"],
        "batch --jobs 1": ["batch", "tiny", "--out-dir", "out", "--jobs", "1"],
        "batch --jobs 2": ["batch", "tiny", "--out-dir", "out", "--jobs", "2"],
    }
    runs: dict[str, list[Times]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, arguments in cases.items():
            shutil.rmtree(folder / "out", ignore_errors=True)
            (folder / "out").mkdir()
            runs[name].append(measured(arguments, folder, None))
    print(f"{_TINY} files of {_TINY_FRAMES} frames, 160x96")
    plain = best(runs["convert --out-dir"])
    for name, found in runs.items():
        times = best(found)
        more = 100 * (times.clock_s / plain.clock_s - 1)
        cpu = 100 * (times.processor_s / plain.processor_s - 1)
        print(
            f"{name:<30} {times.clock_s:7.1f} s ({more:+.0f} %)  "
            f"{times.processor_s:7.1f} CPU-s ({cpu:+.0f} %)"
        )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10, help="of each of the eight clips")
    parser.add_argument("--repeats", type=int, default=3, help="of which the best counts")
    options = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="greenroom-archives-") as temporary:
        compare_workers(Path(temporary), options.seconds, options.repeats)
        compare_tiny(Path(temporary), options.repeats)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
