"""Help texts: flags without a type, and paragraphs that fill the terminal."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    import typer

__all__ = ["HelpfulGroup", "filled", "with_plain_flags"]


def _plain(parameters: list[Any]) -> list[Any]:
    """Remove the type that help shows beside options without a value."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


class _HelpfulCommand(TyperCommand):
    """A command whose flags show no type."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, including ``--help``."""
        return _plain(super().get_params(ctx))


class HelpfulGroup(TyperGroup):
    """A group of commands whose flags show no type."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, including ``--help``."""
        return _plain(super().get_params(ctx))


def with_plain_flags(app: typer.Typer) -> typer.Typer:
    """Make the help of an application and its commands show no type beside flags."""
    app.info.cls = HelpfulGroup
    for command in app.registered_commands:
        command.cls = _HelpfulCommand
    return app


def filled(text: str | None) -> str:
    r"""Join the lines of each paragraph of a docstring, for the terminal to wrap.

    >>> filled("One\ntwo.\n\nThree.")
    'One two.\n\nThree.'
    """
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
