"""What a sink is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from greenroom.frames import Frame

__all__ = ["Sink"]


class Sink(Protocol):
    """Takes frames, in order. Called on one thread.

    Either `close` or `abort` is called at the end, once. A file appears under its name
    when it is closed, and never when it is aborted.
    """

    def write(self, frame: Frame) -> None:
        """Take a frame. It is read only, and may be kept.

        Raises
        ------
        SinkError
            If it cannot be written.
        """

    def close(self) -> None:
        """Finish the output.

        Raises
        ------
        SinkError
            If it cannot be finished.
        """

    def abort(self) -> None:
        """Leave nothing behind."""
