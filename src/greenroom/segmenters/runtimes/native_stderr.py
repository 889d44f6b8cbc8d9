"""Capture of standard error from native libraries."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CapturedText", "captured_stderr"]

_CAPTURE_LOCK = threading.Lock()


class CapturedText:
    """Captured output.

    Attributes
    ----------
    text : str
        Empty until the block has ended.
    """

    def __init__(self) -> None:
        self.text = ""

    def read_from(self, file: IO[bytes]) -> None:
        """Read the text from a file."""
        file.seek(0)
        self.text = file.read(1 << 16).decode("utf-8", "replace")


@contextmanager
def captured_stderr() -> Iterator[CapturedText]:
    """Capture standard error at the level of the file descriptor.

    Other threads' output is captured, too, so use it only briefly, such as while loading.
    """
    captured = CapturedText()
    with _CAPTURE_LOCK:
        try:
            kept = os.dup(2)
        except OSError:  # no standard error
            yield captured
            return
        with tempfile.TemporaryFile() as file:
            try:
                os.dup2(file.fileno(), 2)
                yield captured
            finally:
                os.dup2(kept, 2)
                os.close(kept)
                captured.read_from(file)
