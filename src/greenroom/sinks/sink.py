"""The contracts of sinks: `Sink` for files, `LiveSink` for what may be watched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from greenroom.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout

__all__ = ["LiveSink", "Sink", "check_layout"]


class Sink(ABC):
    """Takes frames, in order. Called on one thread.

    Either `close` or `abort` is called at the end, once. A file appears under its name
    when it is closed, and never when it is aborted.
    """

    @property
    def encoder(self) -> str:
        """FFmpeg's name of the encoder in use; empty without one, and before the first frame."""
        return ""

    @property
    def takes_surfaces(self) -> bool:
        """Whether it reads an `EncoderFrame` where that is; to be asked again with every frame."""
        return False

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Take a frame. It is read only, and may be kept.

        Raises
        ------
        SinkError
            If it cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the output.

        Raises
        ------
        SinkError
            If it cannot be finished.
        """

    @abstractmethod
    def abort(self) -> None:
        """Leave nothing behind."""


class LiveSink(Sink):
    """A sink that somebody may watch. `readers` may be called on any thread, at any time.

    All frames have the layout of the first one, unless the sink says otherwise. A sink whose
    `write` blocks delays only itself: the session drops frames for it.

    Attributes
    ----------
    name : str
        The user's name for it: ``camera``, ``window``, ``file:out.mp4``.
    device : str
        Its name for others: ``greenroom (/dev/video10)``; empty before it is open.
    paced : bool
        Whether it wants frames at a constant rate: the last one is repeated then.
    always : bool
        Whether it wants frames even without readers, as a recording does.
    keeps_layout : bool
        Whether all frames have to have the layout of the first one. Otherwise it gets frames as
        they come, and is started before the first one, with the cover.
    on_readers : callable or None
        Called on any thread when the number of readers changes, by sinks that notice it at once.
        To be set before the first frame.
    """

    name: str
    device: str
    paced: bool
    always: bool
    keeps_layout: bool = True
    on_readers: Callable[[], None] | None = None

    @abstractmethod
    def readers(self) -> int | None:
        """Return the number of readers, or None if it is unknown. Never blocks."""


def check_layout(frame: Frame, layout: Layout, name: object) -> None:
    """Check that a frame has the layout of a video's first one.

    Raises
    ------
    SinkError
        If size, format or colour differ.
    """
    if frame.layout != layout:
        message = (
            f"output '{name}': the frames of a video have one size and format, and after "
            f"{layout.width}x{layout.height} {layout.format} came {frame.layout.width}x"
            f"{frame.layout.height} {frame.format}. Write pictures into a folder."
        )
        raise SinkError(message)
