"""``greenroom eval``: the quality of models on labelled pictures or clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenroom.cli.options import Json, settings_command
from greenroom.settings import Group, Settings

__all__ = ["evaluate"]


@settings_command(Group.MODEL, Group.EDGE, work="greenroom.cli.model_evaluation:evaluate")
def evaluate(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATASET",
            help=(
                "A folder with pictures in image/ and their mattes in mask/, or with clips "
                "NAME.mp4 and their mattes NAME.alpha.mkv."
            ),
        ),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write report.json, a sheet of the worst cases of each model, and a plot.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a report that is there already.")
    ] = False,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Measure models on labelled pictures or clips; --model takes several, with commas between."""
