"""A whole live session on fakes, in which every pixel that leaves is looked at."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

from greenroom import VirtualBackground
from greenroom.desktop.launch import create_steering
from greenroom.live.parts import SessionParts
from greenroom.live.session import Session
from greenroom.live.status import Showing
from greenroom.settings import OnFailure, Settings
from greenroom.testing import (
    FakeCamera,
    MemoryLiveSink,
    PersonSegmenter,
    count_room_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    import pytest

    from greenroom.media.frame import Frame
    from greenroom.segmenters import Segmenter
    from greenroom.sinks.sink import LiveSink
    from greenroom.sources import Source

DEADLINE_S = 20.0


class CountingSink(MemoryLiveSink):
    """Counts room pixels as frames come, and keeps the last frame only."""

    def __init__(self, name: str, *, paced: bool = True) -> None:
        super().__init__(name, paced=paced)
        self.room_pixels = 0
        self.count = 0

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        super().write(frame)
        self.room_pixels += count_room_pixels(frame)
        self.count += 1
        del self.frames[:-1]


class Watcher:
    """A page that looks at what is sent and at the matte, and counts room pixels."""

    def __init__(self, session: Session) -> None:
        self._preview = session.previews.open(frozenset({"after", "matte"}))
        self._ended = False
        self.room_pixels = 0
        self.count = 0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ended = True
        self._thread.join(DEADLINE_S)
        self._preview.close()

    def _look(self) -> None:
        while not self._ended:
            views = self._preview.next(0.05) or {}
            if "after" in views:
                self.room_pixels += count_room_pixels(views["after"])
                self.count += 1


class Rig:
    """Runs a session; at its end nobody may have seen the room, in any sink.

    Parameters
    ----------
    segmenter : Segmenter, optional
        One that finds the synthetic person if it is not given.
    background : str
        What is put behind.
    sinks : sequence of LiveSink
        Besides the two that count, and a page.
    open_source : callable, optional
        In place of the fake camera.
    watches : bool
        Whether a page looks.
    governed : bool
        Whether a governor chooses how much is done.
    **values
        Settings.
    """

    def __init__(
        self,
        segmenter: Segmenter | None = None,
        *,
        sinks: Sequence[LiveSink] = (),
        make_segmenter: Callable[[], Segmenter] | None = PersonSegmenter,
        open_source: Callable[[Settings], Source] | None = None,
        watches: bool = True,
        governed: bool = False,
        **values: object,
    ) -> None:
        self.camera = FakeCamera()
        defaults = {"background": "color:teal", "on_failure": OnFailure.COVER, "on_demand": False}
        settings = Settings(**{**defaults, **values})
        if segmenter is None and make_segmenter is not None:
            segmenter = make_segmenter()
        self.engine = VirtualBackground(settings, segmenter=segmenter)
        self.paced = CountingSink("paced")
        self.unpaced = CountingSink("unpaced", paced=False)
        parts = SessionParts(
            self.engine,
            [self.paced, self.unpaced, *sinks],
            open_source or self.camera.open,
            has_page=True,
            steering=create_steering(settings) if governed else None,
        )
        self.session = self._make_session(settings, parts)
        self._watches = watches
        self.watcher: Watcher | None = None

    def _make_session(self, settings: Settings, parts: SessionParts) -> Session:
        return Session(settings, parts)

    def __enter__(self) -> Self:
        self.session.start()
        if self._watches:
            self.watcher = Watcher(self.session)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.watcher is not None:
            self.watcher.close()
        self.session.stop()

    def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait for something, with a deadline."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"{what or condition}: {self.session.status()}"
            time.sleep(0.005)

    def until_shown(self) -> None:
        """Wait until the person is shown."""
        self.until(lambda: self.session.status().showing is Showing.PERSON, "person")

    def until_covered(self, reason: str) -> None:
        """Wait until the cover is shown for a reason."""
        self.until(lambda: self.session.gate.state()[:2] == (Showing.COVER, reason), reason)

    def until_sent(self, more: int = 3) -> None:
        """Wait until every sink has got some more frames."""
        sinks = [self.paced, self.unpaced] + ([] if self.watcher is None else [self.watcher])
        aims = [sink.count + more for sink in sinks]
        self.until(lambda: all(s.count >= a for s, a in zip(sinks, aims, strict=True)), "frames")

    @property
    def room_pixels(self) -> int:
        """How many pixels of the room have left so far."""
        seen = 0 if self.watcher is None else self.watcher.room_pixels
        return self.paced.room_pixels + self.unpaced.room_pixels + seen


class Breaking:
    """Makes a method raise so many times from when it is told to."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: BaseException
    ) -> None:
        self.times = 0
        original = getattr(owner, name)

        def broken(*arguments: Any, **values: Any) -> Any:
            if self.times > 0:
                self.times -= 1
                raise error
            return original(*arguments, **values)

        monkeypatch.setattr(owner, name, broken)
