"""Measure what each part of the fusion of two models brings.

Quality ``best`` on labelled clips, with the parts of `greenroom.segmenters.fusion` switched on one
after the other. The folder holds the dataset ``clips``, as `greenroom.evaluation.evaluate` reads
it; the weights of both models are on this machine. A Markdown table goes to standard output.

    python benchmarks/fusion.py --data ../shared/data
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import numpy as np
from quality import CLIPS, DANCERS, TIMEOUT_S, table

from greenroom.evaluation.evaluate import MEASURES, evaluate
from greenroom.segmenters import fused, fusion
from greenroom.segmenters.best import BEST_MODEL
from greenroom.segmenters.card import FusionSpec
from greenroom.settings import Quality, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_MEASURES: Final = ("mad", "band_iou", "dtssd", "leak")
# What a logistic regression of the true coverage on both log odds gives.
_REGRESSION: Final = FusionSpec(weights=(0.12, 0.24), bias=0.64)


@dataclass(frozen=True)
class _Row:
    """How two answers become one.

    Attributes
    ----------
    name : str
    fuse : callable or None
        Makes one answer of two; None for the project's own way.
    in_square : bool
        Whether the second model looks at the square around.
    model : str
        The model.
    """

    name: str
    fuse: Callable[[Floats, Floats, FusionSpec], Any] | None = None
    in_square: bool = True
    model: str = BEST_MODEL


_OWN: Final = fusion.fuse
ROWS: Final = (
    _Row("selfie alone", model="selfie"),
    _Row(
        "larger of both, looking at the same part",
        lambda a, b, _: np.maximum(a, b),
        in_square=False,
    ),
    _Row("+ the second looks at the square around", lambda a, b, _: np.maximum(a, b)),
    _Row("the second alone, in that square", lambda _, b, __: b),
    _Row("mean of both", lambda a, b, _: (a + b) / np.float32(2)),
    _Row("log odds added, by the regression", lambda a, b, _: fusion.pool(a, b, _REGRESSION)),
    _Row("+ people whom the second misses stay", lambda a, b, _: _OWN(a, b, _REGRESSION)),
    _Row("+ weights and bias of the card (selfie-duo)"),
)


def main() -> None:
    """Measure what the command line asks for and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--row", type=int, choices=range(len(ROWS)), help="only this one")
    options = parser.parse_args()
    rows = ROWS if options.row is None else ROWS[options.row : options.row + 1]
    labels = [MEASURES[name].label for name in _MEASURES]
    head = ["best", *(f"talkers {label}" for label in labels), *(f"dancers {x}" for x in labels)]
    print(table(head, [[row.name, *_measured(row, options.data)] for row in rows]))


def _measured(row: _Row, data: Path) -> list[str]:
    """Return a row's figures: of talkers, then of dancers."""
    settings = Settings(model=row.model, quality=Quality.BEST, timeout_s=TIMEOUT_S)
    with ExitStack() as patches:
        if row.fuse is not None:
            patches.enter_context(mock.patch.object(fused, "fuse", row.fuse))
        if not row.in_square:
            patches.enter_context(mock.patch.object(fused, "square_around", lambda box, _: box))
        cases = evaluate(data / CLIPS, settings).cases
    return [
        f"{np.mean([one[measure] for name, one in cases.items() if _dances(name) is dances]):.3f}"
        for dances in (False, True)
        for measure in _MEASURES
    ]


def _dances(name: str) -> bool:
    return name.startswith(DANCERS)


if __name__ == "__main__":
    main()
