"""The capture of a live session: states, loss and return, pauses, and what hangs."""

from __future__ import annotations

import math
import threading
import time
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from greenroom.errors import CameraBusyError, CameraLostError, CameraMissingError, SettingsError
from greenroom.live.capture import Capture
from greenroom.live.sleep_detector import SleepDetector
from greenroom.live.status import CaptureState, CaptureStatus
from greenroom.media.clock import MonotonicClock
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.source_info import SourceInfo
from greenroom.sources import Source
from live.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.media.clock import Clock

pytestmark = pytest.mark.usefixtures("no_thread_left")

DEADLINE_S = 10.0
FRAME = Frame.filled(Layout(64, 36, "yuv420p"), (10, 20, 30))
CLOSED, OPENING, RUNNING, LOST, FAILED, ENDED = CaptureState


class ScriptedCamera(Source):
    """A source that gives frames when it is told to, and breaks or hangs likewise."""

    damaged = 0

    def __init__(self) -> None:
        self.info = SourceInfo("fake", Fraction(30), negotiated="64x36 MJPEG, 30 frames/s")
        self.closed = threading.Event()
        self._steps: list[BaseException | None] = []
        self._changed = threading.Condition()
        self.hangs = False

    def give(self, step: BaseException | None = None) -> None:
        """Give a frame, or fail; StopIteration ends it."""
        with self._changed:
            self._steps.append(step)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        while True:
            with self._changed:
                while not self._steps and (self.hangs or not self.closed.is_set()):
                    self._changed.wait(0.01)
                if not self._steps:
                    return
                step = self._steps.pop(0)
            if isinstance(step, StopIteration):
                return
            if step is not None:
                raise step
            yield FRAME

    def close(self) -> None:
        """See `Source.close`."""
        self.closed.set()


class Bench:
    """A capture with everything around it that a test looks at."""

    def __init__(self, clock: Clock, **values: Any) -> None:
        self.cameras: list[ScriptedCamera] = []
        self.refusals: list[Exception] = []
        self.refuse_always: Exception | None = None
        self.frames: list[Frame] = []
        self.states: list[CaptureState] = []
        self.statuses: list[CaptureStatus] = []
        self.asleep_s = 0.0
        self.attempts = 0
        self.capture = Capture(
            self.open,
            self.frames.append,
            on_state=self._note,
            wake=lambda: None,
            clock=clock,
            **{"reconnect_seconds": None, "asleep_s": lambda: self.asleep_s, **values},
        )

    def open(self) -> ScriptedCamera:
        """Open another camera, unless that is to fail."""
        self.attempts += 1
        if self.refusals:
            raise self.refusals.pop(0)
        if self.refuse_always is not None:
            raise self.refuse_always
        self.cameras.append(ScriptedCamera())
        return self.cameras[-1]

    def _note(self, status: CaptureStatus) -> None:
        self.states.append(status.state)
        self.statuses.append(status)

    def until(self, condition: Callable[[], bool]) -> None:
        """Look after the capture until something is so."""
        end_s = time.monotonic() + DEADLINE_S
        self.capture.tend()
        while not condition():
            assert time.monotonic() < end_s, (self.states, self.capture.status)
            time.sleep(0.001)
            self.capture.tend()

    def until_state(self, state: CaptureState) -> None:
        """Wait until the capture is in a state."""
        self.until(lambda: self.capture.status.state is state)

    def run(self) -> ScriptedCamera:
        """Start, and give the first frame."""
        self.capture.start()
        return self.next_camera(1)

    def next_camera(self, count: int) -> ScriptedCamera:
        """Wait for so many openings, and give a frame of the last one."""
        self.until(lambda: len(self.cameras) == count)
        self.cameras[-1].give()
        self.until_state(RUNNING)
        return self.cameras[-1]


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def bench(clock: FakeClock) -> Iterator[Bench]:
    """Return a capture that has not begun."""
    made = Bench(clock)
    yield made
    made.capture.stop()


def advance_until(bench: Bench, clock: FakeClock, condition: Callable[[], bool]) -> float:
    """Let time pass, each time to when there is something to do; return how much did.

    None passes while a camera is being opened or closed, which takes none here unless it hangs.
    """
    passed_s = 0.0
    end_s = time.monotonic() + DEADLINE_S
    while (left_s := bench.capture.tend()) and not condition():
        assert time.monotonic() < end_s, bench.states
        is_idle = not bench.capture.threads or bench.capture.status.state is RUNNING
        if (is_idle or any(camera.hangs for camera in bench.cameras)) and math.isfinite(left_s):
            clock.advance(left_s)
            passed_s += left_s
        time.sleep(0.001)
    return passed_s


def test_frames_are_delivered_and_what_was_negotiated_is_told(bench: Bench) -> None:
    """From opening to the first frame the state is opening, then running, with name and size."""
    bench.capture.start()
    bench.until(lambda: len(bench.cameras) == 1)
    bench.until_state(OPENING)
    bench.next_camera(1)
    bench.cameras[0].give()
    bench.until(lambda: len(bench.frames) == 2)
    status = bench.capture.status
    assert bench.states == [OPENING, RUNNING]
    assert (status.name, status.negotiated) == ("fake", "64x36 MJPEG, 30 frames/s")
    assert bench.capture.size == (64, 36)


def test_a_source_that_never_worked_fails_with_its_error(bench: Bench) -> None:
    """A camera that is busy from the beginning is not tried again: its error is kept."""
    error = CameraBusyError("busy: fuser -v /dev/video0")
    bench.refuse_always = error
    bench.capture.start()
    bench.until_state(FAILED)
    assert bench.capture.error is error
    assert bench.attempts == 1
    assert bench.capture.status.error == str(error)


def test_an_unplugged_camera_is_found_again_within_a_second(bench: Bench, clock: FakeClock) -> None:
    """From a camera's return to its opening passes at most half a second, however long it was."""
    camera = bench.run()
    bench.refuse_always = CameraMissingError("not there")
    camera.give(CameraLostError("gone"))
    bench.until_state(LOST)
    advance_until(bench, clock, partial(has_tried, bench, 20))
    assert bench.capture.status.state is LOST
    assert bench.capture.status.error == "not there"
    bench.refuse_always = None
    assert advance_until(bench, clock, lambda: len(bench.cameras) == 2) <= 0.5
    bench.next_camera(2)
    assert bench.states[:3] == [OPENING, RUNNING, LOST]
    assert bench.states[-1] is RUNNING


def test_attempts_begin_quickly_and_become_rarer(bench: Bench, clock: FakeClock) -> None:
    """The first attempts come after 50 ms, 100 ms, 200 ms; later ones every half second."""
    camera = bench.run()
    bench.refuse_always = CameraMissingError("not there")
    camera.give(CameraLostError("gone"))
    bench.until_state(LOST)
    waits_s = [
        advance_until(bench, clock, partial(has_tried, bench, attempts)) for attempts in range(2, 9)
    ]
    assert waits_s == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5])


def has_tried(bench: Bench, attempts: int) -> bool:
    """Whether the camera was tried so often, and it is over."""
    return bench.attempts >= attempts and not bench.capture.threads


def test_after_reconnect_seconds_it_is_given_up(clock: FakeClock) -> None:
    """A camera that stays away for longer than it is waited for is a failure, with its error."""
    bench = Bench(clock, reconnect_seconds=3.0)
    camera = bench.run()
    bench.refuse_always = CameraMissingError("not there")
    camera.give(CameraLostError("gone"))
    bench.until_state(LOST)
    passed_s = advance_until(bench, clock, lambda: bench.capture.status.state is FAILED)
    assert passed_s == pytest.approx(3.0, abs=0.1)
    assert isinstance(bench.capture.error, CameraMissingError)
    bench.capture.stop()


def test_zero_reconnect_seconds_fail_at_once(clock: FakeClock) -> None:
    """With zero seconds a lost camera is not looked for at all."""
    bench = Bench(clock, reconnect_seconds=0.0)
    bench.run().give(CameraLostError("gone"))
    bench.until_state(FAILED)
    assert bench.attempts == 1
    assert LOST not in bench.states
    bench.capture.stop()


def test_a_file_that_ends_is_no_failure(bench: Bench) -> None:
    """The end of a source without an error ends the capture."""
    bench.run().give(StopIteration())
    bench.until_state(ENDED)
    assert bench.capture.error is None
    assert bench.cameras[0].closed.is_set()


def test_a_silent_camera_is_lost_after_two_seconds(bench: Bench, clock: FakeClock) -> None:
    """A camera whose frames stop coming is left, even if its thread hangs, and opened again."""
    camera = bench.run()
    camera.hangs = True
    waited_s = advance_until(bench, clock, lambda: bench.capture.status.state is LOST)
    assert waited_s == pytest.approx(2.0, abs=0.06)
    assert "no frame came for 2 s" in bench.capture.status.error
    advance_until(bench, clock, lambda: len(bench.cameras) == 2)
    bench.next_camera(2)
    count = len(bench.frames)
    camera.give()  # late, of the one that hung
    bench.until(lambda: not camera._steps)  # noqa: SLF001
    bench.cameras[1].give()
    bench.until(lambda: len(bench.frames) > count)
    time.sleep(0.02)
    assert len(bench.frames) == count + 1
    camera.hangs = False


def test_a_machine_that_slept_opens_its_camera_again(bench: Bench, clock: FakeClock) -> None:
    """After a suspend the camera is taken for lost and opened anew."""
    bench.run()
    bench.asleep_s = 60.0
    advance_until(bench, clock, lambda: LOST in bench.states)
    assert "slept" in bench.statuses[-1].error
    advance_until(bench, clock, lambda: len(bench.cameras) == 2)
    bench.next_camera(2)
    assert bench.cameras[0].closed.is_set()


def test_a_pause_closes_the_camera_and_nothing_comes_through(bench: Bench) -> None:
    """While paused the camera is really closed; resuming opens it again."""
    camera = bench.run()
    bench.capture.pause()
    bench.until_state(CLOSED)
    assert camera.closed.is_set()
    count = len(bench.frames)
    camera.give()
    bench.capture.resume()
    bench.next_camera(2)
    bench.until(lambda: len(bench.frames) == count + 1)
    assert bench.states == [OPENING, RUNNING, CLOSED, OPENING, RUNNING]


def test_a_pause_that_was_asked_for_before_the_start_opens_nothing(bench: Bench) -> None:
    """A capture that is paused when it starts does not open the camera."""
    bench.capture.pause()
    bench.capture.start()
    assert bench.capture.tend() == math.inf
    assert bench.attempts == 0
    bench.capture.resume()
    bench.next_camera(1)


def test_a_camera_that_another_program_took_in_a_pause_is_waited_for(
    bench: Bench, clock: FakeClock
) -> None:
    """After it once worked, a camera that is busy is tried again rather than given up."""
    bench.run()
    bench.capture.pause()
    bench.until_state(CLOSED)
    bench.refusals = [CameraBusyError("busy"), CameraBusyError("busy")]
    bench.capture.resume()
    bench.until_state(LOST)
    advance_until(bench, clock, lambda: len(bench.cameras) == 2)
    bench.next_camera(2)


def test_a_lost_camera_can_be_paused(bench: Bench) -> None:
    """Nobody looks for a camera that is not wanted any more."""
    camera = bench.run()
    bench.refuse_always = CameraMissingError("not there")
    camera.give(CameraLostError("gone"))
    bench.until_state(LOST)
    bench.capture.pause()
    bench.until_state(CLOSED)
    attempts = bench.attempts
    assert bench.capture.tend() == math.inf
    assert bench.attempts == attempts


def test_a_camera_that_fails_again_and_again_is_not_opened_in_haste(
    bench: Bench, clock: FakeClock
) -> None:
    """One that gives a frame and breaks each time is waited for longer and longer."""
    bench.run().give(CameraLostError("gone"))
    waits_s = []
    for _ in range(6):
        bench.until_state(LOST)
        opened, lost = len(bench.cameras), bench.states.count(LOST)
        waits_s.append(advance_until(bench, clock, partial(has_more, bench.cameras, opened)))
        bench.cameras[-1].give()
        bench.until_state(RUNNING)
        bench.cameras[-1].give(CameraLostError("gone"))
        bench.until(lambda: bench.states.count(LOST) > lost)  # noqa: B023 - called at once
    assert waits_s[0] < 0.1
    assert waits_s[-1] >= 0.45


def has_more(things: list[ScriptedCamera], count: int) -> bool:
    """Whether there are more than so many."""
    return len(things) > count


@pytest.mark.parametrize("error", [MemoryError("none left"), ZeroDivisionError("a bug")])
def test_any_error_of_a_source_is_told_and_survived(
    bench: Bench, clock: FakeClock, error: Exception
) -> None:
    """Even an error that no source should raise loses the camera, and it is opened again."""
    bench.run().give(error)
    bench.until_state(LOST)
    assert type(error).__name__ in bench.capture.status.error
    advance_until(bench, clock, lambda: len(bench.cameras) == 2)
    bench.next_camera(2)


def test_a_wrong_setting_is_never_tried_again(bench: Bench) -> None:
    """An error that is not the source's own ends the capture, also after it worked."""
    bench.run().give(SettingsError("no such model", "model"))
    bench.until_state(FAILED)
    assert isinstance(bench.capture.error, SettingsError)


def test_stopping_takes_less_than_two_seconds_though_the_source_hangs() -> None:
    """What hangs in a read is left behind, and its late frames are not delivered."""
    bench = Bench(MonotonicClock())
    camera = bench.run()
    camera.hangs = True
    count = len(bench.frames)
    began_s = time.monotonic()
    bench.capture.stop()
    assert time.monotonic() - began_s < 2.1
    camera.give()
    camera.hangs = False
    camera.give()
    time.sleep(0.05)
    assert len(bench.frames) == count


def test_stopping_while_the_source_is_being_opened_closes_it_later() -> None:
    """A source whose opening hangs is closed by its own thread when it is there at last."""
    bench = Bench(MonotonicClock())
    go_on = threading.Event()
    open_source = bench.open

    def slow() -> ScriptedCamera:
        go_on.wait(DEADLINE_S)
        return open_source()

    bench.capture._open_source = slow  # noqa: SLF001 - nothing was opened yet
    bench.capture.start()
    bench.capture.stop()
    assert bench.cameras == []
    go_on.set()
    bench.until(lambda: len(bench.cameras) == 1 and bench.cameras[0].closed.is_set())
    assert bench.frames == []


def test_a_source_that_cannot_be_opened_is_left_behind(clock: FakeClock) -> None:
    """An opening that hangs is given up after a minute, and its camera is closed if it comes."""
    bench = Bench(clock)
    going = threading.Event()
    open_source = bench.open

    def slow() -> ScriptedCamera:
        going.wait(DEADLINE_S)
        return open_source()

    bench.capture._open_source = slow  # noqa: SLF001 - nothing was opened yet
    bench.capture.start()
    (reader,) = bench.capture.threads
    clock.advance(59.9)
    assert bench.capture.tend() == pytest.approx(0.1)
    clock.advance(0.2)
    bench.capture.tend()
    clock.advance(1.6)
    bench.capture.tend()
    assert bench.capture.status.state is FAILED
    assert "could not be opened within 60 s" in bench.capture.status.error
    assert bench.capture.threads == ()
    going.set()
    reader.join(DEADLINE_S)
    assert bench.cameras[0].closed.is_set()
    assert bench.frames == []


def test_a_source_whose_closing_hangs_is_left_behind(
    bench: Bench, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who looks after a capture waits for it; after 1.5 s the camera counts as closed."""
    camera = bench.run()
    going = threading.Event()
    monkeypatch.setattr(camera, "close", lambda: going.wait(DEADLINE_S))
    bench.capture.pause()
    began_s = time.monotonic()
    assert bench.capture.tend() == pytest.approx(1.5)
    assert time.monotonic() - began_s < 0.5
    assert bench.capture.status.state is RUNNING
    clock.advance(1.6)
    bench.capture.tend()
    assert bench.capture.status.state is CLOSED
    going.set()
    camera.closed.set()


def test_a_pause_that_is_taken_back_at_once_ends_nothing(bench: Bench) -> None:
    """A camera that is wanted again while it is being closed is opened again."""
    camera = bench.run()
    camera.hangs = True
    bench.capture.pause()
    bench.capture.tend()
    bench.capture.resume()
    bench.capture.tend()
    camera.hangs = False
    bench.next_camera(2)
    assert ENDED not in bench.states


def test_what_nobody_could_watch_is_not_let_through(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If looking after it fails, no frame of that camera is delivered, and it is opened anew."""
    camera = bench.run()
    count = len(bench.frames)
    with monkeypatch.context() as broken:
        broken.setattr(bench.capture, "_greet", {}.__getitem__)
        with pytest.raises(KeyError):
            bench.capture.tend()
    camera.give()
    bench.until(lambda: len(bench.cameras) == 2)
    assert camera.closed.is_set()
    assert len(bench.frames) == count
    bench.next_camera(2)


def test_many_threads_at_once() -> None:
    """Whoever looks after it, pauses it and stops it, and when: nothing comes after the stop."""

    class Busy(ScriptedCamera):
        def __iter__(self) -> Iterator[Frame]:
            while not self.closed.is_set():
                yield FRAME

    for number in range(20):
        bench = Bench(MonotonicClock())
        bench.capture._open_source = Busy  # noqa: SLF001 - nothing was opened yet
        ended = threading.Event()

        def press(bench: Bench = bench, ended: threading.Event = ended) -> None:
            while not ended.is_set():
                bench.capture.pause()
                bench.capture.tend()
                bench.capture.resume()
                bench.capture.tend()

        threads = [threading.Thread(target=press) for _ in range(3)]
        for thread in threads:
            thread.start()
        bench.capture.start()
        time.sleep(0.002 * number)
        bench.capture.stop()
        count = len(bench.frames)
        assert bench.capture.threads == ()
        ended.set()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert len(bench.frames) == count
        assert bench.capture.status.state is CLOSED
        assert ENDED not in bench.states


def test_damaged_frames_are_counted_over_all_openings(bench: Bench, clock: FakeClock) -> None:
    """The count of frames that were left out goes on when the camera is opened again."""
    camera = bench.run()
    camera.damaged = 3
    assert bench.capture.damaged == 3
    camera.give(CameraLostError("gone"))
    advance_until(bench, clock, lambda: len(bench.cameras) == 2)
    bench.next_camera(2).damaged = 2
    assert bench.capture.damaged == 5


def test_a_camera_is_open_again_in_less_than_half_a_second() -> None:
    """With a real clock and a camera that opens at once, a pause ends within half a second."""
    bench = Bench(MonotonicClock())
    bench.run()
    bench.capture.pause()
    bench.until_state(CLOSED)
    began_s = time.monotonic()
    bench.capture.resume()
    bench.next_camera(2)
    assert time.monotonic() - began_s < 0.5
    bench.capture.stop()


def test_stop_before_start_does_nothing() -> None:
    """A capture that never began can be stopped."""
    Bench(MonotonicClock()).capture.stop()


def test_a_small_step_of_the_clock_is_no_suspend() -> None:
    """Only a jump of more than two seconds is taken for sleep, and only once."""
    asleep = [0.0]
    detector = SleepDetector(lambda: asleep[0])
    asleep[0] = 1.5
    assert not detector.happened()
    asleep[0] = 4.0
    assert detector.happened()
    assert not detector.happened()
