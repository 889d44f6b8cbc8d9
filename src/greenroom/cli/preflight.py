"""Checks of a command's arguments before anything slow begins.

Models take seconds to load, so mistakes are reported first. Nothing here may load a model or
import a runtime. Each check is that of the module which opens the thing later.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.backgrounds import check_background
from greenroom.desktop.instance import check_none_runs
from greenroom.errors import (
    GreenroomError,
    IncompleteError,
    ProcessingError,
    SettingsError,
    SinkError,
    SourceError,
)
from greenroom.evaluation.dataset import find_cases
from greenroom.evaluation.report import check_report
from greenroom.files.room_plate import check_plate_output
from greenroom.live.parts import check_live, wanted_rate
from greenroom.live.sources import check_live_source
from greenroom.media.decoding import STDIN
from greenroom.media.image_files import is_picture
from greenroom.media.paths import is_folder
from greenroom.media.source_info import SourceInfo
from greenroom.segmenters import check_model
from greenroom.sinks import check_sink
from greenroom.sinks.destinations import PAGE, create_live_sinks, destinations
from greenroom.sources import check_source
from greenroom.sources.stream import is_stream
from greenroom.specs import BACKGROUND_KINDS
from greenroom.web.port import check_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.settings import Settings

__all__ = [
    "PER_FILE_ERRORS",
    "check_bench",
    "check_conversions",
    "check_evaluation",
    "check_plate_recording",
    "check_run",
    "model_names",
    "unexpected_name_error",
]

PER_FILE_ERRORS: Final = (SourceError, ProcessingError, SinkError)
"""Errors that concern one file of a batch; the others are still converted."""
_HELP: Final = "greenroom run --help"
DEMO: Final = "demo"
"""Name of the demonstration source, unless a file has that name."""


def check_run(settings: Settings, port: int) -> None:
    """Check everything that ``greenroom run`` opens, except devices and addresses.

    Raises
    ------
    GreenroomError
        Of the subclass for the first thing that cannot be used.
    """
    check_live(settings)
    has_page = any(kind == PAGE for kind, _ in destinations(settings))
    check_none_runs()
    if has_page:
        check_port(port)
    for sink in create_live_sinks(settings, wanted_rate(settings)):
        sink.abort()
    check_background(settings)
    check_model(settings)
    check_live_source(settings)


def unexpected_name_error(name: str) -> SettingsError:
    """Make the error for a name without an option; it suggests the option that may be meant."""
    path = Path(name)
    quoted = shlex.quote(name)
    background, source = f"--background {quoted}", f"--source {quoted}"
    if is_picture(path) or is_folder(path) or name.partition(":")[0] in BACKGROUND_KINDS:
        hint = f"To have it behind you: greenroom run {background}"
    elif name.isdigit() or name.startswith("/dev/") or is_stream(name) or name == DEMO:
        hint = f"It belongs to --source: greenroom run {source}"
    elif path.suffix and name != STDIN:
        hint = (
            f"To play it in the camera's place: greenroom run {source}. To have it behind you: "
            f"greenroom run {background}"
        )
    else:
        hint = f"What is behind you follows --background, a camera --source: see {_HELP}"
    message = f"greenroom run takes no name without an option, such as '{name}'. {hint}"
    return SettingsError(message)


def check_conversions(
    pairs: Sequence[tuple[str, str]], settings: Settings, *, has_background: bool
) -> None:
    """Check inputs, outputs, background and model of ``greenroom convert`` or ``matte``.

    Raises
    ------
    GreenroomError
        Of the subclass for the first thing that cannot be used.
    """
    failures: list[GreenroomError] = []
    for source, target in pairs:
        try:
            check_sink(target, settings, check_source(source, settings))
        except PER_FILE_ERRORS as error:  # the others of a batch are converted
            failures.append(error)
    if failures and len(failures) == len(pairs):
        raise failures[0] if len(pairs) == 1 else IncompleteError(failures, len(pairs))
    if has_background:
        check_background(settings)
    check_model(settings)


def check_bench(settings: Settings, *, live: bool) -> None:
    """Check background, model and source of ``greenroom bench``.

    Raises
    ------
    GreenroomError
        Of the subclass for the first thing that cannot be used.
    """
    check_background(settings)
    check_model(settings)
    if live and "source" in settings.model_fields_set:
        check_live_source(settings)


def check_evaluation(
    dataset: Path, out: Path | None, settings: Settings, *, overwrite: bool
) -> None:
    """Check dataset, report and models of ``greenroom eval``.

    Raises
    ------
    GreenroomError
        Of the subclass for the first thing that cannot be used.
    """
    find_cases(dataset)
    if out is not None:
        check_report(out, overwrite=overwrite)
    for model in model_names(settings.model):
        check_model(settings.changed(model=model))


def check_plate_recording(source: str, output: Path, settings: Settings) -> None:
    """Check input, output and model of ``greenroom plate record``.

    Raises
    ------
    GreenroomError
        Of the subclass for the first thing that cannot be used.
    """
    is_demo = source == DEMO and not Path(source).exists()
    info = None if is_demo else check_source(source, settings)
    check_plate_output(output, info or SourceInfo(source), settings)
    check_model(settings)


def model_names(text: str) -> list[str]:
    """Split the setting ``model`` at commas, for commands that take several models.

    Raises
    ------
    SettingsError
        If it names none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        message = f"model: expected names with commas between, not {text!r}."
        raise SettingsError(message, "model")
    return list(dict.fromkeys(names))
