"""``greenroom batch``: replace the background of a whole archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from greenroom.cli.options import settings_command
from greenroom.settings import Group, Settings

__all__ = ["batch"]


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
    work="greenroom.cli.archive_run:batch",
)
def batch(  # noqa: PLR0913 - one for each flag
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...",
            help=(
                "Videos and pictures, folders of them, patterns such as 'talks/**/*.mp4', lists "
                "(.csv, .jsonl) with settings for single files, and addresses such as "
                "s3://bucket/talks."
            ),
        ),
    ] = None,
    *,
    out_dir: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="Folder or address for the outputs; it is made if it is not there.",
        ),
    ],
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            help="Files at a time, each by a process; by default as many as fill the machine.",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help=(
                "Work on the machines of a Ray cluster, by the address of its head such as "
                "10.0.0.5:6379; without an address (at the end of the line, or before another "
                "option), Ray is started here. --jobs is then the most workers."
            ),
        ),
    ] = None,
    worker_cpus: Annotated[
        int,
        typer.Option(
            min=1,
            max=64,
            help="With --ray: processors that each worker takes, on machines without GPUs.",
        ),
    ] = 1,
    segment_seconds: Annotated[
        float | None,
        typer.Option(
            min=10.0,
            help=(
                "Divide longer videos into segments of about this length, which are done side by "
                "side and joined without encoding again."
            ),
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print what would be done, and how long it takes from a sample, and end.",
        ),
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first file that fails.")
    ] = False,
    redo: Annotated[
        bool,
        typer.Option("--redo", help="Do files again that were finished with other settings."),
    ] = False,
    state_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Folder on this machine for the manifest, which knows what is done; by default "
                "in the output folder, or the user's own if that is an address."
            ),
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Write a sheet of all files there, with thumbnails, the worst first: index.html."
            ),
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print each file that ends, and the end, as a line of JSON."),
    ] = False,
    settings: Settings,
) -> None:
    """Put another background behind the people in many videos and pictures.

    It can be interrupted at any moment, and goes on when it is called again.
    """
