"""What a sink is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from greenroom.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout

__all__ = ["LiveSink", "Sink", "TellsReaders", "check_layout"]


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


class LiveSink(Sink, Protocol):
    """A sink that somebody may look at. `readers` may be called on any thread, at any time.

    All frames have the layout of the first one. A sink whose `write` blocks holds up nobody but
    itself: the session drops frames for it.
    """

    @property
    def name(self) -> str:
        """What the user called it: ``camera``, ``window``, ``file:out.mp4``."""

    @property
    def device(self) -> str:
        """What others see it as: ``greenroom (/dev/video10)``; empty before it is open."""

    @property
    def paced(self) -> bool:
        """Whether it wants frames at a constant rate: the last one is repeated then."""

    @property
    def always(self) -> bool:
        """Whether it wants frames though nobody may look, as a recording does."""

    def readers(self) -> int | None:
        """Return how many look at it, or None where that cannot be told. Never blocks."""


@runtime_checkable
class TellsReaders(Protocol):
    """A sink that tells at once when somebody begins or ends to look.

    Attributes
    ----------
    on_readers : callable or None
        Called then, on any thread. To be set before the first frame.
    """

    on_readers: Callable[[], None] | None


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
