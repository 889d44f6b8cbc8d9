"""A long video in segments against one piece: mattes, seams and time.

Labelled clips are played forwards and backwards in turn, so that they are long and without cuts.
For each the mattes of both ways are compared with each other and with the truth, and at the seams
with elsewhere. With ``--time`` one long clip is converted whole, and in segments by processes.

    python benchmarks/segments.py ../shared/data/clips
    python benchmarks/segments.py ../shared/data/clips --time --jobs 2
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from greenroom.archives.joining import join
from greenroom.archives.processing import process_segment
from greenroom.archives.segments import WARM_UP_S, Segment, plan_segments
from greenroom.files.convert import convert
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

RATE = 25
KEY_EVERY = 50
# Frames on both sides of a seam that count as beside it.
BESIDE = 5


def main() -> None:
    """Measure, and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of NAME.mp4 with NAME.alpha.mkv")
    parser.add_argument("--seconds", type=float, default=24, help="length of a long clip")
    parser.add_argument("--segment-seconds", type=float, default=8)
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--time", action="store_true", help="measure the time, not the mattes")
    parser.add_argument("--jobs", type=int, default=2, help="processes, with --time")
    parser.add_argument("--size", default="", help="scale to WIDTHxHEIGHT")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.time:
            measure_time(given, Path(folder))
        else:
            measure_mattes(given, Path(folder))


def measure_mattes(given: argparse.Namespace, folder: Path) -> None:
    """Print how far the mattes of segments are from those of one piece, and from the truth."""
    print(
        "| clip | mean difference | beside seams | change to the next frame | error against the "
        "truth, whole / segments | dtSSD elsewhere | dtSSD at seams, whole / segments |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for clip in sorted(given.clips.glob("*.alpha.mkv")):
        name = clip.name.removesuffix(".alpha.mkv")
        source = lengthened(given.clips / f"{name}.mp4", folder / f"{name}.mp4", given.seconds)
        settings = Settings(quality=given.quality, overwrite=True, view="matte")
        whole, parts = folder / "whole.mkv", folder / "parts.mkv"
        convert(source, whole, settings)
        plan = plan_segments(source, parts, settings, given.segment_seconds)
        files = []
        for one in plan.segments:
            files.append(folder / f"{one.number}.part")
            process_segment(one, source, files[-1], settings, target=parts)
        join(source, files, parts, settings)
        starts = np.cumsum([one.frames for one in plan.segments])[:-1]
        order = there_and_back(len(planes(given.clips / f"{name}.mp4")), given.seconds)
        truth = planes(clip)
        compare(name, planes(whole), planes(parts), [truth[index] for index in order], starts)


def compare(
    name: str,
    whole: Sequence[Plane],
    parts: Sequence[Plane],
    truth: Sequence[Plane],
    starts: NDArray[np.int_],
) -> None:
    """Print a clip's row."""
    apart = [difference(one, other) for one, other in zip(parts, whole, strict=True)]
    near = sorted({s + k for s in starts for k in range(-BESIDE, BESIDE)})
    changes = np.mean([difference(one, other) for one, other in pairwise(whole)])
    errors = [
        np.mean([difference(one, true) for one, true in zip(mattes, truth, strict=True)])
        for mattes in (whole, parts)
    ]
    flicker = [dtssd(mattes, truth) for mattes in (whole, parts)]
    elsewhere = np.delete(flicker[1], starts - 1).mean()
    print(
        f"| {name} | {np.mean(apart):.2f} | {np.mean(np.array(apart)[near]):.2f} | {changes:.2f} "
        f"| {errors[0]:.2f} / {errors[1]:.2f} | {1000 * elsewhere:.1f} "
        f"| {1000 * flicker[0][starts - 1].mean():.1f} / "
        f"{1000 * flicker[1][starts - 1].mean():.1f} |",
        flush=True,
    )


def measure_time(given: argparse.Namespace, folder: Path) -> None:
    """Print how long a worker takes for the whole video, and how long several do for segments.

    Every worker keeps to one processor, as those of ``greenroom batch`` do, and is started before.
    Where others use the processors, too, what counts is the CPU time of the worker that has most.
    """
    clip = min(given.clips.glob("*[!a].mp4"))
    sides = [int(side) for side in given.size.split("x")] if given.size else []
    size = (sides[0], sides[1]) if sides else None
    source = lengthened(clip, folder / "long.mp4", given.seconds, size)
    settings = Settings(background="blur", overwrite=True, quality=given.quality)
    target = folder / "parts.mp4"
    start, cpu_start = time.monotonic(), time.process_time()
    plan = plan_segments(source, target, settings, given.seconds / given.jobs)
    plan_s, plan_cpu = time.monotonic() - start, time.process_time() - cpu_start
    files = [folder / f"{one.number}.part" for one in plan.segments]
    with _workers(1) as pool:
        whole_s, whole_cpu = _timed(pool, [(_whole, source, folder / "whole.mp4", settings)])
    with _workers(given.jobs) as pool:
        work = [
            (_segment, one, source, file, settings, target)
            for one, file in zip(plan.segments, files, strict=True)
        ]
        parts_s, parts_cpu = _timed(pool, work)
    start, cpu_start = time.monotonic(), time.process_time()
    join(source, files, target, settings)
    join_s, join_cpu = time.monotonic() - start, time.process_time() - cpu_start
    split_s, split_cpu = plan_s + parts_s + join_s, plan_cpu + parts_cpu + join_cpu
    print(
        f"{given.seconds:g} s of {clip.name} {given.size}, warm-up {WARM_UP_S:g} s: whole "
        f"{whole_s:.1f} s (CPU {whole_cpu:.1f} s), in {len(files)} segments {split_s:.1f} s (CPU "
        f"of the longest {split_cpu:.1f} s, dividing and joining {plan_cpu + join_cpu:.1f} s): "
        f"{whole_s / split_s:.2f} times as fast, {whole_cpu / split_cpu:.2f} by CPU time"
    )


def _workers(jobs: int) -> ProcessPoolExecutor:
    """Start processes, each on a processor of its own."""
    numbers = get_context("spawn").Queue()
    for number in range(jobs):
        numbers.put(number)
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_pin, initargs=(numbers,)
    )
    for one in [pool.submit(time.sleep, 1) for _ in range(jobs)]:
        one.result()
    return pool


def _pin(numbers: Any) -> None:
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[numbers.get() % len(processors)]})


def _timed(pool: ProcessPoolExecutor, work: Sequence[tuple[Any, ...]]) -> tuple[float, float]:
    """Return the time that all take, and the CPU time of the one that takes most."""
    start = time.monotonic()
    cpu = [one.result() for one in [pool.submit(*item) for item in work]]
    return time.monotonic() - start, max(cpu)


def _whole(source: Path, target: Path, settings: Settings) -> float:
    start = time.process_time()
    convert(source, target, settings)
    return time.process_time() - start


def _segment(one: Segment, source: Path, part: Path, settings: Settings, target: Path) -> float:
    start = time.process_time()
    process_segment(one, source, part, settings, target=target)
    return time.process_time() - start


def there_and_back(frames: int, seconds: float) -> list[int]:
    """Return the numbers of frames that are played."""
    turn = [*range(frames), *range(frames - 2, 0, -1)]
    return [turn[number % len(turn)] for number in range(round(seconds * RATE))]


def lengthened(
    clip: Path, target: Path, seconds: float, size: tuple[int, int] | None = None
) -> Path:
    """Write a clip, played there and back for some time, with a key frame every two seconds."""
    with av.open(str(clip)) as container:
        frames = list(container.decode(video=0))
    with av.open(str(target), "w") as container:
        options = {"preset": "veryfast", "crf": "12", "g": str(KEY_EVERY), "sc_threshold": "0"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.width, stream.height = size or (frames[0].width, frames[0].height)
        stream.pix_fmt = "yuv420p"
        for number, index in enumerate(there_and_back(len(frames), seconds)):
            frame = frames[index].reformat(stream.width, stream.height, "yuv420p", threads=1)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target


def planes(path: Path) -> list[Plane]:
    """Decode the luma of all frames."""
    with av.open(str(path)) as container:
        return [
            np.asarray(one.to_ndarray(format="gray"), np.uint8) for one in container.decode(video=0)
        ]


def difference(one: Plane, other: Plane) -> float:
    """Return the mean absolute difference, in 8-bit levels."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def dtssd(mattes: Sequence[Plane], truth: Sequence[Plane]) -> NDArray[np.float64]:
    """Return dtSSD for each pair of frames."""
    errors = [
        (one.astype(np.float32) - true) / 255 for one, true in zip(mattes, truth, strict=True)
    ]
    return np.array([np.sqrt(np.square(now - last).mean()) for last, now in pairwise(errors)])


if __name__ == "__main__":
    main()
