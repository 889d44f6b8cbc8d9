"""The pipeline: order, drops, failures, and that nobody sees the room through it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from greenroom import VirtualBackground
from greenroom.engine.worker import Supervisor
from greenroom.errors import ProcessingError, SinkError, SourceError
from greenroom.files.pipeline import Pipeline
from greenroom.media.channel import Channel, ChannelClosedError
from greenroom.testing import (
    ROOM_RGB,
    Fault,
    FaultySegmenter,
    MemorySink,
    PersonSource,
    count_room_pixels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.media.frame import Frame

pytestmark = pytest.mark.usefixtures("no_thread_left")

BACKGROUNDS = ("color:teal", "blur", "blur:1", "transparent")


class ActingSource(PersonSource):
    """A person that fails, waits or hangs at one frame."""

    def __init__(self, at: int, act: Callable[[], None], frames: int = 10) -> None:
        super().__init__(frames=frames)
        self._at, self._act = at, act

    def __iter__(self) -> Iterator[Frame]:
        for number, frame in enumerate(super().__iter__()):
            if number == self._at:
                self._act()
            yield frame


class ActingSink(MemorySink):
    """A sink that acts before each frame."""

    def __init__(self, act: Callable[[int], None]) -> None:
        super().__init__()
        self._act = act

    def write(self, frame: Frame) -> None:
        """See `Sink.write`."""
        self._act(len(self.frames))
        super().write(frame)


def same(frame: Frame) -> Frame:
    """Return a frame as it is."""
    return frame


def raising(error: BaseException) -> Callable[..., None]:
    """Return a function that raises."""

    def act(*_: object) -> None:
        raise error

    return act


class TestFrames:
    """Every frame, in order."""

    def test_all_frames_in_order(self) -> None:
        """Nothing is lost, however slow a stage is."""
        source, sink = PersonSource(frames=30), ActingSink(lambda _: time.sleep(0.001))
        done: list[int] = []
        statistics = Pipeline(source, same, sink, on_frame=done.append).run()
        assert [frame.pts for frame in sink.frames] == list(range(30))
        assert done == list(range(1, 31))
        assert statistics.frames == 30
        assert statistics.first_frame_s is not None
        assert 0 <= statistics.first_frame_s <= statistics.seconds
        assert sink.closed
        assert not sink.aborted
        assert source.closed

    def test_no_frames(self) -> None:
        """A source without frames is the sink's matter."""
        sink = MemorySink()
        assert Pipeline(PersonSource(frames=0), same, sink).run().frames == 0
        assert sink.closed

    @pytest.mark.parametrize("at", [0, 3, 9])
    def test_source_that_fails(self, at: int) -> None:
        """The source's error comes out, and the sink is aborted."""
        error, sink = SourceError("it broke"), MemorySink()
        with pytest.raises(SourceError, match="it broke"):
            Pipeline(ActingSource(at, raising(error)), same, sink).run()
        assert sink.aborted
        assert not sink.closed

    def test_sink_that_fails(self) -> None:
        """The sink's error comes out, and the reader ends."""
        source, sink = PersonSource(frames=1000), ActingSink(raising(SinkError("it is full")))
        with pytest.raises(SinkError, match="it is full"):
            Pipeline(source, same, sink).run()
        assert sink.aborted
        assert source.closed

    @pytest.mark.parametrize("error", [ProcessingError("no"), KeyboardInterrupt(), SystemExit(3)])
    def test_work_that_fails(self, error: BaseException) -> None:
        """Whatever the work raises comes out as it is; so does Ctrl-C."""
        source, sink = PersonSource(frames=1000), MemorySink()
        with pytest.raises(type(error)):
            Pipeline(source, raising(error), sink).run()  # type: ignore[arg-type]
        assert sink.aborted
        assert source.closed

    @pytest.mark.parametrize("wait_s", [0, 0.05])  # the run is busy, or waits for a frame
    def test_source_that_hangs_does_not_hold_up_the_end(
        self, monkeypatch: pytest.MonkeyPatch, wait_s: float
    ) -> None:
        """After an error, a source that does not come back is left behind."""
        monkeypatch.setattr("greenroom.files.pipeline._READER_TIMEOUT_S", 0.05)
        hanging, released = threading.Event(), threading.Event()

        def hang() -> None:
            hanging.set()
            released.wait()

        def fail(_: int) -> None:
            hanging.wait()
            time.sleep(wait_s)
            raising(SinkError("it is full"))()

        with pytest.raises(SinkError):
            Pipeline(ActingSource(2, hang), same, ActingSink(fail)).run()
        released.set()


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("fault", Fault)
class TestFailClosed:
    """From source to sink, a frame without a valid matte shows nothing of the room."""

    def test_cover(self, background: str, fault: Fault) -> None:
        """With ``cover`` the run goes on, and no room is in any frame."""
        segmenter = FaultySegmenter({1: fault, 2: fault, 4: fault})
        sink = MemorySink()
        covers: list[Frame] = []
        with VirtualBackground(
            background=background,
            segmenter=segmenter,
            on_failure="cover",
            timeout_s=0.1 if fault is Fault.HANG else 5,
        ) as engine:

            def work(frame: Frame) -> Frame:
                before = engine.failures
                result = engine.process(frame)
                if engine.failures > before:
                    covers.append(result)
                return result

            statistics = Pipeline(PersonSource(frames=6), work, sink).run()
            segmenter.released.set()
        assert sink.closed
        assert len(sink.frames) == statistics.frames
        assert len(covers) >= 3
        assert statistics.frames == 6
        assert_no_room(covers)
        if "blur" not in background:  # which is made of the room, where there is a matte
            assert_no_room(sink.frames)

    def test_stop(self, background: str, fault: Fault) -> None:
        """By default the run ends with an error, and what was written had no room in it."""
        segmenter = FaultySegmenter(dict.fromkeys(range(1, 100), fault))
        sink = MemorySink()
        with VirtualBackground(
            background=background,
            segmenter=segmenter,
            timeout_s=0.1 if fault is Fault.HANG else 5,
        ) as engine:
            source = PersonSource(frames=50)
            with pytest.raises(ProcessingError):
                Pipeline(source, engine.process, sink).run()
            segmenter.released.set()
        assert sink.aborted
        assert len(sink.frames) <= 1
        if "blur" not in background:
            assert_no_room(sink.frames)


def assert_no_room(frames: list[Frame]) -> None:
    """Check that no pixel of the room can be seen."""
    for frame in frames:
        if frame.alpha is None:
            assert count_room_pixels(frame) == 0
        else:
            shown = frame.to_rgb().astype(float) * frame.alpha[:, :, None] / 255
            assert np.abs(shown - ROOM_RGB).max(axis=2).min() > 12


class TestChannel:
    """The queue between two threads."""

    def test_order_and_end(self) -> None:
        """Items come in order; those that wait are received after the end is announced."""
        channel: Channel[int] = Channel(3)
        for number in range(3):
            channel.put(number)
        channel.finish()
        assert [channel.get() for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ChannelClosedError):
            channel.get()

    def test_full_channel_waits(self) -> None:
        """A sender waits for room, and gives up when the receiver has gone."""
        channel: Channel[int] = Channel(1)
        channel.put(1)
        ended: list[str] = []

        def send() -> None:
            try:
                channel.put(2)
                channel.put(3)
            except ChannelClosedError:
                ended.append("ended")

        thread = threading.Thread(target=send)
        thread.start()
        assert channel.get() == 1
        assert channel.get() == 2
        channel.cancel()
        thread.join()
        assert ended in ([], ["ended"])  # it may have sent the last one before
        with pytest.raises(ChannelClosedError):
            channel.put(4)
        with pytest.raises(ChannelClosedError):
            channel.get()

    def test_newest_wins(self) -> None:
        """A full channel drops the oldest, and counts."""
        channel: Channel[int] = Channel(2, newest_wins=True)
        for number in range(5):
            channel.put(number)
        assert [channel.get(), channel.get()] == [3, 4]
        assert channel.dropped == 3


class TestSupervisor:
    """The thread with a deadline."""

    def test_late_answer_is_thrown_away(self) -> None:
        """Work that comes too late is never taken for other work's answer."""
        supervisor: Supervisor[Any] = Supervisor()
        released = threading.Event()

        def late() -> str:
            released.wait()
            return "late"

        with pytest.raises(Exception, match="longer than"):
            supervisor.run(late, 0.01)
        with pytest.raises(Exception, match="earlier frame"):
            supervisor.run(lambda: "next", 0.01)
        released.set()
        answer = None
        while answer is None:
            try:
                answer = supervisor.run(lambda: "next", 5)
            except Exception as error:  # noqa: BLE001 - until the late answer is there
                assert "earlier frame" in str(error)  # noqa: PT017
        assert answer == "next"
        assert supervisor.close()

    def test_errors_come_out(self) -> None:
        """What the work raises is raised here, and the next work runs."""
        supervisor: Supervisor[int] = Supervisor()
        with pytest.raises(ZeroDivisionError):
            supervisor.run(lambda: 1 // 0, 5)
        assert supervisor.run(lambda: 7, 5) == 7
        assert supervisor.close()
