"""What native libraries write to standard error: kept away, or read."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CapturedText", "captured_stderr"]

_REDIRECTING = threading.Lock()


class CapturedText:
    """What a library wrote.

    Attributes
    ----------
    text : str
        Empty until the block has ended.
    """

    def __init__(self) -> None:
        self.text = ""

    def take(self, file: IO[bytes]) -> None:
        """Read what was written to a file."""
        file.seek(0)
        self.text = file.read(1 << 16).decode("utf-8", "replace")


@contextmanager
def captured_stderr() -> Iterator[CapturedText]:
    """Keep what libraries write to standard error, which cannot be turned off, out of it.

    Other threads' output is caught too, so it is only for the short while of loading.
    """
    notes = CapturedText()
    with _REDIRECTING:
        try:
            kept = os.dup(2)
        except OSError:  # there is none
            yield notes
            return
        with tempfile.TemporaryFile() as file:
            try:
                os.dup2(file.fileno(), 2)
                yield notes
            finally:
                os.dup2(kept, 2)
                os.close(kept)
                notes.take(file)
