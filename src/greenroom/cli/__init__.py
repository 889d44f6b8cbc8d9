"""The command ``greenroom``: the only place that prints or exits."""

from __future__ import annotations

from greenroom.cli.app import app
from greenroom.cli.process_end import end_process
from greenroom.cli.standard_streams import say, secure_standard_streams
from greenroom.errors import GreenroomError

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    secure_standard_streams()
    try:
        app(prog_name="greenroom")
    except GreenroomError as error:  # of what no command prints: help, version
        say(f"error: {error}")
        end_process(1)
    except SystemExit as end:
        end_process(end.code if isinstance(end.code, int) else int(end.code is not None))
