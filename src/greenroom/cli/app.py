"""The command-line application: subcommands, ``--version`` and ``--help``."""

from __future__ import annotations

from typing import Annotated, Final

import typer

import greenroom
from greenroom.cli.lazy_commands import LazyCommand, LazyGroup

__all__ = ["app"]

_COMMANDS: Final = {
    "run": LazyCommand(
        "greenroom.cli.run:run",
        "Be seen in front of another background in video calls.",
        allows_extra_arguments=True,  # it suggests the option that they may belong to
    ),
    "page": LazyCommand(
        "greenroom.cli.page:page", "Open the page of greenroom run in the web browser."
    ),
    "cover": LazyCommand(
        "greenroom.cli.cover:cover",
        "Cover yourself in what greenroom run sends, or show yourself again.",
    ),
    "devices": LazyCommand(
        "greenroom.cli.devices:devices",
        "List the cameras with their formats, and the virtual cameras.",
    ),
    "doctor": LazyCommand(
        "greenroom.cli.doctor:doctor",
        "Check camera, virtual camera, models and the rest, and print how to mend what is wrong.",
    ),
    "convert": LazyCommand(
        "greenroom.cli.convert:convert",
        "Put another background behind the person in a video or picture.",
    ),
    "batch": LazyCommand(
        "greenroom.cli.batch:batch",
        "Put another background behind the people in many videos and pictures.",
        optional_values=(("--ray", "here"),),
    ),
    "matte": LazyCommand(
        "greenroom.cli.matte:matte",
        "Write the matte of a video or picture: white where the person is.",
    ),
    "demo": LazyCommand(
        "greenroom.cli.demo:demo",
        "Make a clip of a person in front of a busy scene and replace its background three ways.",
    ),
    "bench": LazyCommand(
        "greenroom.cli.bench:bench",
        "Measure the engine on frames in memory, or a live session: what a frame takes.",
    ),
    "eval": LazyCommand(
        "greenroom.cli.eval:evaluate",
        "Measure models on labelled pictures or clips; --model takes several, with commas between.",
    ),
    "models": LazyCommand(
        "greenroom.cli.models:app",
        "List models, and get, add, check or remove them.",
    ),
    "serve": LazyCommand(
        "greenroom.cli.serve:serve",
        "Serve virtual backgrounds over WebRTC to browsers, OBS, FFmpeg and others.",
        optional_values=(("--ray", "here"),),
    ),
    "plate": LazyCommand(
        "greenroom.cli.plate:app",
        "Record a picture of the empty room.",
    ),
}


class _Commands(LazyGroup):
    """All commands."""

    lazy_commands = _COMMANDS


app = typer.Typer(
    name="greenroom",
    cls=_Commands,
    help="Be seen in front of another background, and keep your room private.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(*, value: bool) -> None:
    if value:
        typer.echo(f"greenroom {greenroom.__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            help="Print the version.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Be seen in front of another background, and keep your room private."""
