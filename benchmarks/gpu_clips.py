"""Compare the engine on a GPU with the processor's on labelled clips; prints Markdown.

python benchmarks/gpu_clips.py CLIPS [--model MODEL ...] [--frames N]

CLIPS is a folder as `greenroom eval` takes it. With the model on the processor, pictures and
mattes of the first frames may differ by two levels. With everything on the GPU, the metrics of the
clips may differ by one percent, or by half of the last digit that is printed of them.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom import Settings, VirtualBackground
from greenroom.cuda import CupyDevice
from greenroom.errors import SettingsError
from greenroom.evaluation.evaluate import MEASURES, evaluate, find_cases
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from greenroom.cuda import Device
    from greenroom.media.frame import Frame

MOST_LEVELS: Final = 2
MOST_APART: Final = 0.01


def main() -> int:
    """Print both tables; return 1 if anything differs by more."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", type=Path)
    parser.add_argument("--model", nargs="+", default=["selfie"])
    parser.add_argument("--frames", type=int, default=25)
    arguments = parser.parse_args()
    is_alike = True
    for model in arguments.model:
        is_alike &= compare_pictures(arguments.clips, model, arguments.frames, CupyDevice)
        is_alike &= compare_metrics(arguments.clips, model)
    return 0 if is_alike else 1


def compare_pictures(clips: Path, model: str, count: int, device: Callable[[], Device]) -> bool:
    """Print how many levels pictures and mattes of each clip differ; return whether few enough."""
    print(f"\n| {model}, {count} frames of | picture, levels | matte, levels |\n|---|---:|---:|")
    worst = 0
    for case in find_cases(clips):
        frames = list(islice(_frames(case.path), count))
        found = levels(frames, model, device())
        print(f"| {case.name} | {found[0]} | {found[1]} |")
        worst = max(worst, *found)
    return worst <= MOST_LEVELS


def levels(frames: Iterable[Frame], model: str, device: Device) -> tuple[int, int]:
    """Return the largest differences of pictures and mattes, with the model on the processor."""
    values: dict[str, Any] = {"model": model, "device": "cpu", "background": "blur"}
    pictures = mattes = 0
    with VirtualBackground(**values) as host, VirtualBackground(**values, compute=device) as there:
        for frame in frames:
            pairs = zip(host.process(frame).planes, there.process(frame).planes, strict=True)
            pictures = max(pictures, *(_apart(*pair) for pair in pairs))
            assert host.matte is not None
            assert there.matte is not None
            mattes = max(mattes, _apart(host.matte, there.matte))
    return pictures, mattes


def compare_metrics(clips: Path, model: str) -> bool:
    """Print the metrics of both; return whether they are alike."""
    expected = evaluate(clips, Settings(model=model, device="cpu"))
    try:
        found = evaluate(clips, Settings(model=model, device="cuda"))
    except SettingsError:  # a model that only the processor runs
        found = evaluate(clips, Settings(model=model))
    print(f"\n| {model} on {found.segmenter.device} | processor | GPU | alike |")
    print("|---|---:|---:|---|")
    same = alike(expected.mean, found.mean)
    for name, is_same in same.items():
        measure, pair = MEASURES[name], (expected.mean[name], found.mean[name])
        one, other = (f"{value:.{measure.digits}f}" for value in pair)
        print(f"| {measure.label} | {one} | {other} | {'yes' if is_same else 'no'} |")
    return all(same.values())


def alike(expected: Mapping[str, float], found: Mapping[str, float]) -> dict[str, bool]:
    """Return for each metric whether both are alike."""
    return {
        name: abs(found[name] - value)
        <= max(MOST_APART * abs(value), 0.5 * 10.0 ** -MEASURES[name].digits)
        or bool(np.isnan([value, found[name]]).all())
        for name, value in expected.items()
    }


def _frames(path: Path) -> Iterable[Frame]:
    source = create_source(path, Settings())
    try:
        yield from source
    finally:
        source.close()


def _apart(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    return int(np.abs(one.astype(np.int16) - other).max())


if __name__ == "__main__":
    sys.exit(main())
