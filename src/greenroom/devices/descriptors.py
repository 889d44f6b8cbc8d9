"""Readiness of a device opened by FFmpeg, so that reading it cannot hang."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FrameReadiness"]

_DESCRIPTORS: Final = Path("/proc/self/fd")


class FrameReadiness:
    """Wait with a timeout for frames of a device opened by FFmpeg.

    FFmpeg opens Video4Linux devices itself, does not expose the descriptor, and has no timeout for
    reading. The descriptor is found among the process's open files and made non-blocking.

    Parameters
    ----------
    device : str
        The device file, not yet opened; empty if there is none.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._before = set(self._open_now())
        self._descriptor: int | None = None

    def find(self) -> None:
        """Find the descriptor of the opened device; without one, `wait` returns False."""
        found = set(self._open_now()) - self._before
        if len(found) == 1:
            with suppress(OSError):
                (descriptor,) = found
                os.set_blocking(descriptor, False)
                self._descriptor = descriptor

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for a frame; return False at once without a descriptor."""
        if self._descriptor is None:
            return False
        with suppress(OSError, ValueError):  # the next read reports it
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            poll.poll(1000 * seconds)
        return True

    def _open_now(self) -> Iterator[int]:
        if self._device and sys.platform == "linux":
            real = Path(self._device).resolve()
            for link in _DESCRIPTORS.iterdir():
                with suppress(OSError):
                    if link.readlink() == real:
                        yield int(link.name)
