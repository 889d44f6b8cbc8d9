"""A sink that discards frames, for measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.sinks.sink import LiveSink

if TYPE_CHECKING:
    from greenroom.media.frame import Frame

__all__ = ["NullSink"]


class NullSink(LiveSink):
    """Counts frames and discards them. It always wants more.

    Attributes
    ----------
    frames : int
        Number of frames written.
    """

    name = "null"
    device = ""
    paced = False
    always = True

    def __init__(self) -> None:
        self.frames = 0

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        del frame
        self.frames += 1

    def close(self) -> None:
        """See `Sink.close`."""

    def abort(self) -> None:
        """See `Sink.abort`."""

    def readers(self) -> int | None:
        """See `LiveSink.readers`."""
        return None
