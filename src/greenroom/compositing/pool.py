"""Memory of results, used again, which remembers where it shows the background already."""

from __future__ import annotations

import sys
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.compositing.tiles import TILE, TILE_ROWS
from greenroom.media.frame import Frame, Memory

if TYPE_CHECKING:
    import av
    from numpy.typing import NDArray

    from greenroom.media.layout import Layout

__all__ = ["Canvas", "FramePool"]

# More than this are not kept: what is sent, what a sink or preview has, what is made.
_MOST: Final = 4


@dataclass(eq=False, slots=True)
class Canvas:
    """Memory of a result.

    Attributes
    ----------
    frame : Frame
        Where the result goes. Undefined samples, but where it is held.
    held : (rows, columns) uint8
        1 for every tile that shows the background already, of `greenroom.compositing.tiles`' size.
    """

    frame: Frame
    held: NDArray[np.uint8]


class _Kept:
    """One of the pool's memories.

    Parameters
    ----------
    layout : Layout
        Of the frames in it.
    alpha : bool
        Whether they have alpha.

    Attributes
    ----------
    held : (rows, columns) uint8
        See `Canvas`.
    """

    def __init__(self, layout: Layout, *, alpha: bool) -> None:
        self.layout = layout
        self.alpha = alpha
        self.held = np.zeros((-(-layout.height // TILE_ROWS), -(-layout.width // TILE)), np.uint8)
        self._background: tuple[weakref.ref[NDArray[np.uint8]], ...] = ()
        memory = Frame.empty(layout, alpha=alpha).memory
        assert memory is not None
        self._memory = Memory(memory.frame)
        del memory
        self._rows = _rows(self._memory.frame)
        self._alone = self._references

    @property
    def _references(self) -> int:
        """Count the references to FFmpeg's frame and its samples: every view has one."""
        count = sys.getrefcount(self._memory) + sys.getrefcount(self._memory.frame)
        for rows in self._rows:
            count += sys.getrefcount(rows.base)
        return count

    @property
    def is_free(self) -> bool:
        """Whether nobody has any of it."""
        return self._references <= self._alone

    def frame(self) -> Frame:
        """Return a frame in this memory, which is free."""
        if self._memory.sent_time is not None:
            # What FFmpeg still reads stays there, and the frame moves elsewhere.
            self._rows = ()
            self._memory.frame.make_writable()
            self._rows = _rows(self._memory.frame)
        self._memory = Memory(self._memory.frame)
        shapes = self.layout.plane_shapes
        if self.alpha:
            shapes = (*shapes, shapes[0])
        planes = tuple(rows[:, :width] for rows, (_, width) in zip(self._rows, shapes, strict=True))
        alpha = planes[-1] if self.alpha else None
        planes = planes[: len(self.layout.plane_shapes)]
        return Frame(planes, self.layout, alpha=alpha, _memory=self._memory)

    def has(self, frame: Frame) -> bool:
        """Whether a frame is in this memory."""
        return frame.memory is self._memory

    def show(self, background: Frame | None) -> None:
        """Note which background is shown where it is held."""
        planes = background.planes if background is not None else ()
        self._background = tuple(weakref.ref(plane) for plane in planes)

    def shows(self, background: Frame) -> bool:
        """Whether it is trusted to show a background. Whoever was given it may have drawn."""
        planes = background.planes
        return (
            self._memory.sent_time is None
            and len(self._background) == len(planes)
            and all(shown() is plane for shown, plane in zip(self._background, planes, strict=True))
        )


def _rows(video: av.VideoFrame) -> tuple[NDArray[np.uint8], ...]:
    """View the planes of a frame of one of our formats, with what pads their rows."""
    planes: Any = video.planes  # which have the buffer protocol, not seen by type checkers
    return tuple(
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size) for plane in planes
    )


class FramePool:
    """Keeps the memory of results, and gives it again when nobody has any of it any more.

    Whoever has a frame, a plane, a view of one, or FFmpeg's frame, has a reference to the latter,
    and there are more than the pool's. What encoders and filters of FFmpeg hold is seen by FFmpeg,
    which then moves the frame to other memory. So nobody ever sees samples change that they still
    have.

    What a result shows is remembered only where that is said (`remember`), and its planes are
    read-only from then on. Memory that was given to FFmpeg is not trusted to show what it showed.

    Any thread may use it. State: the memory of the last few results of one layout.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []

    def take(self, layout: Layout, background: Frame) -> Canvas:
        """Return memory for a frame of a layout over a background, with alpha if that has any."""
        alpha = background.alpha is not None
        with self._lock:
            alike = [one for one in self._kept if (one.layout, one.alpha) == (layout, alpha)]
            kept = next((one for one in alike if one.is_free), None)
            if kept is None:
                kept = _Kept(layout, alpha=alpha)
                self._kept = [*alike[-(_MOST - 1) :], kept]  # in place of the oldest
            if not kept.shows(background):
                kept.held[...] = 0
            kept.show(None)
            return Canvas(kept.frame(), kept.held)

    def remember(self, canvas: Canvas, background: Frame) -> None:
        """Say that a result is as it was made: nothing was drawn over it, nor will be."""
        for plane in canvas.frame.all_planes:
            plane.flags.writeable = False
        with self._lock:
            for kept in self._kept:
                if kept.has(canvas.frame):
                    kept.show(background)
