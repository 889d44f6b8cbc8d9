"""``greenroom plate``: record a clean plate, a picture of the empty room."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from greenroom.cli.options import settings_command
from greenroom.cli.preflight import DEMO, check_plate_recording
from greenroom.cli.progress import progress_bar
from greenroom.files.room_plate import check_plate_output, record_plate
from greenroom.settings import Group, Settings
from greenroom.sources import create_source

if TYPE_CHECKING:
    from greenroom.sources import Source

__all__ = ["app"]

_RATE: Final = 25

app = typer.Typer(
    name="plate",
    help="Record a picture of the empty room.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def common() -> None:
    """Record a picture of the empty room."""


def _check(settings: Settings, values: dict[str, Any]) -> None:
    settings = settings.changed(overwrite=values["overwrite"])
    check_plate_recording(values["source"], values["output"], settings)


@app.command()
@settings_command(Group.MODEL, check=_check)
def record(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A video, a pattern such as frames/%04d.png, - for standard input, or demo.",
        ),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT.png", help="Where the picture goes.")],
    *,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, help="How long the room is watched, in seconds.")
    ] = 5.0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an output that is there already.")
    ] = False,
    settings: Settings,
) -> None:
    """Learn the room in some seconds of a video, and save it for the setting plate.

    Nobody has to be in it. What is behind someone all the time stays unknown.
    """
    from greenroom.engine.engine import VirtualBackground

    settings = settings.changed(overwrite=overwrite, background="color:black", plate=None)
    opened = _open(source, settings, seconds)
    try:
        check_plate_output(output, opened.info, settings)
        with VirtualBackground(settings) as engine, progress_bar(opened.info.name) as progress:
            known = record_plate(
                opened,
                output,
                settings,
                engine,
                seconds=seconds,
                progress=progress,
            )
    finally:
        opened.close()
    typer.echo(f"{output}: {100 * known:.0f} % of the room is known")


def _open(name: str, settings: Settings, seconds: float) -> Source:
    """Open the source to record from."""
    if name == DEMO and not Path(name).exists():
        from greenroom.engine.demo import demo_source

        return demo_source(settings, max(1, round(_RATE * seconds)))

    return create_source(name, settings)
