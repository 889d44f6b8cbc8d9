"""Live session: capture, engine and outlets on threads of their own, with a gate between.

::

    Capture ──newest frame──▶ engine ──Rendered──▶ Gate ──newest──▶ Outlet ──▶ sink
                                                      ├──newest──▶ Outlet ──▶ sink
                                                      └──newest──▶ Preview (a page)

The newest frame wins at every hand-over. A housekeeping thread watches the camera, and opens and
closes it as somebody looks or nobody does.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import cv2

from greenroom.errors import (
    CameraBusyError,
    GreenroomError,
    ProcessingError,
    SettingsError,
    SinkError,
)
from greenroom.live.capture import Capture
from greenroom.live.cover_maker import CoverMaker
from greenroom.live.demand import Demand
from greenroom.live.gate import Gate, Ticket
from greenroom.live.listeners import Listeners
from greenroom.live.measures import Measures
from greenroom.live.outlets import Outlet
from greenroom.live.parts import check_live, wanted_layout, wanted_rate
from greenroom.live.previews import PreviewHub
from greenroom.live.status import CaptureState, CaptureStatus, OutletStatus, Status
from greenroom.live.thread_times import ThreadTimes
from greenroom.media.channel import Channel, ChannelClosedError
from greenroom.media.workers import Worker
from greenroom.settings import Device, Settings, Stage
from greenroom.specs import ROOM_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from greenroom.live.governor import Plan
    from greenroom.live.measures import Measured
    from greenroom.live.parts import SessionParts
    from greenroom.media.frame import Frame
    from greenroom.media.workers import WorkerFailure

__all__ = ["Session"]

logger = logging.getLogger(__name__)

# Time between two rounds of the housekeeper, and between two of its slower work.
_ROUND_S: Final = 0.1
_SLOW_ROUND_S: Final = 0.5
# Sinks keep the size of their first frame, so they wait this long for the camera's.
_LAYOUT_WAIT_S: Final = 5.0
# A frame rate that differs by more than this share is reported to the governor.
_RATE_TOLERANCE: Final = 0.15
# Window of the stage timings, in frames.
_TIMINGS_FRAMES: Final = 60
# Time-out of the first frame of another camera.
_TRIAL_S: Final = 20.0
# Time-out of ending the threads.
_STOP_TIMEOUT_S: Final = 2.0
# Number of thread failures that the status shows.
_MAX_FAULTS: Final = 3


class Session:
    """Runs until it is stopped, the source ends, or the camera is given up.

    Parameters
    ----------
    settings : Settings
        The user's settings.
    parts : SessionParts
        Engine, sinks, source and steering.

    Notes
    -----
    Every public method may be called on any thread. State: threads from `start` to `stop`.
    """

    def __init__(self, settings: Settings, parts: SessionParts) -> None:
        check_live(settings)
        self._settings = settings
        self._engine = parts.engine
        self._open_source = parts.open_source
        self._steering = parts.steering
        self._has_page = parts.has_page
        self._clock = parts.clock
        self._updating = threading.Lock()
        self._measuring = threading.Lock()
        self._frames: Channel[tuple[Frame, Ticket | None]] = Channel(1, newest_wins=True)
        self._covers = CoverMaker(self._engine, self._clock)
        self.gate = Gate(self._covers.make, self._clock)
        self.gate.expect(wanted_layout(settings))
        self.previews = PreviewHub(self.gate, self._clock, self._wake)
        rate = wanted_rate(settings)
        self._steered_rate = float(rate)
        self.outlets = [
            Outlet(sink, self.gate, self._clock, rate, self._take_fault) for sink in parts.sinks
        ]
        for sink in parts.sinks:
            sink.on_readers = self._wake
        self._demand = Demand(self.outlets, self.previews, self._clock)
        self._listeners = Listeners()
        self._ended = threading.Event()
        self._faults: deque[str] = deque(maxlen=_MAX_FAULTS)
        self._is_switching = False  # whether the camera is closed to be opened otherwise
        self._capture = self._new_capture(settings)
        self._threads = [
            Worker(work, name, on_fault=self._take_fault, ended=self._ended)
            for name, work in (
                ("frames", self._work),
                ("housekeeper", self._keep_house),
            )
        ]
        self._model_s = 0.0  # CPU time of the model's own threads
        self._own_threads = ThreadTimes(lambda: self.threads)
        self.measures = Measures(self._clock, self._cpu_s)
        self._awake = threading.Event()  # wakes the housekeeper
        self._told: object = None
        self._is_known = False  # whether the camera's layout is known
        self._sends = False
        self._began_s = self._clock.now()
        self._error: GreenroomError | None = None

    @property
    def settings(self) -> Settings:
        """The user's settings in force; the governor may apply cheaper values."""
        return self._settings

    @property
    def error(self) -> GreenroomError | None:
        """Error that ended the session; None if it did not fail."""
        return self._error or self._capture.error

    @property
    def ended(self) -> threading.Event:
        """Set when the source has ended, the camera was given up, or `stop` was called."""
        return self._ended

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The threads of this session, but for those of libraries."""
        steering = () if self._steering is None else self._steering.threads
        outlets = (thread for outlet in self.outlets for thread in outlet.threads)
        capture, engine = self._capture.threads, self._engine.threads
        return (*self._threads, *capture, *engine, *self._covers.threads, *steering, *outlets)

    def _cpu_s(self) -> float:
        """Return the CPU time of this session so far, in seconds."""
        with self._measuring:
            return self._own_threads.total_s() + self._model_s

    def start(self) -> None:
        """Begin. In the whole process OpenCV uses no threads of its own any more."""
        # For small grids they cost three times what they save, and no session's budget has them.
        cv2.setNumThreads(1)
        self._covers.start()
        for thread in self._threads:
            thread.start()
        self._capture.start()
        if self._steering is not None:
            self._steering.start(self._apply_plan, self._take_fault)

    def stop(self) -> None:
        """End all threads; hung threads are abandoned, and nothing of theirs leaves any more."""
        self._ended.set()
        self.gate.close()
        self._frames.cancel()
        self._wake()
        for outlet in self.outlets:
            outlet.tell_to_stop()
        if self._steering is not None:
            self._steering.stop()
        self._capture.stop()
        for thread in self._threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(timeout=_STOP_TIMEOUT_S)
        for outlet in self.outlets:
            if not outlet.stop():
                logger.warning("%s does not end, and is left behind", outlet.sink.name)
        self._covers.close()
        self._engine.close()

    def cover(self, *, on: bool) -> None:
        """Show the cover, or end it. Takes effect at once, whatever the engine does."""
        self.gate.cover(on=on)
        self._wake()
        self._listeners.tell()

    @property
    def without_cover(self) -> tuple[str, ...]:
        """Sinks that have not received the cover that the user asked for.

        Their last frame may still be visible. Empty while the cover is not requested.
        """
        if not self.gate.covered:
            return ()
        return tuple(outlet.sink.name for outlet in self.outlets if outlet.lacks_cover)

    def update(self, **values: Any) -> None:
        """Change settings between two frames: all of them, or none.

        May take as long as a model takes to load.

        Raises
        ------
        GreenroomError
            If something is wrong with them; the settings in force stay.
        """
        with self._updating:
            old = self._settings
            new = old.changed(**values)
            check_live(new)
            changed = {name for name in values if getattr(old, name) != getattr(new, name)}
            for name in changed & set(new.names(live=False)):
                message = f"setting '{name}' cannot be changed while running. Start greenroom anew."
                raise SettingsError(message, name)
            leaves_room = old.background in ROOM_WORDS and "background" in changed
            if leaves_room:
                self.gate.allow_room(allowed=False)  # before the new background has loaded
            try:
                with self._camera(new, changed):
                    self._engine.update(**self._for_engine(new, values, changed))
                    self._settings = new
                    self.gate.renew()
                    if self._steering is not None:
                        self._steering.follow(new, self._steered_rate)
            finally:
                if leaves_room:  # if the new one failed, the old background is still in force
                    self.gate.allow_room(allowed=True)
        self._listeners.tell()

    def _for_engine(
        self, new: Settings, values: Collection[str], changed: set[str]
    ) -> dict[str, Any]:
        """Return the settings that the engine changes.

        The governor's choice stays in force unless it has to choose again: then it starts from
        the user's settings, which are loaded here, so that a setting that cannot work is an error.
        """
        names = set(values)
        if self._steering is not None:
            planned = set(new.names(planned=True))
            names = names | planned if changed & set(new.names(replans=True)) else names - planned
        return {name: getattr(new, name) for name in names}

    def snapshot(self) -> Frame:
        """Return the picture that is being sent. Read only."""
        return self.gate.current().frame

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function, on any thread, when the settings or the kind of output change.

        Returns
        -------
        callable
            Ends that.
        """
        return self._listeners.add(listener)

    def status(self) -> Status:
        """Return a status snapshot."""
        showing, reason, message = self.gate.state()
        without_cover = self.without_cover
        if without_cover:
            message = (
                f"You asked for the cover, but {', '.join(without_cover)} has not taken it yet: "
                f"what was sent there last may still be seen."
            )
        capture = self._capture.status
        outlets = [outlet.status for outlet in self.outlets]
        if self._has_page:
            outlets.append(OutletStatus("page", state="running", readers=self.previews.readers))
        plan, plan_reason = ("", "") if self._steering is None else self._steering.said
        return Status(
            showing=showing,
            reason=reason,
            message=message,
            covered=self.gate.covered,
            without_cover=without_cover,
            asleep=self._demand.asleep,
            capture=capture,
            outlets=tuple(outlets),
            size=self.gate.layout.size,
            drops=self._drops(),
            stages_ms={
                name: times.median_ms
                for name, times in self._engine.timings.summary(_TIMINGS_FRAMES).items()
            },
            device=self._engine.ran_on,
            plan=plan,
            plan_reason=plan_reason,
            notices=(*self._engine.notices, *self._faults),
            **self.measures.summary(),
        )

    def _drops(self) -> dict[str, int]:
        drops = dict(self.gate.refused)
        drops["busy"] = self._frames.dropped
        drops["damaged"] = self._capture.damaged
        return {name: count for name, count in drops.items() if count}

    def _take_fault(self, fault: WorkerFailure) -> None:
        """Cover and report the failure of a thread; end the session where it cannot restart."""
        message = f"greenroom's thread {fault}"
        self.gate.shut("failure", f"Covered: {message}")
        self._faults.append(message)
        if fault.is_last and not self._ended.is_set():
            self._error = self._error or ProcessingError(f"{message}.")
            self._ended.set()
        self._wake()

    # Frames, on a thread of their own.

    def _deliver(self, capture: Capture, frame: Frame) -> None:
        """Queue a frame of the capture in force; others are on trial."""
        if capture is not self._capture:
            return
        self.measures.came()
        if not self._is_known:
            self.gate.expect(frame.layout)
            self._is_known = True
        with suppress(ChannelClosedError):
            # The ticket is of now: frames from before a camera was lost never leave after it.
            self._frames.put((frame, self.gate.ticket()))

    def _work(self) -> None:
        while True:
            try:
                frame, ticket = self._frames.get()
            except ChannelClosedError:
                return
            try:
                self._one(frame, ticket)
            except Exception as error:  # the next frame may succeed
                self.gate.refused["failure"] += 1
                logger.exception("a frame was lost: %s", error)

    def _one(self, frame: Frame, ticket: Ticket | None) -> None:
        """Process one frame and offer it to the gate."""
        if ticket is None:
            self.gate.refused["cover"] += 1
            return
        if self._steering is not None and self._steering.skips():
            self.gate.refused["half rate"] += 1
            return
        measured = self.measures.frame()
        rendered = self._engine.render(frame, self.previews.due())
        self._model_s += self._model_threads * self._stage_s("segment")
        self._model_s += self._stage_s("second look")
        if self.gate.offer(rendered, ticket):
            measured.done(frame)
            self._note_frame(measured)
            if self._steering is not None:
                self._steering.observe(measured, self._engine.timings)

    def _stage_s(self, name: str) -> float:
        """Return the time of a stage of the last frame, in seconds."""
        return self._engine.timings.latest.get(name, 0.0) / 1000

    @property
    def _model_threads(self) -> int:
        """The model's own threads, which are as busy as the one that waits for it.

        While a GPU runs it, nothing of the processor is busy.
        """
        is_on_processor = self._engine.info.device == Device.CPU
        return self._engine.settings.threads - 1 if is_on_processor else 0

    def _note_frame(self, measured: Measured) -> None:
        """Run a subclass's own work after each frame that is shown, on the thread of frames."""

    # The camera.

    def _new_capture(self, settings: Settings, *, replaces: bool = False) -> Capture:
        capture = Capture(
            lambda: self._open_source(settings),
            lambda frame: self._deliver(capture, frame),
            on_state=lambda status: self._on_capture(capture, status),
            wake=self._wake,
            clock=self._clock,
            reconnect_seconds=settings.reconnect_seconds,
            worked=replaces,
        )
        return capture

    @contextmanager
    def _camera(self, new: Settings, changed: set[str]) -> Iterator[None]:
        """Open the camera of new settings; it takes over once everything else is in force.

        Nothing changes if it cannot be opened.
        """
        old = self._capture
        cameras = changed & set(new.names(stage=Stage.CAMERA))
        if not cameras or not old.is_started or self._ended.is_set():
            yield
            return
        if cameras == {"reconnect_seconds"}:
            yield
            old.reconnect_s = new.reconnect_seconds
            return
        try:
            with ExitStack() as on_failure:
                tried = self._tried(new, cameras, on_failure)
                if tried.size is not None:
                    self._engine.check(tried.size)
                yield
                on_failure.pop_all()
            for outlet in self.outlets:
                outlet.follow_rate(wanted_rate(new))
            self._put_in(tried)
            self._is_switching = False  # what happens to it from now on counts
            old.stop()
        finally:
            self._is_switching = False

    def _tried(self, new: Settings, cameras: set[str], on_failure: ExitStack) -> Capture:
        """Open another camera; on failure the previous one continues.

        Another source is opened while the previous one continues. The same source can be open only
        once: it is closed first, and reopened with the old settings if the new ones fail.

        Raises
        ------
        SettingsError
            If it cannot be opened, or gives nothing; about the first setting that was changed.
        """
        old = self._capture
        if "source" in cameras or old.status.state is CaptureState.CLOSED:
            try:
                tried = self._opened(new, cameras)
            except SettingsError as error:
                if not isinstance(
                    error.__cause__, CameraBusyError
                ):  # perhaps by this session's own capture
                    raise
            else:
                on_failure.callback(tried.stop)
                return tried
        self._is_switching = True
        self.gate.shut("start")
        again = self._new_capture(self._settings, replaces=True)
        on_failure.callback(self._put_in, again)
        old.stop()
        tried = self._opened(new, cameras)
        on_failure.callback(tried.stop)
        return tried

    def _opened(self, settings: Settings, cameras: set[str]) -> Capture:
        """Open a camera and wait for its first frame, which is not shown.

        Raises
        ------
        SettingsError
            As `_tried`.
        """
        capture = self._new_capture(settings)
        capture.start()
        end_s = self._clock.now() + _TRIAL_S
        while capture.size is None and not capture.is_over and self._clock.now() < end_s:
            if self._ended.is_set():
                break
            capture.news.wait(min(_ROUND_S, capture.tend()))
            capture.news.clear()
        if capture.size is not None:
            return capture
        capture.stop()
        name = next(name for name in settings.names(stage=Stage.CAMERA) if name in cameras)
        reason = capture.error or f"no picture came within {_TRIAL_S:g} s."
        message = f"setting '{name}': {reason} (The camera before goes on.)"
        raise SettingsError(message, name) from capture.error

    def _put_in(self, capture: Capture) -> None:
        """Switch to another capture; frames of the one before are ignored."""
        self._capture = capture
        self.gate.shut("start")
        if self._settings.on_demand and self._demand.asleep:
            capture.pause()
        if not capture.is_started and not self._ended.is_set():
            capture.start()
        if self._ended.is_set():  # meanwhile
            capture.stop()

    def _on_capture(self, capture: Capture, status: CaptureStatus) -> None:
        if capture is not self._capture or self._is_switching:  # its end is ignored
            return
        if status.state in (CaptureState.LOST, CaptureState.FAILED):
            self.gate.shut("camera", f"Covered: {status.error}")
        elif status.state is CaptureState.CLOSED:
            self.gate.shut("asleep")
        elif status.state is CaptureState.OPENING:
            self.gate.shut("start")
        elif status.state is CaptureState.RUNNING:
            self.gate.recover()
        self._wake()

    # The housekeeper.

    def _wake(self) -> None:
        self._awake.set()

    def _keep_house(self) -> None:
        slow_s = self._clock.now()
        while not self._ended.is_set():
            # A failure in here ends the round: the camera must not go unwatched in silence.
            self._awake.wait(min(_ROUND_S, self._capture.tend()))
            self._awake.clear()
            if self._ended.is_set():
                return
            try:
                self._look_after_camera()
                self._look_after_outlets()
                if self._clock.now() - slow_s >= _SLOW_ROUND_S:
                    slow_s = self._clock.now()
                    self._follow_rate()
                    self._covers.rest()
                self._tell_if_changed()
            except Exception as error:  # the camera stays supervised
                logger.exception("%s", error)

    def _look_after_camera(self) -> None:
        if self._is_switching:
            return
        state = self._capture.status.state
        if state in (CaptureState.FAILED, CaptureState.ENDED):
            self._ended.set()
            return
        wanted = not self._settings.on_demand or self._demand.wanted()
        if wanted and state is CaptureState.CLOSED:
            self._capture.resume()
        elif not wanted and state in (CaptureState.RUNNING, CaptureState.LOST):
            self._capture.pause()

    def _look_after_outlets(self) -> None:
        """Start outlets, those that keep a size once it is known; end if none ever worked."""
        since_s = self._clock.now() - self._began_s
        if not self._sends:
            needs_size = any(outlet.sink.keeps_layout for outlet in self.outlets)
            if self._is_known or not needs_size or since_s > _LAYOUT_WAIT_S:
                self._sends = True
                for outlet in self.outlets:
                    outlet.start()
            return
        if self._has_page or not self.outlets:
            return
        statuses = [outlet.status for outlet in self.outlets]
        if all(status.state == "failed" and not status.frames for status in statuses):
            self._error = SinkError(statuses[0].error, statuses[0].name)
            self._ended.set()

    def _follow_rate(self) -> None:
        """Report the measured frame rate to the governor where it differs from the expected one."""
        rate = self.measures.rate_in
        if (
            self._steering is not None
            and abs(rate - self._steered_rate) > _RATE_TOLERANCE * rate > 0
        ):
            self._steered_rate = float(round(rate)) or rate
            self._steering.follow(self._settings, self._steered_rate)

    def _apply_plan(self, plan: Plan) -> None:
        """Apply the governor's plan to the engine."""
        with self._updating:
            if self._steering is None or plan != self._steering.plan:
                return  # the governor has chosen another plan meanwhile
            self._engine.update(**plan.apply(self._settings))
            self._engine.cadence = plan.cadence
            self._engine.second_every = plan.second_every
            self.gate.renew()

    # Listeners.

    def _tell_if_changed(self) -> None:
        now = (self.gate.state(), self.without_cover)
        if now != self._told:
            self._told = now
            self._listeners.tell()
