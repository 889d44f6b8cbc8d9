"""The contract that every source of frames fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.media.frame import Frame
    from greenroom.media.source_info import SourceInfo

__all__ = ["Source"]


class Source(ABC):
    """Gives frames, in order, once.

    All have one layout unless the source consists of unrelated pictures. Iterating may
    block; it happens on one thread. `close` may be called on another, and more than once.

    Attributes
    ----------
    info : SourceInfo
        Facts known before the first frame.
    """

    info: SourceInfo

    @property
    def decoder(self) -> str:
        """Where video was decoded: ``cpu``, ``cuda``, or both in turn; empty if it is none."""
        return ""

    @property
    def damaged(self) -> int:
        """Number of frames left out because they could not be decoded completely."""
        return 0

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; each has memory of its own.

        Raises
        ------
        SourceError
            If something cannot be read.
        """

    def rewind(self) -> bool:
        """Make the next iteration start at the first frame again, after one that has ended.

        Returns
        -------
        bool
            False if that is not possible, so that the source has to be opened anew.
        """
        return False

    @abstractmethod
    def close(self) -> None:
        """Release the file or device."""
