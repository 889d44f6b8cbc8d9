"""Standard input, output and error that are closed, full, or read by nobody."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from greenroom.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["say", "secure_standard_streams"]


def secure_standard_streams() -> None:
    """Occupy the descriptors of standard streams that are closed, for the whole process.

    Otherwise the next file that is opened gets number 0, 1 or 2, and what a native library
    writes to standard error ends in a video. Standard error, which much is written to unasked,
    goes nowhere then; input and output stay missing, so that who needs them is told.
    """
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            else:
                os.set_inheritable(descriptor, True)  # noqa: FBT003 - programs that are started need them too
    if sys.stderr is None:
        # Open as long as the process is: it is standard error from here on.
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding, errors = sys.stdout.encoding, sys.stdout.errors
        is_shown_at_once = sys.stdout.line_buffering
        sys.stdout = _Output(sys.stdout.detach(), encoding, errors, line_buffering=is_shown_at_once)


def say(text: str) -> None:
    """Write a message to standard error; where that cannot be done, nobody is told."""
    with suppress(OSError, ValueError):
        typer.echo(f"greenroom: {text}", err=True)


class _Output(io.TextIOWrapper):
    """Standard output whose failures are told as greenroom's own."""

    def write(self, text: str) -> int:
        """Write, with one sentence where that fails."""
        with _as_sink_error():
            return super().write(text)

    def flush(self) -> None:
        """Flush, with one sentence where that fails."""
        with _as_sink_error():
            super().flush()


@contextmanager
def _as_sink_error() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # the reader has what it wanted
        raise
    except OSError as error:
        sys.stdout = None  # so that what is left of it is not tried again at the end
        message = f"standard output cannot be written: {str(error.strerror).lower()}."
        raise SinkError(message, "-") from error
