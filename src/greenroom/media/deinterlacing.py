"""Interlaced video made progressive: what moves has no combs."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import av

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.filter import Graph

__all__ = ["Deinterlacer"]

# One picture for each that comes, not one for each field; the field order is the picture's own,
# and pictures that are not interlaced pass as they are.
_FILTER: Final = "mode=send_frame:parity=auto:deint=interlaced"
# FFmpeg's bwdif takes no fewer columns or rows.
_LEAST_PX: Final = 4
_DESCRIBED: Final = ("colorspace", "color_range", "color_primaries", "color_trc")


class Deinterlacer:
    """Deinterlaces pictures that are marked as interlaced, by FFmpeg's ``bwdif``.

    All others pass untouched, and at once until the first interlaced one. From then on each
    picture leaves when the next one has come, as both its neighbours are looked at. Time stamps
    stay as they are.

    State: the pictures that the filter holds.

    Parameters
    ----------
    tell : callable
        Called once, when the first interlaced picture comes.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._graph: Graph | None = None
        self._held: deque[av.VideoFrame] = deque()
        self._kind: tuple[int, int, str] | None = None
        self._is_told = False

    def push(self, picture: av.VideoFrame) -> list[av.VideoFrame]:
        """Take a picture, return those that are ready."""
        kind = picture.width, picture.height, picture.format.name
        ready = [] if kind == self._kind else self.finish()
        if self._graph is None:
            if not picture.interlaced_frame or min(kind[:2]) < _LEAST_PX:
                return [*ready, picture]
            self._begin(picture)
            self._kind = kind
        self._held.append(picture)
        if self._graph is not None:
            self._graph.push(picture)
        return ready + self._ready()

    def finish(self) -> list[av.VideoFrame]:
        """Return what is still held, at the end."""
        if self._graph is None:
            return []
        self._graph.push(None)
        rest = self._ready()
        self.restart()
        return rest

    def restart(self) -> None:
        """Forget everything that is held."""
        self._graph = self._kind = None
        self._held.clear()

    def _begin(self, picture: av.VideoFrame) -> None:
        if not self._is_told:
            self._is_told = True
            self._tell()
        self._graph = graph = av.filter.Graph()
        source = graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=picture.time_base,
        )
        graph.link_nodes(source, graph.add("bwdif", _FILTER), graph.add("buffersink")).configure()

    def _ready(self) -> list[av.VideoFrame]:
        """Take what the filter has, with the times and colours of what was put in."""
        ready: list[av.VideoFrame] = []
        while self._graph is not None and self._held:
            try:
                picture = self._graph.vpull()
            except (BlockingIOError, EOFError):
                break
            origin = self._held.popleft()
            for name in _DESCRIBED:
                setattr(picture, name, getattr(origin, name))
            picture.pts, picture.duration = origin.pts, origin.duration
            if origin.time_base is not None:
                picture.time_base = origin.time_base
            ready.append(picture)
        return ready
