"""The descriptor of a device that FFmpeg has opened, so that nobody waits in it for ever."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Readiness"]

_DESCRIPTORS: Final = Path("/proc/self/fd")


class Readiness:
    """Finds a device's descriptor, and waits until there is something to read.

    FFmpeg opens devices of Video4Linux itself, gives the descriptor to nobody, and has no option
    by which reading would end: here the descriptor is looked up, and made not to wait.

    Parameters
    ----------
    device : str
        The device file, before it is opened; empty if there is none.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._before = set(self._open_now())
        self._descriptor: int | None = None

    def find(self) -> None:
        """Look for the descriptor, now that the device was opened; without one, nothing changes."""
        found = set(self._open_now()) - self._before
        if len(found) == 1:
            with suppress(OSError):
                (descriptor,) = found
                os.set_blocking(descriptor, False)
                self._descriptor = descriptor

    def wait(self, seconds: float) -> bool:
        """Wait until a frame may be there; False at once if that cannot be told."""
        if self._descriptor is None:
            return False
        with suppress(OSError, ValueError):  # reading tells what is wrong with it
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
