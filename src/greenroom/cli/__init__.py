"""The command ``greenroom``: the only place that prints or exits."""

from __future__ import annotations

import sys
from contextlib import suppress

from greenroom.cli.lean_start import begin_start
from greenroom.cli.process_end import STATUS_FAILED, STATUS_INTERRUPTED, end_process
from greenroom.errors import GreenroomError

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    try:
        status = _run()
    except KeyboardInterrupt:  # before a command has begun, which says so itself
        with suppress(OSError, ValueError):
            sys.stderr.write("greenroom: interrupted\n")
        status = STATUS_INTERRUPTED
    end_process(status)


def _run() -> int:
    """Run the command; return the status to end with."""
    begin_start()
    # Not at the top: they take some time, in which Ctrl-C is no traceback either.
    from greenroom.cli.app import app  # noqa: PLC0415
    from greenroom.cli.standard_streams import say, secure_standard_streams  # noqa: PLC0415

    secure_standard_streams()
    try:
        app(prog_name="greenroom")
    except GreenroomError as error:  # of what no command prints: help, version
        say(f"error: {error}")
        return STATUS_FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
