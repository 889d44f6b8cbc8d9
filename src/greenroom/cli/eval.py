"""``greenroom eval``: the quality of models on labelled pictures or clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.cli.options import settings_command
from greenroom.cli.preflight import check_evaluation, model_names
from greenroom.cli.progress import progress_bar
from greenroom.evaluation import report as reports
from greenroom.segmenters.store.speeds import remember_speed
from greenroom.settings import Group, Settings

if TYPE_CHECKING:
    from greenroom.evaluation.evaluate import Evaluation

__all__ = ["command"]


def _check(settings: Settings, values: dict[str, Any]) -> None:
    check_evaluation(values["dataset"], values["out"], settings, overwrite=values["overwrite"])


@settings_command(Group.MODEL, Group.EDGE, check=_check)
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    settings: Settings,
) -> None:
    """Measure models on labelled pictures or clips; --model takes several, with commas between."""
    assert dataset is not None
    from greenroom.evaluation import evaluate

    report = None if out is None else reports.Report(out, overwrite=overwrite)
    results = []
    for model in model_names(settings.model):
        with progress_bar(model) as progress:
            result = evaluate.evaluate(dataset, settings, model=model, progress=progress)
        remember_speed(result.segmenter, result.segment_ms)
        results.append(result)
    if report is not None:
        report.write(results)
        if not report.has_plot:
            typer.echo(
                "greenroom: the plot is left out: it needs matplotlib, "
                "pip install 'greenroom[eval]'",
                err=True,
            )
    if as_json:
        typer.echo(json.dumps([result.to_dict() for result in results]))
    else:
        typer.echo(_table(results))


command = evaluate


def _table(results: list[Evaluation]) -> str:
    """Format means, with the worst tenth below each, as a table."""
    from greenroom.evaluation.evaluate import MEASURES

    names = [name for name in MEASURES if name in results[0].mean]
    head = ["model", "", *(MEASURES[name].label for name in names), "ms a frame"]
    rows = []
    for result in results:
        for row_name, scores in (("mean", result.mean), ("worst tenth", result.worst_tenth)):
            cells = [f"{scores[name]:.{MEASURES[name].digits}f}" for name in names]
            first = row_name == "mean"
            speed = f"{result.frame_ms:.1f}" if first else ""
            rows.append([result.model if first else "", row_name, *cells, speed])
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    lines = []
    for row in (head, *rows):
        texts = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        texts += [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(texts).rstrip())
    count = len(results[0].cases)
    return "\n".join([f"{count} cases", "", *lines])
