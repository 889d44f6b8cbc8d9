"""A sink that takes frames and does nothing, for measuring."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenroom.media.frame import Frame

__all__ = ["NullSink"]


class NullSink:
    """Counts frames and forgets them. It always wants more.

    Attributes
    ----------
    frames : int
        How many came.
    """

    name = "null"
    device = ""
    paced = False
    always = True

    def __init__(self) -> None:
        self.frames = 0

    def write(self, frame: Frame) -> None:  # noqa: ARG002 - the protocol's signature
        """See `Sink.write`."""
        self.frames += 1

    def close(self) -> None:
        """See `Sink.close`."""

    def abort(self) -> None:
        """See `Sink.abort`."""

    def readers(self) -> int | None:
        """See `LiveSink.readers`."""
        return None
