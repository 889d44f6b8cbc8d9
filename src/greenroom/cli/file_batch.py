"""Batch conversion for ``convert`` and ``matte``: inputs, outputs, progress and summaries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from greenroom.backgrounds import check_background
from greenroom.cli.downloads import fetch_weights
from greenroom.cli.progress import progress_bar
from greenroom.cli.standard_streams import say
from greenroom.errors import (
    GreenroomError,
    IncompleteError,
    ProcessingError,
    SettingsError,
    SinkError,
    SourceError,
)
from greenroom.files import convert as conversion
from greenroom.media.animation import moves
from greenroom.media.limits import MAX_PHOTO_SIDE_PX
from greenroom.media.numbered_names import NUMBER
from greenroom.media.paths import is_folder, path_exists
from greenroom.segmenters import check_model
from greenroom.segmenters.best import best_notice, with_best_model
from greenroom.segmenters.store.speeds import remember_speed
from greenroom.sinks import check_sink, written_name
from greenroom.sources import check_source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greenroom.settings import Settings

__all__ = ["convert", "matte"]

_STREAM = "-"
# Errors that concern one file of a batch; the others are still converted.
_PER_FILE_ERRORS = (SourceError, ProcessingError, SinkError)
# With fewer frames the median says little about a model's speed.
_MIN_SPEED_FRAMES = 10


def convert(
    files: Sequence[str] | None, out_dir: Path | None, settings: Settings, *, as_json: bool
) -> None:
    """Put another background behind the person in every input.

    Raises
    ------
    GreenroomError
        Of the subclass for the first argument that cannot be used, or if the only conversion
        failed.
    IncompleteError
        If some of several inputs could not be converted; the others have been.
    """
    pairs = _pairs(files or [], out_dir, settings, as_json=as_json)
    _check_files(pairs, settings)
    check_background(settings)
    _each_file(conversion.convert, pairs, settings, as_json=as_json)


def matte(
    files: Sequence[str] | None, out_dir: Path | None, settings: Settings, *, as_json: bool
) -> None:
    """Write the matte of every input; errors are those of `convert`."""
    pairs = _pairs(files or [], out_dir, settings, as_json=as_json)
    _check_files(pairs, settings)
    _each_file(conversion.extract_matte, pairs, settings, as_json=as_json)


def _check_files(pairs: Sequence[tuple[str, str]], settings: Settings) -> None:
    """Check inputs and outputs; of a batch, some may be wrong."""
    failures: list[GreenroomError] = []
    for source, target in pairs:
        try:
            check_sink(target, settings, check_source(source, settings))
        except _PER_FILE_ERRORS as error:
            failures.append(error)
    if failures and len(failures) == len(pairs):
        raise failures[0] if len(pairs) == 1 else IncompleteError(failures, len(pairs))


def _each_file(
    run: Callable[..., conversion.Summary],
    pairs: Sequence[tuple[str, str]],
    settings: Settings,
    *,
    as_json: bool,
) -> None:
    """Run a conversion for every input, once the model is here."""
    if notice := best_notice(settings):
        say(notice)
    settings = with_best_model(settings)
    check_model(settings)
    fetch_weights(settings)
    failures: list[GreenroomError] = []
    for source, target in pairs:
        try:
            with progress_bar(Path(source).name) as progress:
                summary = run(source, target, settings, progress=progress)
        except IncompleteError as error:
            _report(error.summary, as_json=as_json)
            failures.append(error)
        except _PER_FILE_ERRORS as error:
            failures.append(error)
        else:
            _report(summary, as_json=as_json)
    if len(pairs) == 1 and failures:
        raise failures[0]
    if failures:
        raise IncompleteError(failures, len(pairs))


def _report(summary: object, *, as_json: bool) -> None:
    """Print a summary as JSON if requested, and store the model's speed."""
    if not isinstance(summary, conversion.Summary):
        return
    if summary.frames >= _MIN_SPEED_FRAMES and "segment" in summary.stages:
        remember_speed(summary.segmenter, summary.stages["segment"].median_ms)
    if as_json:
        typer.echo(json.dumps(summary.to_dict()))


def _pairs(
    files: Sequence[str], out_dir: Path | None, settings: Settings, *, as_json: bool
) -> list[tuple[str, str]]:
    """Return (input, output) pairs."""
    if out_dir is None:
        if len(files) != 2:
            message = (
                f"expected one input and one output, not {len(files)} name(s). Give several "
                f"inputs with --out-dir FOLDER."
            )
            raise SettingsError(message)
        if as_json and files[1] == _STREAM:
            message = "--json and an output to '-' both need standard output. Write to a file."
            raise SettingsError(message)
        return [(files[0], files[1])]
    if not is_folder(out_dir):
        message = f"--out-dir: there is no folder '{out_dir}'. Make it first."
        raise SettingsError(message)
    pairs = [(name, str(out_dir / _output_name(name, settings))) for name in files]
    targets = [target for _, target in pairs]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        message = f"--out-dir: two inputs would be written to '{twice}'."
        raise SettingsError(message)
    return pairs


def _output_name(name: str, settings: Settings) -> str:
    """Return the name of an output, derived from its input."""
    path = Path(name)
    is_pattern = NUMBER.search(path.name) and not path_exists(path)
    if name == _STREAM or is_pattern or is_folder(path):
        message = f"--out-dir takes files, not '{name}'. Give its output by name."
        raise SettingsError(message)
    if moves(path, MAX_PHOTO_SIDE_PX):
        return f"{path.stem}.mp4"
    return written_name(name, transparent=settings.background == "transparent")
