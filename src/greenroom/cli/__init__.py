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
    except KeyboardInterrupt:  # before a command runs; commands handle Ctrl-C themselves
        with suppress(OSError, ValueError):
            sys.stderr.write("greenroom: interrupted\n")
        status = STATUS_INTERRUPTED
    end_process(status)


def _run() -> int:
    """Run the command; return its exit status."""
    begin_start()
    # Not at the top: Ctrl-C while they load should give no traceback either.
    from greenroom.cli.app import app  # noqa: PLC0415
    from greenroom.cli.standard_streams import say, secure_standard_streams  # noqa: PLC0415

    secure_standard_streams()
    try:
        app(prog_name="greenroom")
    except GreenroomError as error:  # raised outside a command: by --help or --version
        say(f"error: {error}")
        return STATUS_FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
