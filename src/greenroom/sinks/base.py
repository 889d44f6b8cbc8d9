"""What a sink is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from greenroom.errors import SinkError

if TYPE_CHECKING:
    from greenroom.frames import Frame, Layout

__all__ = ["Sink", "check_layout"]


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


def check_layout(frame: Frame, layout: Layout, name: object) -> None:
    """Refuse a frame that does not go with the first one of a video.

    Raises
    ------
    SinkError
        If size, format or colour is another.
    """
    if frame.layout != layout:
        message = (
            f"output '{name}': the frames of a video have one size and format, and after "
            f"{layout.width}x{layout.height} {layout.format} came {frame.layout.width}x"
            f"{frame.layout.height} {frame.format}. Write pictures into a folder."
        )
        raise SinkError(message)
