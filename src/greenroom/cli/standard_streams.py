"""Standard streams that are closed, full, or have lost their reader."""

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
    """Open the null device in place of standard streams that are closed.

    Otherwise the next file to be opened gets descriptor 0, 1 or 2, and a native library's message
    to standard error would end up in a video. `sys.stderr` is opened too, as many write to it;
    `sys.stdin` and `sys.stdout` stay None, so that a command that needs them fails with a message.
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
                os.set_inheritable(descriptor, True)  # child processes need it too
    if sys.stderr is None:
        # It stays open for as long as the process runs.
        sys.stderr = io.TextIOWrapper(
            io.FileIO(2, "w", closefd=False), encoding="utf-8", write_through=True
        )
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding, errors = sys.stdout.encoding, sys.stdout.errors
        line_buffering = sys.stdout.line_buffering
        sys.stdout = _Output(sys.stdout.detach(), encoding, errors, line_buffering=line_buffering)


def say(text: str) -> None:
    """Write a message to standard error; a failure to write is ignored."""
    with suppress(OSError, ValueError):
        typer.echo(f"greenroom: {text}", err=True)


class _Output(io.TextIOWrapper):
    """Standard output that raises `SinkError` when writing fails."""

    def write(self, text: str) -> int:
        """Write text."""
        with _as_sink_error():
            return super().write(text)

    def flush(self) -> None:
        """Flush the buffer."""
        with _as_sink_error():
            super().flush()


@contextmanager
def _as_sink_error() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # the reader, such as `head`, has read enough
        raise
    except OSError as error:
        sys.stdout = None  # or the interpreter would flush it again at exit
        message = f"standard output cannot be written: {str(error.strerror).lower()}."
        raise SinkError(message, "-") from error
