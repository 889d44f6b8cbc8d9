"""Measure what the engine is to reach on an H200, beside the figures asked; prints Markdown.

python benchmarks/gpu_targets.py [--model MODEL] [--matting-model MODEL] [--engines N]

Frames are in memory before and after, but for the conversion, which decodes a clip made here and
encodes it. A model that is not at hand, or does not run, is a line that says so.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
from gpu import clip

from greenroom import VirtualBackground, convert
from greenroom.errors import GreenroomError, SettingsError
from greenroom.hosted.segmenter_loans import SegmenterLoans

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greenroom.media.frame import Frame

FULL: Final = "1920x1080"
SMALL: Final = "1280x720"
DEVICE: Final = "cuda"
_RATE: Final = Fraction(30)
# Frames before the first that is timed, and different frames in a loop.
_WARM_UP: Final = 20
_DIFFERENT: Final = 16
# Seconds of a loop.
_LOOP_S: Final = 8.0


@dataclass(frozen=True)
class Target:
    """A line of the table.

    Attributes
    ----------
    what : str
    most, least : float or None
        What is asked: one of both.
    unit : str
    measure : callable
        Returns the value, and what ran where.
    """

    what: str
    unit: str
    measure: Callable[[], tuple[float, str]]
    most: float | None = None
    least: float | None = None

    def line(self) -> str:
        """Measure, and return the line."""
        asked = f"≤ {self.most:g}" if self.least is None else f"≥ {self.least:g}"
        try:
            value, ran_on = self.measure()
        except GreenroomError as error:
            return f"| {self.what}, {self.unit} | not measured: {error} | {asked} | | |"
        is_reached = value <= self.most if self.most is not None else value >= (self.least or 0)
        reached = "yes" if is_reached else "no"
        return f"| {self.what}, {self.unit} | {value:.4g} | {asked} | {reached} | {ran_on} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="selfie")
    parser.add_argument("--matting-model", default="rvm-mobilenetv3")
    parser.add_argument("--engines", type=int, default=32)
    parser.add_argument("--frames", type=int, default=200)
    arguments = parser.parse_args()
    model, matting, count = arguments.model, arguments.matting_model, arguments.frames
    targets = [
        Target(f"{model}, 1080p, one stream", "ms", lambda: one_stream(model, FULL, count), 1.0),
        Target(f"{matting}, 1080p, one stream", "ms", lambda: one_stream(matting, FULL, count), 6),
        Target(
            f"{model}, 720p, {arguments.engines} engines",
            "frames/s",
            lambda: many_streams(model, SMALL, arguments.engines),
            least=5000,
        ),
        Target(
            f"convert, {matting}, 1080p",
            "frames/s",
            lambda: conversion(matting, FULL, count),
            least=150,
        ),
        Target(f"{model}, 720p, one stream", "CPU ms", lambda: cpu_time(model, SMALL, count), 0.3),
    ]
    print("| | measured | to reach | reached | ran on |\n|---|---:|---:|---|---|")
    for target in targets:
        print(target.line(), flush=True)
    return 0


def one_stream(model: str, size: str, count: int) -> tuple[float, str]:
    """Return the median milliseconds of a frame."""
    times, _, ran_on = stream(model, size, count)
    return 1000 * statistics.median(times), ran_on


def cpu_time(model: str, size: str, count: int) -> tuple[float, str]:
    """Return the mean CPU milliseconds of a frame, of all threads."""
    times, cpu_s, ran_on = stream(model, size, count)
    return 1000 * cpu_s / len(times), ran_on


def stream(model: str, size: str, count: int) -> tuple[list[float], float, str]:
    """Process frames in order; return what each took, their CPU time, and what ran where."""
    pictures = clip(size, _DIFFERENT)
    times = []
    with opened(model) as engine:
        for number in range(_WARM_UP):
            engine.process(numbered(pictures, number))
        cpu_s = time.process_time()
        for number in range(_WARM_UP, _WARM_UP + count):
            start_s = time.perf_counter()
            engine.process(numbered(pictures, number))
            times.append(time.perf_counter() - start_s)
        return times, time.process_time() - cpu_s, engine.ran_on


def many_streams(
    model: str, size: str, engines: int, seconds: float = _LOOP_S
) -> tuple[float, str]:
    """Return the frames a second of engines that work at once and share the model."""
    pictures, loans = clip(size, _DIFFERENT), SegmenterLoans()
    counts = [0] * engines
    faults: list[GreenroomError] = []
    ready = threading.Barrier(engines + 1)
    ended = threading.Event()

    def work(index: int, engine: VirtualBackground) -> None:
        try:
            engine.process(numbered(pictures, 0))
            ready.wait()
            for number in range(1, sys.maxsize):
                if ended.is_set():
                    return
                engine.process(numbered(pictures, number))
                counts[index] += 1
        except GreenroomError as error:
            faults.append(error)
            ready.abort()

    made = [opened(model, load=loans.take) for _ in range(engines)]
    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(made)]
    for thread in threads:
        thread.start()
    start_s = time.perf_counter()
    try:
        ready.wait()
        start_s = time.perf_counter()
        ended.wait(seconds)
    except threading.BrokenBarrierError:
        pass
    finally:
        total, passed_s = sum(counts), time.perf_counter() - start_s
        ended.set()
        for thread in threads:
            thread.join()
        ran_on = made[0].ran_on
        for engine in made:
            engine.close()
    if faults:
        raise faults[0]
    return total / passed_s, ran_on


def conversion(model: str, size: str, count: int) -> tuple[float, str]:
    """Return the frames a second of a conversion of a clip, start and end left out."""
    with tempfile.TemporaryDirectory(prefix="greenroom-gpu-") as folder:
        source = Path(folder, "source.mp4")
        write_clip(source, clip(size, _DIFFERENT), count)
        target = Path(folder, "target.mp4")
        try:
            made = convert(source, target, model=model, background="blur", device=DEVICE)
        except SettingsError:
            made = convert(source, target, model=model, background="blur")
    seconds = made.seconds - made.first_frame_s
    ran_on = f"{made.segmenter.model} on {made.segmenter.device}; the rest on {made.compute}"
    return (made.frames - 1) / max(seconds, 1e-9), ran_on


def write_clip(path: Path, pictures: Sequence[Frame], count: int) -> None:
    """Encode frames in a loop as H.264, fast."""
    width, height = pictures[0].size
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = 1 / _RATE
        for number in range(count):
            container.mux(video.encode(numbered(pictures, number).to_av()))
        container.mux(video.encode(None))


def opened(model: str, **values: Any) -> VirtualBackground:
    """Return an engine with everything on the GPU that can be there."""
    try:
        return VirtualBackground(model=model, background="blur", device=DEVICE, **values)
    except SettingsError:  # a model that only the processor runs
        return VirtualBackground(model=model, background="blur", **values)


def numbered(pictures: Sequence[Frame], number: int) -> Frame:
    """Return a frame of the loop with nothing kept of the last time."""
    return pictures[number % len(pictures)].shown_at(number, 1 / _RATE)


if __name__ == "__main__":
    sys.exit(main())
