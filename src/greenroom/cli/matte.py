"""``greenroom matte``: write the mattes of files."""

from __future__ import annotations

from typing import Annotated

import typer

from greenroom.cli.options import OutDir, settings_command
from greenroom.settings import Group, Settings

__all__ = ["matte"]


@settings_command(
    Group.MODEL,
    Group.STAYS,
    Group.EDGE,
    Group.FAILURE,
    Group.OUTPUT,
    work="greenroom.cli.file_batch:matte",
)
def matte(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT... OUTPUT",
            help=(
                "As for convert. The output is gray: a picture, a pattern, a video (.mkv is "
                "lossless), or - for Y4M. With --out-dir, inputs only."
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
    """Write the matte of a video or picture: white where the person is."""
