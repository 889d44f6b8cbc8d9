"""``greenroom convert``: replace the background of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from greenroom.cli.file_batch import check_files, each_file
from greenroom.cli.options import settings_command
from greenroom.settings import Group, Settings

__all__ = ["command"]


def _check(settings: Settings, values: dict[str, Any]) -> None:
    check_files(settings, values, has_background=True)


@settings_command(
    Group.BACKGROUND,
    Group.MODEL,
    Group.STAYS,
    Group.EDGE,
    Group.SCENE,
    Group.PICTURE,
    Group.FAILURE,
    Group.OUTPUT,
    check=_check,
    loads="greenroom.files.convert",
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
    out_dir: Annotated[
        Path | None,
        typer.Option(help="Write every input into this folder, under its own name."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary of each file as a line of JSON.")
    ] = False,
    settings: Settings,
) -> None:
    """Put another background behind the person in a video or picture."""
    from greenroom.files.convert import convert as run

    each_file(run, files or [], out_dir, settings, as_json=as_json)


command = convert
