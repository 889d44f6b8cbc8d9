"""Commands that are imported when they are called: the list of them all needs none of them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand
from typer.main import get_command

from greenroom.cli.help import HelpfulGroup, with_plain_flags
from greenroom.cli.process_end import STATUS_USAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LazyCommand", "LazyGroup"]


class LazyCommand(NamedTuple):
    """A command that is not imported yet.

    Attributes
    ----------
    module : str
        Has it as ``command``, or several as ``app``.
    summary : str
        The first sentence of its help.
    has_commands : bool
        Whether it is several.
    takes_more : bool
        Whether it is given the arguments that it has no place for.
    """

    module: str
    summary: str
    has_commands: bool = False
    takes_more: bool = False


class LazyGroup(HelpfulGroup):
    """A group of such commands.

    Its help is plain text, as Rich would take as long as all the rest of it.

    Attributes
    ----------
    late : mapping
        The commands by name, in the order of the help.
    """

    late: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, late in self.late.items():
            self.add_command(TyperCommand(name, help=late.summary))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help where nothing is asked for, as Typer does with Rich."""
        if not args:
            typer.echo(ctx.get_help())
            raise typer.Exit(STATUS_USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else _imported(name, self.late[name]), rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's own Click
        """List the commands with all of their summaries, which Click would cut off."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, late.summary) for name, late in self.late.items()])


def _imported(name: str, late: LazyCommand) -> Any:
    module = importlib.import_module(late.module)
    if late.has_commands:
        return get_command(with_plain_flags(module.app))
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    app.command(name, context_settings={"allow_extra_args": late.takes_more})(module.command)
    return get_command(with_plain_flags(app))
