"""Measure what each step of the matting brings, and what it costs.

Steps are switched on one after the other. The folder holds the datasets ``portraits``, ``mixed``
and ``clips``, as `greenroom.evaluation.evaluate` reads them. Five tables go to standard output:
quality on clips, quality on photos, how still the matte of a person is who does not move, with the
cost of the steps at 1080p beside it, what leaks on the talkers' clips if edges are perfect, and how
long each part of the matting takes at 1080p.

    python benchmarks/matting.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import cv2
import numpy as np
from quality import CLIP_MEASURES, CLIPS, DANCERS, PHOTO_SETS, table

from greenroom.engine.engine import VirtualBackground
from greenroom.evaluation import metrics
from greenroom.evaluation.evaluate import MEASURES, evaluate
from greenroom.matting import RefinedMatting, Steps, UpsampledMatting, upsampling
from greenroom.matting.detection import DetectionBuffer
from greenroom.matting.evidence import Evidence
from greenroom.matting.people import PeopleFilter
from greenroom.matting.steady import SteadyMatte
from greenroom.media.colour import Colour
from greenroom.media.cuts import CutDetector
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.segmenters import create_segmenter
from greenroom.settings import Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from greenroom.matting.matting import Matting
    from greenroom.segmenters import Segmenter

_NONE: Final = Steps(region=False, colours=False, plate=False, guide=False)
# The model as it answers, and then one step more in each row.
ROWS: Final[tuple[tuple[str, Steps | None], ...]] = (
    ("the model's answer, enlarged", None),
    ("+ averaged over time", _NONE),
    ("+ looked at where the person is", replace(_NONE, region=True)),
    ("+ guided by the picture", Steps(colours=False, plate=False)),
    ("+ colours", Steps(plate=False)),
    ("+ clean plate (balanced)", Steps()),
    ("+ a mirrored look (best)", Steps(mirror=True)),
)
# Sensor noise that is added to a frozen frame, in 8-bit levels, and for how many frames; the first
# half of these is not measured.
_NOISE: Final = 3.0
_STILL_FRAMES: Final = 60
_HD: Final = (1920, 1080)
# What the parts of the matting are: where their functions are found, and their names. None runs
# inside another.
PARTS: Final[dict[str, tuple[tuple[Any, str], ...]]] = {
    "the frame's small planes": ((CutDetector, "is_cut"),),
    "the model's answer, in its place": ((DetectionBuffer, "put"),),
    "colours and clean plate, weighed": ((Evidence, "weigh"),),
    "colours and clean plate, learned": ((Evidence, "learn"),),
    "specks, left out": ((PeopleFilter, "weights"),),
    "steadied": ((SteadyMatte, "follow"),),
    "the guided filter, on small grids": ((upsampling, "guide"),),
}
# So many frames of each clip are timed, so often; the fastest round counts.
_PART_FRAMES: Final = 50
_ROUNDS: Final = 5
# How near the true edge a matte is replaced by the truth, to see what leaks elsewhere.
_PERFECT_PX: Final = (8, 16)


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description="Measure what each step of the matting brings.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=("clips", "photos", "still", "leak", "parts"))
    options = parser.parse_args()
    tables = {"clips": clips, "photos": photos, "still": still, "leak": leak, "parts": parts}
    for name, make in tables.items():
        if options.only in {None, name}:
            print(make(options.data) + "\n", flush=True)


def clips(data: Path) -> str:
    """Return a table of the means over both kinds of clips."""
    rows = []
    for name, steps in ROWS:
        cases = evaluate(data / CLIPS, matting=_made_with(steps)).cases
        row = [name]
        for dancers in (False, True):
            scores = [one for case, one in cases.items() if case.startswith(DANCERS) == dancers]
            for measure in CLIP_MEASURES:
                value = float(np.mean([one[measure] for one in scores]))
                row.append(f"{value:.{MEASURES[measure].digits}f}")
        rows.append(row)
    labels = [MEASURES[measure].label for measure in CLIP_MEASURES]
    return table(["", *(f"talkers {label}" for label in labels), *labels], rows)


def photos(data: Path) -> str:
    """Return a table of both sets of photos."""
    rows = []
    for name, steps in ROWS:
        row = [name]
        for one in PHOTO_SETS:
            found = evaluate(data / one, matting=_made_with(steps))
            row += [
                f"{value:.3f}"
                for value in (found.mean["iou"], found.worst_tenth["iou"], found.mean["band_iou"])
            ]
        rows.append(row)
    head = [f"{one} {what}" for one in PHOTO_SETS for what in ("IoU", "10th", "band")]
    return table(["", *head], rows)


def still(data: Path) -> str:
    """Return a table of the flicker of a still person, and of the cost at 1080p."""
    rows = []
    settings = Settings(background="color:black")
    for name, steps in ROWS:
        found = []
        for clip in sorted((data / CLIPS).glob("*.alpha.mkv")):
            path = clip.with_name(clip.name.replace(".alpha.mkv", ".mp4"))
            with VirtualBackground(settings, matting=_made_with(steps)) as engine:
                found.append(_flicker(engine, path))
        with VirtualBackground(settings, matting=_made_with(steps)) as engine:
            cost_ms = _cost_ms(engine, path)
        rows.append([name, f"{1000 * np.mean(found):.2f}", f"{cost_ms:.2f}"])
    return table(["", "standard deviation x 1000", "ms a frame at 1080p"], rows)


def leak(data: Path) -> str:
    """Return a table of the talkers' leak, also with the true matte wherever an edge is near."""
    rows = []
    for name, steps in ROWS:
        found = []
        for clip in sorted((data / CLIPS).glob("*.alpha.mkv")):
            if not clip.name.startswith(DANCERS):
                path = clip.with_name(clip.name.replace(".alpha.mkv", ".mp4"))
                found.append(_leaks(steps, path, clip))
        rows.append([name, *(f"{value:.3f}" for value in np.mean(found, axis=0))])
    return table(["leak %", "as it is", *(f"true within {px} px" for px in _PERFECT_PX)], rows)


def _leaks(steps: Steps | None, path: Path, truth: Path) -> list[float]:
    """Return a clip's mean leak, as it is and with ever wider perfect edges."""
    settings = Settings(background="color:black")
    found = []
    with VirtualBackground(settings, matting=_made_with(steps)) as engine:
        for frame, true in zip(
            create_source(path, settings), create_source(truth, settings), strict=True
        ):
            values, alpha = engine.process_matte(frame).planes[0], true.to_rgb()[:, :, 1]
            found.append([metrics.leak(values, alpha)])
            for reach_px in _PERFECT_PX:
                near = _near_edge(alpha, reach_px)
                found[-1].append(metrics.leak(np.where(near, alpha, values), alpha))
    return [float(value) for value in np.mean(found, axis=0)]


def _near_edge(alpha: NDArray[np.uint8], reach_px: int) -> NDArray[np.bool_]:
    """Tell what is within so many pixels of the true edge."""
    hard = (alpha >= 128).astype(np.uint8)
    circle = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1, 2 * reach_px + 1))
    return np.asarray(cv2.dilate(hard, circle) != cv2.erode(hard, circle))


def parts(data: Path) -> str:
    """Return a table of the milliseconds of each part, on frames that are new to the cache."""
    rounds = [_spent_ms(data) for _ in range(_ROUNDS)]
    fastest = min(rounds, key=lambda one: one["all"])
    rest = fastest["all"] - sum(fastest[name] for name in PARTS)
    rows = {name: fastest[name] for name in PARTS} | {"all else": rest, "all": fastest["all"]}
    return table(
        ["part", "ms a frame at 1080p"], [[name, f"{ms:.2f}"] for name, ms in rows.items()]
    )


def _spent_ms(data: Path) -> dict[str, float]:
    """Return the mean milliseconds that every part and all took, but for the model."""
    settings, count = Settings(background="color:black"), 0
    spent = dict.fromkeys([*PARTS, "all", "model"], 0.0)
    with contextlib.closing(create_segmenter(settings)) as segmenter:
        for clip in sorted((data / CLIPS).glob("*.mp4")):
            frames = list(itertools.islice(_in_hd(clip), _PART_FRAMES))
            matting, count = RefinedMatting(settings), count + len(frames)
            look = _timed(segmenter.segment, "model", spent)
            make = _timed(matting.matte, "all", spent)
            with contextlib.ExitStack() as patches:
                for name, places in PARTS.items():
                    for owner, function in places:
                        timed = _timed(getattr(owner, function), name, spent)
                        patches.enter_context(mock.patch.object(owner, function, timed))
                for frame in frames:
                    make(frame, look)
    spent["all"] -= spent["model"]
    return {name: 1000 * value / count for name, value in spent.items()}


def _timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    """Return a function that adds the seconds it takes to those spent."""

    def timed(*values: Any, **named: Any) -> Any:
        start = time.perf_counter()
        result = function(*values, **named)
        spent[name] += time.perf_counter() - start
        return result

    return timed


def _made_with(steps: Steps | None) -> Callable[[Settings, Segmenter], Matting]:
    """Return what makes a matting of certain steps, whatever the settings say."""

    def make(settings: Settings, _: Segmenter) -> Matting:
        return UpsampledMatting(settings) if steps is None else RefinedMatting(settings, steps)

    return make


def _flicker(engine: VirtualBackground, path: Path) -> float:
    """Return the standard deviation over time of a frozen frame's matte, near its edge."""
    frozen = next(iter(create_source(path, Settings())))
    noise = np.random.default_rng(1)
    mattes = []
    for number in range(_STILL_FRAMES):
        planes = tuple(_noisy(plane, noise) for plane in frozen.planes)
        frame = Frame(planes, frozen.layout, number, frozen.time_base, 1)
        mattes.append(engine.process_matte(frame).planes[0].astype(np.float32) / 255)
    settled = np.stack(mattes[_STILL_FRAMES // 2 :])
    mean = settled.mean(axis=0)
    band = (mean > 0.02) & (mean < 0.98)
    return float(settled.std(axis=0)[band].mean())


def _noisy(plane: NDArray[np.uint8], noise: np.random.Generator) -> NDArray[np.uint8]:
    values = plane + noise.normal(0, _NOISE, plane.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _cost_ms(engine: VirtualBackground, path: Path) -> float:
    """Return the median milliseconds a frame of 1080p takes but for the model."""
    for frame in _in_hd(path):
        engine.process_matte(frame)
    return engine.timings.summary()["matte"].median_ms


def _in_hd(path: Path) -> Iterator[Frame]:
    for frame in create_source(path, Settings()):
        yield frame.converted(Layout(*_HD, "yuv420p", Colour(1, 1)))


if __name__ == "__main__":
    main()
