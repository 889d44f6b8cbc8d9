"""Work of ``greenroom eval``: scores of models as a table, JSON or report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from greenroom.cli.downloads import fetch_weights
from greenroom.cli.progress import progress_bar
from greenroom.errors import SettingsError
from greenroom.evaluation import evaluate as evaluation
from greenroom.evaluation import report as reports
from greenroom.evaluation.dataset import find_cases
from greenroom.segmenters import check_model
from greenroom.segmenters.store.speeds import remember_speed

if TYPE_CHECKING:
    from greenroom.evaluation.evaluate import Evaluation
    from greenroom.settings import Settings

__all__ = ["evaluate"]


def evaluate(
    dataset: Path | None,
    out: Path | None,
    settings: Settings,
    *,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure the models that the setting ``model`` names, and print their scores.

    Raises
    ------
    GreenroomError
        Of the subclass for the first argument that cannot be used, or for what failed.
    """
    if dataset is None:
        message = "expected a DATASET to measure on."
        raise SettingsError(message)
    models = _model_names(settings.model)
    find_cases(dataset)
    if out is not None:
        reports.check_report(out, overwrite=overwrite)
    for model in models:
        check_model(settings.changed(model=model))
    fetch_weights(settings)
    report = None if out is None else reports.Report(out, overwrite=overwrite)
    results = []
    for model in models:
        with progress_bar(model) as progress:
            result = evaluation.evaluate(dataset, settings, model=model, progress=progress)
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


def _model_names(text: str) -> list[str]:
    """Split the setting ``model`` at commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        message = f"model: expected names with commas between, not {text!r}."
        raise SettingsError(message, "model")
    return list(dict.fromkeys(names))


def _table(results: list[Evaluation]) -> str:
    """Format means, with the worst tenth below each, as a table."""
    measures = evaluation.MEASURES
    names = [name for name in measures if name in results[0].mean]
    head = ["model", "", *(measures[name].label for name in names), "ms a frame"]
    rows = []
    for result in results:
        for row_name, scores in (("mean", result.mean), ("worst tenth", result.worst_tenth)):
            cells = [f"{scores[name]:.{measures[name].digits}f}" for name in names]
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
