"""What every command looks at first: whether all that it was told to use is there.

Kernels take up to a minute to compile and models seconds to load, so mistakes are told before.
Nothing here may import either; each check is that of the place which opens the thing later.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.settings import Settings

__all__ = [
    "check_bench",
    "check_conversions",
    "check_evaluation",
    "check_model",
    "check_plate_recording",
    "check_run",
    "model_names",
]

DEMO: Final = "demo"
"""What ``--source`` and ``plate record`` call the demonstration, unless a file is called so."""


def check_run(settings: Settings, port: int) -> None:
    """Check what ``greenroom run`` would open, besides devices and addresses.

    Raises
    ------
    GreenroomError
        Of the kind that says what cannot be used.
    """
    from greenroom.backgrounds import check_background  # noqa: PLC0415 - help stays fast
    from greenroom.live.instance import check_none_runs  # noqa: PLC0415
    from greenroom.live.parts import check_live, wanted_rate  # noqa: PLC0415
    from greenroom.live.port import check_port  # noqa: PLC0415
    from greenroom.sinks.live import PAGE, create_live_sinks, destinations  # noqa: PLC0415
    from greenroom.sources.live import check_live_source  # noqa: PLC0415

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


def check_conversions(
    pairs: Sequence[tuple[str, str]], settings: Settings, *, has_background: bool
) -> None:
    """Check inputs, outputs, background and model of ``greenroom convert`` or ``matte``.

    Raises
    ------
    GreenroomError
        Of the kind that says what cannot be used.
    """
    from greenroom.backgrounds import check_background  # noqa: PLC0415 - help stays fast
    from greenroom.sinks import check_sink  # noqa: PLC0415
    from greenroom.sources import check_source  # noqa: PLC0415

    for source, target in pairs:
        check_sink(target, settings, check_source(source, settings))
    if has_background:
        check_background(settings)
    check_model(settings)


def check_bench(settings: Settings, *, live: bool) -> None:
    """Check background, model and source of ``greenroom bench``.

    Raises
    ------
    GreenroomError
        Of the kind that says what cannot be used.
    """
    from greenroom.backgrounds import check_background  # noqa: PLC0415 - help stays fast
    from greenroom.sources.live import check_live_source  # noqa: PLC0415

    check_background(settings)
    check_model(settings)
    if live and "source" in settings.model_fields_set:
        check_live_source(settings)


def check_evaluation(
    dataset: Path | None, out: Path | None, settings: Settings, *, overwrite: bool
) -> None:
    """Check dataset, report and models of ``greenroom eval``.

    Raises
    ------
    GreenroomError
        Of the kind that says what cannot be used.
    """
    from greenroom.dataset import find_cases  # noqa: PLC0415 - help stays fast
    from greenroom.reports import check_report  # noqa: PLC0415

    if dataset is None:
        message = "expected a DATASET to measure on."
        raise SettingsError(message)
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
        Of the kind that says what cannot be used.
    """
    from greenroom.recording import check_plate_output  # noqa: PLC0415 - help stays fast
    from greenroom.sources import SourceInfo, check_source  # noqa: PLC0415

    is_demo = source == DEMO and not Path(source).exists()
    info = None if is_demo else check_source(source, settings)
    check_plate_output(output, info or SourceInfo(source), settings)
    check_model(settings)


def model_names(text: str) -> list[str]:
    """Take the setting ``model`` apart where it may name several, with commas between.

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


def check_model(settings: Settings) -> None:
    """Check the model.

    Raises
    ------
    SettingsError, MissingExtraError, ModelError
        If it is unknown or not there, or cannot run on the device that is wanted.
    """
    from greenroom.segmenters import check_model as check  # noqa: PLC0415 - help stays fast

    check(settings)
