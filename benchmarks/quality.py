"""Measure greenroom's own matte on labelled photos and clips.

The folder holds the datasets ``portraits``, ``mixed`` and ``clips``, as
`greenroom.evaluation.evaluate` reads them. Tables go to standard output, in the units that papers
use.

    python benchmarks/quality.py --data ../shared/data --set clips
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.evaluation.evaluate import MEASURES, evaluate
from greenroom.settings import Quality, Settings

if TYPE_CHECKING:
    from greenroom.evaluation.evaluate import Evaluation, Scores

PHOTO_SETS: Final = ("portraits", "mixed")
CLIPS: Final = "clips"
# Clips named so hold a whole body in fast motion; all others, someone who talks.
DANCERS: Final = "dancer"
# Time for a frame: a busy machine changes no figure.
TIMEOUT_S: Final = 600.0
CLIP_MEASURES: Final = ("mad", "mse", "iou", "band_iou", "dtssd", "leak")


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description="Measure greenroom's matte on labelled data.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="selfie")
    parser.add_argument("--quality", type=Quality, choices=Quality, default=Quality.BALANCED)
    parser.add_argument("--set", choices=(*PHOTO_SETS, CLIPS), help="only this one")
    options = parser.parse_args()
    wanted = (options.set,) if options.set else (*PHOTO_SETS, CLIPS)
    settings = Settings(model=options.model, quality=options.quality, timeout_s=TIMEOUT_S)
    photos = {
        name: evaluate(options.data / name, settings) for name in PHOTO_SETS if name in wanted
    }
    if photos:
        print(photo_table(options.model, photos) + "\n")
    if CLIPS in wanted:
        print(clip_table(options.model, evaluate(options.data / CLIPS, settings).cases))


def photo_table(model: str, results: dict[str, Evaluation]) -> str:
    """Return a Markdown table with a row for each set."""
    head = [f"photos, {model}", "number", "IoU", "10th percentile", "band IoU"]
    rows = [
        [name, str(len(one.cases))]
        + [
            f"{value:.3f}"
            for value in (one.mean["iou"], one.worst_tenth["iou"], one.mean["band_iou"])
        ]
        for name, one in results.items()
    ]
    return table(head, rows)


def clip_table(model: str, cases: dict[str, Scores]) -> str:
    """Return a Markdown table with the means of both kinds, and every clip."""
    kinds: dict[str, list[Scores]] = {"talkers": [], "dancers": []}
    for name, scores in cases.items():
        kinds["dancers" if name.startswith(DANCERS) else "talkers"].append(scores)
    means = {
        f"**{kind}**, mean of {len(rows)}": {
            name: float(np.mean([row[name] for row in rows])) for name in CLIP_MEASURES
        }
        for kind, rows in kinds.items()
        if rows
    }
    rows = [
        [what, *(f"{scores[name]:.{MEASURES[name].digits}f}" for name in CLIP_MEASURES)]
        for what, scores in {**means, **cases}.items()
    ]
    return table([f"clips, {model}", *(MEASURES[name].label for name in CLIP_MEASURES)], rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


if __name__ == "__main__":
    main()
