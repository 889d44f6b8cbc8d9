"""``greenroom convert``: replace the background of files."""

from __future__ import annotations

from typing import Annotated

import typer

from greenroom.cli.options import OutDir, settings_command
from greenroom.settings import Group, Settings

__all__ = ["convert"]


@settings_command(
    Group.BACKGROUND,
    Group.MODEL,
    Group.STAYS,
    Group.EDGE,
    Group.SCENE,
    Group.PICTURE,
    Group.FAILURE,
    Group.OUTPUT,
    Group.VIEW,
    work="greenroom.cli.file_batch:convert",
)
def convert(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT... OUTPUT",
            help=(
                "A video, a picture, a folder of pictures, a pattern such as frames/%04d.png, or "
                "- for standard input; last the output of the same kinds, or - for Y4M on "
                "standard output. With --out-dir, inputs only."
            ),
        ),
    ] = None,
    *,
    out_dir: OutDir = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary of each file as a line of JSON.")
    ] = False,
    settings: Settings,
) -> None:
    """Put another background behind the person in a video or picture."""
