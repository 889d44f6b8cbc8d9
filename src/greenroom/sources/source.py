"""What a source is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.media.frame import Frame
    from greenroom.media.source_info import SourceInfo

__all__ = ["Rewindable", "Source"]


class Source(Protocol):
    """Gives frames, in order, once.

    All have one layout unless the source consists of unrelated pictures. Iterating may
    block; it happens on one thread. `close` may be called on another, and more than once.
    """

    @property
    def info(self) -> SourceInfo:
        """What is known before the first frame."""

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; each has memory of its own.

        Raises
        ------
        SourceError
            If something cannot be read.
        """

    def close(self) -> None:
        """Release the file or device."""


@runtime_checkable
class Rewindable(Source, Protocol):
    """A source whose frames can be had again."""

    def rewind(self) -> bool:
        """Have the next iteration begin at the first frame again, after one that has ended.

        Returns
        -------
        bool
            False where that cannot be done after all, and it is to be opened anew.
        """
