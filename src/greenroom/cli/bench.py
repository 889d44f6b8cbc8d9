"""``greenroom bench``: the time each stage takes on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from greenroom.cli.options import Json, settings_command
from greenroom.settings import Group, Settings

__all__ = ["bench"]


@settings_command(
    Group.BACKGROUND,
    Group.MODEL,
    Group.STAYS,
    Group.EDGE,
    Group.SCENE,
    Group.PICTURE,
    Group.CAMERA,
    work="greenroom.cli.engine_bench:bench",
)
def bench(
    *,
    frames: Annotated[int, typer.Option(min=1, help="How many frames are measured.")] = 300,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help=(
                "Measure a live session instead, from capture to sink: of --source, or of frames "
                "in memory if that is not given."
            ),
        ),
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=1, max=86400, help="How long a live session is measured.")
    ] = 10.0,
    governed: Annotated[
        bool, typer.Option("--governed", help="Have the governor steer the live session.")
    ] = False,
    as_json: Json = False,
    settings: Settings,
) -> None:
    """Measure the engine on frames in memory, or a live session: what a frame takes."""
