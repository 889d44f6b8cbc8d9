"""``greenroom plate``: record a clean plate, a picture of the empty room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenroom.cli.options import settings_command
from greenroom.settings import Group, Settings

__all__ = ["app"]

app = typer.Typer(
    name="plate",
    help="Record a picture of the empty room.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def common() -> None:
    """Record a picture of the empty room."""


@app.command()
@settings_command(Group.MODEL, work="greenroom.cli.plate_recording:record")
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
