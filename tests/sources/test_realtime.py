"""Pacing, with a clock that jumps to when somebody wants to go on."""

from __future__ import annotations

import itertools
import threading
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from stream_server import picture

from greenroom.media import decoding
from greenroom.settings import Settings
from greenroom.sources import VideoSource, create_source, video_source
from greenroom.sources.realtime import Pacer, RealTimeSource
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class JumpingClock:
    """A clock on which every wait takes exactly as long as it was meant to, and no real time."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def now(self) -> float:
        """See `Clock.now`."""
        return self.now_s

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        self.now_s += max(0.0, seconds)
        return event.is_set()


def test_frames_come_when_they_are_due() -> None:
    """Time stamps are those of the source, by the clock, from the first frame on."""
    clock = JumpingClock()
    source = RealTimeSource(lambda: PersonSource(frames=5, rate=Fraction(10)), clock, loop=False)
    times_s = [float(frame.time_s or 0) for frame in source]
    assert times_s == pytest.approx([100.0, 100.1, 100.2, 100.3, 100.4])


def test_a_loop_goes_on_in_step() -> None:
    """The first frame of the second round comes as long after the last as it is shown."""
    clock = JumpingClock()
    source = RealTimeSource(lambda: PersonSource(frames=3, rate=Fraction(10)), clock, loop=True)
    times_s = [float(frame.time_s or 0) for frame in itertools.islice(source, 9)]
    assert np.diff(times_s) == pytest.approx([0.1] * 8)


def test_a_source_without_frames_does_not_loop_for_ever() -> None:
    """Looping over nothing ends."""
    source = RealTimeSource(lambda: PersonSource(frames=0), JumpingClock(), loop=True)
    assert list(source) == []


def test_what_is_a_little_late_catches_up() -> None:
    """After a short delay frames come at once until they are in time again."""
    clock = JumpingClock()
    pacer = Pacer(clock, threading.Event())
    assert pacer.wait(0.0)
    clock.now_s += 0.3
    assert pacer.wait(0.1)
    assert clock.now_s == pytest.approx(100.3)
    assert pacer.wait(0.4)
    assert clock.now_s == pytest.approx(100.4)


def test_after_a_long_delay_nothing_is_shown_in_haste() -> None:
    """Whoever is more than half a second late goes on from there."""
    clock = JumpingClock()
    pacer = Pacer(clock, threading.Event())
    pacer.wait(0.0)
    clock.now_s += 5.0
    pacer.wait(0.1)
    assert clock.now_s == pytest.approx(105.0)
    pacer.wait(0.2)
    assert clock.now_s == pytest.approx(105.1)


def test_closing_ends_a_wait() -> None:
    """A pacer that is told to close says that there is no use in waiting."""
    closing = threading.Event()
    pacer = Pacer(JumpingClock(), closing)
    pacer.wait(0.0)
    closing.set()
    assert not pacer.wait(10.0)


@pytest.mark.parametrize("name", ["loop.mkv", "loop.gif"])
def test_a_looped_video_is_opened_once(
    name: str, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its end it is rewound: every round shows the same frames, by the same decoder."""
    path = make_video([picture(number) for number in range(4)], name=name)
    opened: list[object] = []

    def opening(media: str) -> object:
        opened.append(media)
        return decoding.open_media(media)

    monkeypatch.setattr(video_source, "open_media", opening)
    source = RealTimeSource(lambda: create_source(path, Settings()), JumpingClock(), loop=True)
    frames = list(itertools.islice(source, 12))
    source.close()
    assert len(opened) == 1
    for number, frame in enumerate(frames):
        assert np.array_equal(frame.planes[0], frames[number % 4].planes[0])


def test_a_video_that_cannot_be_rewound_is_opened_anew(
    make_video: Callable[..., Path],
) -> None:
    """As one that is somewhere else than at its first frame afterwards."""
    path = make_video([picture(number) for number in range(4)])
    rewound: list[bool] = []

    class Lost(VideoSource):
        def rewind(self) -> bool:
            """See `VideoSource.rewind`."""
            self._first_pts = 4711
            rewound.append(super().rewind())
            return rewound[-1]

    source = RealTimeSource(lambda: Lost(str(path), Settings()), JumpingClock(), loop=True)
    frames = list(itertools.islice(source, 12))
    source.close()
    assert rewound == [False, False]
    for number, frame in enumerate(frames):
        assert np.array_equal(frame.planes[0], frames[number % 4].planes[0])


def test_a_closed_video_is_not_rewound(make_video: Callable[..., Path]) -> None:
    """Who closes it while it is about to begin anew leaves nobody waiting."""
    source = VideoSource(str(make_video([picture(number) for number in range(4)])), Settings())
    assert len(list(source)) == 4
    source.close()
    assert not source.rewind()
    assert list(source) == []
    source.close()
