"""Commands that are imported when they are called, so that ``greenroom --help`` is fast."""

from __future__ import annotations

import pkgutil
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
    """A command, or a group of commands, that is not imported yet.

    Attributes
    ----------
    target : str
        Its function, or the Typer application of a group, such as ``package.module:function``.
    summary : str
        The first sentence of its help.
    allows_extra_arguments : bool
        Whether arguments that it does not declare are passed on instead of refused.
    optional_values : tuple of (str, str)
        Options that may stand without their value, and which it is then: Typer has none.
    """

    target: str
    summary: str
    allows_extra_arguments: bool = False
    optional_values: tuple[tuple[str, str], ...] = ()


class LazyGroup(HelpfulGroup):
    """A group of commands that are imported when they are called.

    Its help is plain text: importing Rich would double the time that the help takes.

    Attributes
    ----------
    lazy_commands : mapping
        The commands by name, in the order of the help.
    """

    lazy_commands: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, lazy in self.lazy_commands.items():
            self.add_command(TyperCommand(name, help=lazy.summary))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help if there are no arguments."""
        if not args:
            typer.echo(ctx.get_help())
            raise typer.Exit(STATUS_USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, command, rest
        lazy = self.lazy_commands[name]
        return name, _imported(name, lazy), _with_values(rest, dict(lazy.optional_values))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_options(ctx, formatter)

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        """List the commands with their whole summaries, which Click would truncate."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.lazy_commands.items()])


def _with_values(arguments: list[str], values: Mapping[str, str]) -> list[str]:
    """Return arguments with the values of options that stand without one."""
    following = [*arguments[1:], "-"]
    return [
        f"{one}={values[one]}" if one in values and after.startswith("-") else one
        for one, after in zip(arguments, following, strict=False)
    ]


def _imported(name: str, lazy: LazyCommand) -> Any:
    app = command = pkgutil.resolve_name(lazy.target)
    if not isinstance(command, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(name, context_settings={"allow_extra_args": lazy.allows_extra_arguments})(
            command
        )
    return get_command(with_plain_flags(app))
