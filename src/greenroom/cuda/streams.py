"""Contract of streams: work of a device in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from greenroom.cuda.program import Kernel

__all__ = ["BLOCK", "Event", "Stream"]

BLOCK: Final = (32, 8)
"""Threads of a block: columns and rows."""


class Event(ABC):
    """A point in the work of a stream."""

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether the work before it has ended."""

    @abstractmethod
    def wait(self) -> None:
        """Wait on the host until it has."""


class Stream(ABC):
    """Work of a device, done in the order in which it is given.

    Attributes
    ----------
    address : int
        By which other libraries know it; 0 if none does.
    """

    address: int = 0

    @abstractmethod
    def record(self) -> Event:
        """Return the end of the work given so far."""

    @abstractmethod
    def wait_for(self, event: Event) -> None:
        """Have later work wait for an event of another stream."""

    @abstractmethod
    def copy_in(self, address: int, pinned: NDArray[np.uint8]) -> None:
        """Copy from pinned memory of the host."""

    @abstractmethod
    def copy_out(self, pinned: NDArray[np.uint8], address: int) -> None:
        """Copy to pinned memory of the host."""

    @abstractmethod
    def launch(self, kernel: Kernel, blocks: tuple[int, int, int], arguments: list[Any]) -> None:
        """Run a kernel in blocks of `BLOCK` threads; arguments have the types of its kinds."""
