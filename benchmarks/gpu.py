"""Compare and time the engine with its work on a GPU, from memory to memory; prints Markdown.

python benchmarks/gpu.py [--frames N] [--model MODEL ...] [--size WIDTHxHEIGHT ...]

For every model and size: milliseconds and CPU milliseconds a frame with everything on the
processor, with the engine's work on the GPU, and with the model there, too; how many levels the
second differs from the first; and how much of both mattes is in common. That of the third differs
by what the network computes, and is compared on labelled clips (`benchmarks/gpu_clips.py`).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom import Frame, Settings, VirtualBackground
from greenroom.cuda import CupyDevice
from greenroom.engine.demo import demo_source
from greenroom.errors import GreenroomError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from greenroom.cuda import Device

SIZES: Final = ("1920x1080", "1280x720")
# Levels, and share of a matte, that rounding may change.
MOST_LEVELS: Final = 2
LEAST_COMMON: Final = 0.99
# Frames before the first that is timed.
_WARM_UP: Final = 10


@dataclass(frozen=True)
class Times:
    """Medians of one engine, a frame.

    Attributes
    ----------
    wall_ms, cpu_ms : float
    pictures : list of Frame
        What it made.
    mattes : list of (H, W) uint8
    stages : str
        Milliseconds of each stage.
    """

    wall_ms: float
    cpu_ms: float
    pictures: list[Frame]
    mattes: list[NDArray[np.uint8]]
    stages: str


def main() -> int:
    """Print a table; return 1 if the GPU's results differ by more than rounding."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--model", nargs="+", default=["selfie"])
    parser.add_argument("--size", nargs="+", default=SIZES)
    arguments = parser.parse_args()
    is_alike = True
    print("| model, size | where | ms | CPU ms | levels apart | matte in common |")
    print("|---|---|---:|---:|---:|---:|")
    for model in arguments.model:
        for size in arguments.size:
            frames = clip(size, arguments.frames)
            is_alike &= compare(model, frames, CupyDevice)
    return 0 if is_alike else 1


def clip(size: str, count: int) -> list[Frame]:
    """Return frames of the demonstration at a size."""
    width, height = map(int, size.split("x"))
    made = []
    for frame in demo_source(Settings(), count):
        layout = replace(frame.layout, width=width, height=height)
        made.append(frame.converted(replace(layout, colour=frame.layout.colour)))
    return made


def compare(model: str, frames: Sequence[Frame], device: Callable[[], Device]) -> bool:
    """Print a line for each engine; return whether their results are alike."""
    name = f"{model}, {frames[0].layout.width}x{frames[0].layout.height}"
    settings: dict[str, Any] = {"model": model, "background": "blur", "device": "cpu"}
    reference = run(frames, settings)
    print(f"| {name} | processor | {reference.wall_ms:.2f} | {reference.cpu_ms:.2f} | | |")
    there = run(frames, settings, device())
    levels, common = difference(there, reference)
    print(
        f"| | engine | {there.wall_ms:.2f} | {there.cpu_ms:.2f} | {levels} | {common:.4f} |\n"
        f"| | its stages | {there.stages} | | | |"
    )
    try:
        both = run(frames, {**settings, "device": "cuda"}, device())
        print(
            f"| | model, too | {both.wall_ms:.2f} | {both.cpu_ms:.2f} | | |\n"
            f"| | its stages | {both.stages} | | | |"
        )
    except GreenroomError as error:  # no ONNX Runtime for GPUs, or it cannot run the model
        print(f"| | model, too | {error} | | | |")
    return levels <= MOST_LEVELS and common >= LEAST_COMMON


def run(frames: Sequence[Frame], settings: dict[str, Any], compute: Device | None = None) -> Times:
    """Process frames in order; the first few are not timed."""
    walls, cpus, pictures, mattes = [], [], [], []
    with VirtualBackground(compute=compute, **settings) as engine:
        for frame in frames:
            start, cpu = time.perf_counter(), time.process_time()
            picture = engine.process(frame)
            walls.append(time.perf_counter() - start)
            cpus.append(time.process_time() - cpu)
            pictures.append(picture)
            assert engine.matte is not None
            mattes.append(engine.matte)
        stages = ", ".join(
            f"{stage} {summary.median_ms:.2f}"
            for stage, summary in engine.timings.summary().items()
        )
    skipped = min(_WARM_UP, len(frames) - 1)
    wall, cpu_s = statistics.median(walls[skipped:]), statistics.median(cpus[skipped:])
    return Times(1e3 * wall, 1e3 * cpu_s, pictures, mattes, stages)


def difference(one: Times, other: Times) -> tuple[int, float]:
    """Return the largest difference of pictures in levels, and the least common share of mattes."""
    levels = max(
        int(cv2.absdiff(ours, theirs).max())
        for mine, their in zip(one.pictures, other.pictures, strict=True)
        for ours, theirs in zip(mine.planes, their.planes, strict=True)
    )
    return levels, min(map(_common, one.mattes, other.mattes))


def _common(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the intersection of two mattes over their union, at one half."""
    first, second = one > 127, other > 127
    union = np.count_nonzero(first | second)
    return 1.0 if union == 0 else np.count_nonzero(first & second) / union


if __name__ == "__main__":
    sys.exit(main())
