"""Deinterlacing with FFmpeg's bwdif filter."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import av

if TYPE_CHECKING:
    from collections.abc import Callable

    from av.filter import Graph

__all__ = ["Deinterlacer"]

# One picture for each frame, not for each field; field order from the picture; progressive
# pictures pass unchanged.
_FILTER: Final = "mode=send_frame:parity=auto:deint=interlaced"
# Smallest width and height that bwdif supports.
_MIN_SIZE_PX: Final = 4
_COLOUR_ATTRIBUTES: Final = ("colorspace", "color_range", "color_primaries", "color_trc")


class Deinterlacer:
    """Deinterlaces pictures that are marked as interlaced, by FFmpeg's ``bwdif``.

    All others pass unchanged. From the first interlaced picture on there is a latency of one
    picture, because the filter reads both neighbours. Time stamps are kept.

    State: the pictures held by the filter.

    Parameters
    ----------
    on_interlaced : callable
        Called once, at the first interlaced picture.
    """

    def __init__(self, on_interlaced: Callable[[], None]) -> None:
        self._on_interlaced = on_interlaced
        self._graph: Graph | None = None
        self._held: deque[av.VideoFrame] = deque()
        self._kind: tuple[int, int, str] | None = None
        self._is_reported = False

    @property
    def has_seen_fields(self) -> bool:
        """Whether a picture was interlaced so far."""
        return self._is_reported

    def push(self, picture: av.VideoFrame) -> list[av.VideoFrame]:
        """Add a picture and return those that are ready."""
        kind = picture.width, picture.height, picture.format.name
        ready = [] if kind == self._kind else self.finish()
        if self._graph is None:
            if not picture.interlaced_frame or min(kind[:2]) < _MIN_SIZE_PX:
                return [*ready, picture]
            self._begin(picture)
            self._kind = kind
        self._held.append(picture)
        if self._graph is not None:
            self._graph.push(picture)
        return ready + self._ready()

    def finish(self) -> list[av.VideoFrame]:
        """Return the pictures still held at the end."""
        if self._graph is None:
            return []
        self._graph.push(None)
        rest = self._ready()
        self.restart()
        return rest

    def restart(self) -> None:
        """Drop all held pictures."""
        self._graph = self._kind = None
        self._held.clear()

    def _begin(self, picture: av.VideoFrame) -> None:
        if not self._is_reported:
            self._is_reported = True
            self._on_interlaced()
        self._graph = graph = av.filter.Graph()
        source = graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=picture.time_base,
        )
        graph.link_nodes(source, graph.add("bwdif", _FILTER), graph.add("buffersink")).configure()

    def _ready(self) -> list[av.VideoFrame]:
        """Return the filter's output with the times and colours of its input."""
        ready: list[av.VideoFrame] = []
        while self._graph is not None and self._held:
            try:
                picture = self._graph.vpull()
            except (BlockingIOError, EOFError):
                break
            origin = self._held.popleft()
            for name in _COLOUR_ATTRIBUTES:
                setattr(picture, name, getattr(origin, name))
            picture.pts, picture.duration = origin.pts, origin.duration
            if origin.time_base is not None:
                picture.time_base = origin.time_base
            ready.append(picture)
        return ready
