"""A peer's video as the source of a live session: the newest frame wins."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import TYPE_CHECKING

from greenroom.media.frame import Frame
from greenroom.media.source_info import SourceInfo
from greenroom.sources.realtime import MICROSECOND, stamped
from greenroom.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

__all__ = ["Feed"]


class Feed:
    """Holds the newest frame of a peer until the session's source takes it.

    A session opens and closes its source as somebody looks or nobody does; frames that come while
    it is closed are dropped.

    Attributes
    ----------
    frames : int
        Frames that came.
    dropped : int
        Of these, those that were not taken.
    last_s : float
        When the last one came, by the monotonic clock; the start before the first.

    Notes
    -----
    All methods may be called on any thread; `put` on one at a time.
    """

    def __init__(self, name: str, now_s: float) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._source: _FeedSource | None = None
        self._ended = False
        self.frames = 0
        self.dropped = 0
        self.last_s = now_s

    def put(self, frame: av.VideoFrame, arrived_s: float) -> None:
        """Take a decoded frame, of any size.

        Parameters
        ----------
        frame : av.VideoFrame
            Not changed afterwards by anybody.
        arrived_s : float
            When it came, by the monotonic clock.
        """
        self.frames += 1
        self.last_s = arrived_s
        if self._source is None:
            self.dropped += 1
            return
        ready = stamped(Frame.from_av(frame, "yuv420p").opaque(), arrived_s)
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = ready
            self._changed.notify_all()

    def open(self, _settings: object = None) -> Source:
        """Open a source of the frames that come from now on."""
        with self._changed:
            self._newest = None
            self._source = _FeedSource(self, self._name)
            self._changed.notify_all()  # the one before ends
            return self._source

    def end(self) -> None:
        """End the source."""
        with self._changed:
            self._ended = True
            self._newest = None
            self._changed.notify_all()

    def next(self, source: Source) -> Frame | None:
        """Wait for the next frame of a source; None if that is closed, or the feed has ended."""
        with self._changed:
            while self._newest is None and not self._ended and self._source is source:
                self._changed.wait()
            if self._ended or self._source is not source:
                return None
            frame, self._newest = self._newest, None
            return frame

    def close(self, source: Source) -> None:
        """Close a source."""
        with self._changed:
            if self._source is source:
                self._source = self._newest = None
            self._changed.notify_all()


class _FeedSource(Source):
    """The frames of a feed, from when this was opened on."""

    def __init__(self, feed: Feed, name: str) -> None:
        self._feed = feed
        self.info = SourceInfo(name, rate=Fraction(30), time_base=MICROSECOND)

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        while (frame := self._feed.next(self)) is not None:
            yield frame

    def close(self) -> None:
        """See `Source.close`."""
        self._feed.close(self)
