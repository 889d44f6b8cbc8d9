"""The command's entry: its subcommands, ``--version`` and ``--help``."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from greenroom.cli import (
    bench,
    convert,
    cover,
    demo,
    devices,
    doctor,
    matte,
    models,
    page,
    plate,
    run,
)
from greenroom.cli import eval as evaluation
from greenroom.cli.help import with_plain_flags

__all__ = ["app"]

app = typer.Typer(
    name="greenroom",
    help="Be seen in front of another background, and keep your room private.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Names that it does not take are told by it: which option they may belong to.
app.command(context_settings={"allow_extra_args": True})(run.command)
for module in (page, cover, devices, doctor, convert, matte, demo, bench):
    app.command()(module.command)
app.command("eval")(evaluation.command)
for part in (models.app, plate.app):
    app.add_typer(with_plain_flags(part))
with_plain_flags(app)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's way of a callback
    if value:
        typer.echo(f"greenroom {metadata.version('greenroom')}")
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
