"""The command ``greenroom``: the only place that prints or exits."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

from greenroom.cli.process_end import end_process
from greenroom.errors import GreenroomError

__all__ = ["main"]

_INTERRUPTED: Final = 130


def main() -> None:
    """Run the command."""
    try:
        status = _run()
    except KeyboardInterrupt:  # before a command has begun, which says so itself
        with suppress(OSError, ValueError):
            sys.stderr.write("greenroom: interrupted\n")
        status = _INTERRUPTED
    end_process(status)


def _run() -> int:
    """Run the command; return the status to end with."""
    # Not at the top: they take a third of a second, in which Ctrl-C is no traceback either.
    from greenroom.cli.app import app  # noqa: PLC0415
    from greenroom.cli.standard_streams import say, secure_standard_streams  # noqa: PLC0415

    secure_standard_streams()
    try:
        app(prog_name="greenroom")
    except GreenroomError as error:  # of what no command prints: help, version
        say(f"error: {error}")
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
