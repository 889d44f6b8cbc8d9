"""The command ``greenroom``: the only place that prints or exits."""

from __future__ import annotations

from greenroom.cli.app import app

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    app(prog_name="greenroom")
