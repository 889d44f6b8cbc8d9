"""Pool of output frames, which tracks the tiles that already show the background."""

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

# Number of frames kept: the one sent, those that a sink and a preview hold, and the one being made.
_MAX_KEPT: Final = 4


@dataclass(eq=False, slots=True)
class Canvas:
    """Memory for one output frame.

    Attributes
    ----------
    frame : Frame
        The output. Its samples are undefined except in held tiles.
    held : (rows, columns) uint8
        1 for every tile that already shows the background, of `greenroom.compositing.tiles`' size.
    """

    frame: Frame
    held: NDArray[np.uint8]


class _Kept:
    """One frame's memory in the pool.

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
        self._widths = [(at, width) for at, (_, width) in enumerate(layout.plane_shapes)]
        memory = Frame.empty(layout, alpha=alpha).memory
        assert memory is not None
        self._memory = Memory(memory.frame)
        del memory
        self._rows = _rows(self._memory.frame)
        self._own_references = self._references

    @property
    def _references(self) -> int:
        """Number of references to FFmpeg's frame and its samples: every view has one."""
        count_of, memory = sys.getrefcount, self._memory
        count = count_of(memory) + count_of(memory.frame)
        for rows in self._rows:
            count += count_of(rows.base)
        return count

    @property
    def is_free(self) -> bool:
        """Whether nobody else has a reference to it."""
        return self._references <= self._own_references

    def frame(self) -> Frame:
        """Return a frame in this memory, which must be free."""
        if self._memory.sent_time is not None:
            # FFmpeg may still read the old samples; the frame moves to new memory.
            self._rows = ()
            self._memory.frame.make_writable()
            self._rows = _rows(self._memory.frame)
        self._memory = Memory(self._memory.frame)
        rows = self._rows
        planes = [rows[at][:, :width] for at, width in self._widths]
        alpha = rows[-1][:, : self.layout.width] if self.alpha else None
        return Frame(tuple(planes), self.layout, alpha=alpha, _memory=self._memory)

    def fits(self, layout: Layout, *, alpha: bool) -> bool:
        """Whether frames of a layout, with or without alpha, lie in it."""
        return self.alpha == alpha and (self.layout is layout or self.layout == layout)

    def has(self, frame: Frame) -> bool:
        """Whether a frame lies in this memory."""
        return frame.memory is self._memory

    def show(self, background: Frame | None) -> None:
        """Record the background that held tiles show."""
        planes = () if background is None else background.planes
        self._background = tuple([weakref.ref(plane) for plane in planes])

    def shows(self, background: Frame) -> bool:
        """Whether held tiles show a background; not once FFmpeg was given the frame to draw on."""
        shown = self._background
        if self._memory.sent_time is not None or len(shown) != len(background.planes):
            return False
        return all(one() is plane for one, plane in zip(shown, background.planes, strict=True))


def _rows(video: av.VideoFrame) -> tuple[NDArray[np.uint8], ...]:
    """View the planes of a frame of one of our formats, with the padding of their rows."""
    planes: Any = video.planes  # which have the buffer protocol, not seen by type checkers
    return tuple(
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size) for plane in planes
    )


class FramePool:
    """Keeps the memory of output frames, and reuses it when nobody has a reference to it.

    Every holder of a frame, a plane, a view of one, or FFmpeg's frame has a reference to the
    latter, beyond the pool's own. References of FFmpeg's encoders and filters are counted by
    FFmpeg, which then moves the frame to other memory. So samples never change while somebody holds
    them.

    The background of a frame is recorded only on request (`remember`), and its planes are read-only
    from then on. Memory that was given to FFmpeg is not trusted to show it.

    Any thread may use it. State: the memory of the last few frames of one layout.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []

    def take(self, layout: Layout, background: Frame) -> Canvas:
        """Return memory for a frame of a layout over a background, with alpha if that has any."""
        alpha = background.alpha is not None
        with self._lock:
            for one in self._kept:
                if one.fits(layout, alpha=alpha) and one.is_free:
                    kept = one
                    break
            else:
                kept = self._added(layout, alpha=alpha)
            if not kept.shows(background):
                kept.held[...] = 0
            kept.show(None)
            return Canvas(kept.frame(), kept.held)

    def _added(self, layout: Layout, *, alpha: bool) -> _Kept:
        """Make new memory, in place of the oldest and of any for other frames."""
        alike = [one for one in self._kept if one.fits(layout, alpha=alpha)]
        kept = _Kept(layout, alpha=alpha)
        self._kept = [*alike[-(_MAX_KEPT - 1) :], kept]
        return kept

    def remember(self, canvas: Canvas, background: Frame) -> None:
        """Record that a frame stays as composited: nothing is drawn over it."""
        for plane in canvas.frame.all_planes:
            plane.flags.writeable = False
        with self._lock:
            for kept in self._kept:
                if kept.has(canvas.frame):
                    kept.show(background)
