"""``greenroom run``: from a camera to a virtual camera and a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from greenroom.cli.options import settings_command
from greenroom.settings import Group, Settings
from greenroom.web.port import DEFAULT_PORT

__all__ = ["run"]


@settings_command(
    Group.BACKGROUND,
    Group.MODEL,
    Group.STAYS,
    Group.EDGE,
    Group.SCENE,
    Group.PICTURE,
    Group.CAMERA,
    Group.LIVE,
    Group.FAILURE,
    Group.OUTPUT,
    work="greenroom.cli.live_run:run",
)
def run(
    context: typer.Context,
    *,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port of the page, if --to has one; 0 takes a free one."
        ),
    ] = DEFAULT_PORT,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the web browser.")
    ] = False,
    covered: Annotated[bool, typer.Option("--covered", help="Begin with the cover.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=1e9,
            help="End after so many seconds.",
            show_default=False,
        ),
    ] = None,
    settings: Settings,
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Be seen in front of another background in video calls.

    Choose the camera "greenroom" in the call. The page at the address that is printed changes
    everything while it runs. Space in the page, SIGUSR1 or greenroom cover toggle covers you or
    ends that; SIGUSR2 or greenroom cover on covers you, whatever is so.
    """
