"""Camera supervision: opening, time-outs, reconnection with back-off.

::

    CLOSED ──start──▶ OPENING ──first frame──▶ RUNNING ──end of a file──▶ ENDED
      ▲  ◀──pause──────┴────────────┬────────────┘
      └──resume──▶ OPENING          │ lost, silent, asleep
                                    ▼
                  FAILED ◀──────── LOST ──first frame──▶ RUNNING
                     never worked, or too long

A thread of its own watches; another one, for each opening, reads, because reading may hang: it
is then left behind, and nothing that it still brings is delivered.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from greenroom.errors import CameraLostError, GreenroomError, SourceError
from greenroom.live.sleep_detector import Suspension, seconds_asleep
from greenroom.live.status import CaptureState, CaptureStatus
from greenroom.media.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame
    from greenroom.media.workers import WorkerFailure
    from greenroom.sources.source import Source

__all__ = ["Capture"]

logger = logging.getLogger(__name__)

# Time-outs: between two frames, and for opening until the first frame.
_SILENCE_S: Final = 2.0
_OPENING_S: Final = 60.0
_FIRST_FRAME_S: Final = 10.0
# Interval of the check whether the machine slept.
_ROUND_S: Final = 0.5
# Back-off between two attempts: doubles from the first to the longest; an attempt that takes
# longer itself, such as one over a network, is followed by a wait of the same length.
_FIRST_WAIT_S: Final = 0.05
_LONGEST_WAIT_S: Final = 0.5
_LONGEST_COSTLY_WAIT_S: Final = 5.0
# A camera that ran this long counts as healthy: the next loss starts the back-off anew.
_WELL_S: Final = 2.0
# Time-out of closing; hung threads are abandoned after it.
_CLOSE_S: Final = 1.5
_STOP_S: Final = 2.0
_DELIVERY_S: Final = 0.3


class Capture:
    """Delivers the frames of a source and reconnects when it is lost.

    Parameters
    ----------
    open_source : callable
        Opens the source; called again for every attempt, on a thread of its own.
    deliver : callable
        Takes each frame, on the thread that read it. May not wait.
    on_state : callable
        Told of every change, on the thread that watches.
    clock : Clock
        Tells time.
    reconnect_seconds : float or None
        For how long a source that was lost is looked for; None for ever.
    worked : bool
        Whether to take it for one that has worked: then it is tried again from the start.
    asleep_s : callable
        See `seconds_asleep`.
    on_fault : callable, optional
        Told if the thread that watches fails; it begins anew.

    Notes
    -----
    Every public method may be called on any thread, and none waits but `stop`. A source that
    never worked is not tried again: whoever started this is to be told what is wrong.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        deliver: Callable[[Frame], None],
        *,
        on_state: Callable[[CaptureStatus], None],
        clock: Clock,
        reconnect_seconds: float | None,
        worked: bool = False,
        asleep_s: Callable[[], float] = seconds_asleep,
        on_fault: Callable[[WorkerFailure], None] | None = None,
    ) -> None:
        self._on_fault = on_fault
        self._open_source = open_source
        self._deliver = deliver
        self._on_state = on_state
        self._clock = clock
        self.reconnect_s = reconnect_seconds
        """For how long a source that was lost is looked for."""
        self._suspension = Suspension(asleep_s)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._paused = threading.Event()
        self._worked = worked
        self._reading: _Reading | None = None
        self._damaged_before = 0
        self._lost_s: float | None = None
        self._wait_s = _FIRST_WAIT_S
        self.status = CaptureStatus()
        self.error: GreenroomError | None = None
        self.size: tuple[int, int] | None = None
        self.changed = threading.Event()
        """Set at every change of the state."""
        self._thread = Worker(
            self._watch, "capture", on_fault=self._take_fault, ended=self._stopping
        )

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        return self._thread.ident is not None

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The watchdog thread and the current reader thread."""
        reading = self._reading
        return (self._thread, *(() if reading is None else reading.threads))

    @property
    def is_over(self) -> bool:
        """Whether the source has ended or was given up."""
        return self.status.state in (CaptureState.FAILED, CaptureState.ENDED)

    @property
    def damaged(self) -> int:
        """Number of frames dropped because they were damaged."""
        reading = self._reading
        return self._damaged_before + (0 if reading is None else reading.damaged)

    def start(self) -> None:
        """Begin to open the source."""
        self._thread.start()

    def stop(self) -> None:
        """Close the source and end, within two seconds. No frame is delivered after this."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=_STOP_S)
        reading = self._reading
        if reading is not None:
            reading.silence()
            reading.close()

    def pause(self) -> None:
        """Close the source, so that the camera's light goes out."""
        self._paused.set()
        self._wake.set()

    def resume(self) -> None:
        """Reopen the source after `pause`."""
        self._paused.clear()
        self._wake.set()

    def _is_unwanted(self) -> bool:
        """Whether the source is paused."""
        return self._paused.is_set() or self._stopping.is_set()

    def _take_fault(self, fault: WorkerFailure) -> None:
        """Silence the current reader when the watchdog fails."""
        reading = self._reading
        if reading is not None:
            reading.silence()
            reading.close()
        if self._on_fault is not None:
            self._on_fault(fault)

    # The thread that watches.

    def _watch(self) -> None:
        while not self._stopping.is_set():
            if self._paused.is_set():
                self._be(CaptureState.CLOSED)
                self._sleep(None)
                continue
            began_s = self._clock.now()
            reading = self._begin()
            self._observe(reading)
            reading.silence()
            error = None if self._is_unwanted() else reading.error
            may_try_again = error is not None and self._may_try_again(error)
            if may_try_again:  # told before what hangs is waited for
                self._be(CaptureState.LOST, str(error))
            reading.close()
            self._end(reading)
            if self._is_unwanted():
                self._lost_s = None
            elif may_try_again:
                self._wait_before_attempt(self._clock.now() - began_s, reading)
            elif error is not None:
                self.error = error
                self._be(CaptureState.FAILED, str(error))
                return
            elif reading.is_over:
                self._be(CaptureState.ENDED)
                return
        self._be(CaptureState.CLOSED)

    def _begin(self) -> _Reading:
        """Start a reader thread."""
        self._suspension.happened()
        reading = _Reading(self._open_source, self._deliver, self._wake, self._clock)
        self._reading = reading
        if self._lost_s is None:
            self._be(CaptureState.OPENING)
        reading.start()
        return reading

    def _observe(self, reading: _Reading) -> None:
        """Watch the reader until it ends; the reason is in ``reading.error``."""
        while not (self._is_unwanted() or reading.is_over):
            self._greet(reading)
            self._sleep(min(_ROUND_S, reading.seconds_left()))
            if self._suspension.happened():
                reading.fail(CameraLostError("the camera was lost: the machine slept."))
            elif reading.seconds_left() <= 0:
                reading.fail(reading.too_silent())
        self._greet(reading)

    def _greet(self, reading: _Reading) -> None:
        """Report the first frame."""
        if reading.size is None or self._is_unwanted():
            return
        if self.status.state is not CaptureState.RUNNING:
            self._worked = True
            self.size = reading.size
            self.status = replace(self.status, name=reading.name, negotiated=reading.negotiated)
            self._be(CaptureState.RUNNING)
        if reading.ran_s() > _WELL_S:
            self._lost_s = None
            self._wait_s = _FIRST_WAIT_S

    def _end(self, reading: _Reading) -> None:
        """Wait until the source is closed; hung threads are abandoned."""
        if not reading.join(_CLOSE_S):
            logger.warning("%s does not answer, and is left behind", reading.name or "the source")
        self._damaged_before += reading.damaged
        self._reading = None

    def _may_try_again(self, error: GreenroomError) -> bool:
        if not self._worked or not isinstance(error, SourceError):
            return False
        now_s = self._clock.now()
        if self._lost_s is None:
            self._lost_s = now_s
            logger.warning("%s", error)
        return self.reconnect_s is None or now_s - self._lost_s < self.reconnect_s

    def _wait_before_attempt(self, took_s: float, reading: _Reading) -> None:
        cost_s = 0.0 if reading.size is not None else min(took_s, _LONGEST_COSTLY_WAIT_S)
        end_s = self._clock.now() + max(self._wait_s, cost_s)
        if self.reconnect_s is not None and self._lost_s is not None:
            end_s = min(end_s, self._lost_s + self.reconnect_s)
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
        while not self._is_unwanted() and (left_s := end_s - self._clock.now()) > 0:
            self._sleep(left_s)

    def _sleep(self, seconds: float | None) -> None:
        """Wait for an event, up to ``seconds``."""
        self._clock.wait(self._wake, 3600.0 if seconds is None else max(0.0, seconds))
        self._wake.clear()

    def _be(self, state: CaptureState, error: str = "") -> None:
        """Change the state and report changes."""
        status = replace(self.status, state=state, error=error)
        if status != self.status:
            self.status = status
            self.changed.set()
            self._on_state(status)


class _Reading:
    """One connection to the source, read on a thread of its own."""

    def __init__(
        self,
        open_source: Callable[[], Source],
        deliver: Callable[[Frame], None],
        wake: threading.Event,
        clock: Clock,
    ) -> None:
        self._open_source = open_source
        self._deliver = deliver
        self._wake = wake
        self._clock = clock
        self._lock = threading.Lock()
        self._cancelled = False
        self._source: Source | None = None
        self._since_s = clock.now()
        self._first_s: float | None = None
        self.error: GreenroomError | None = None
        self.is_over = False
        self.name = self.negotiated = ""
        self.size: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._run, name="greenroom-camera", daemon=True)

    @property
    def damaged(self) -> int:
        """Number of frames the source dropped."""
        return 0 if self._source is None else self._source.damaged

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """Its thread."""
        return (self._thread,)

    def start(self) -> None:
        """Open and read."""
        self._thread.start()

    def silence(self) -> None:
        """Stop delivering frames."""
        self._cancelled = True
        # Waits for a delivery in progress, but not for one that hangs.
        if self._lock.acquire(timeout=_DELIVERY_S):
            self._lock.release()

    def close(self) -> None:
        """Close the source as soon as possible."""
        if self._source is not None:
            self._source.close()

    def join(self, seconds: float) -> bool:
        """Wait until the device is closed; False if it takes longer."""
        self._thread.join(timeout=seconds)
        return not self._thread.is_alive()

    def fail(self, error: GreenroomError) -> None:
        """Mark the connection as failed, unless it has ended already."""
        self._finish(error)

    def seconds_left(self) -> float:
        """Return the remaining time until the read time-out, in seconds."""
        allowed_s = _SILENCE_S if self.size is not None else _FIRST_FRAME_S
        if self._source is None:
            allowed_s = _OPENING_S
        return self._since_s + allowed_s - self._clock.now()

    def ran_s(self) -> float:
        """Return how long frames have been arriving, in seconds."""
        return 0.0 if self._first_s is None else self._clock.now() - self._first_s

    def too_silent(self) -> GreenroomError:
        """Make the error for a source that delivers no frame."""
        if self._source is None:
            return CameraLostError(f"the source could not be opened within {_OPENING_S:g} s.")
        allowed_s = _SILENCE_S if self.size is not None else _FIRST_FRAME_S
        message = (
            f"{self.name} was lost: no frame came for {allowed_s:g} s. Unplug it and plug it in "
            "again; it is being looked for."
        )
        return CameraLostError(message, self.name)

    def _run(self) -> None:
        try:
            self._read()
        except GreenroomError as error:
            self._finish(error)
        except BaseException as error:
            logger.debug("a source failed", exc_info=True)
            message = f"the source failed: {type(error).__name__}: {error}"
            wrapped = SourceError(message)
            wrapped.__cause__ = error
            self._finish(wrapped)
        else:
            self._finish(None)

    def _read(self) -> None:
        source = self._open_source()
        with self._lock:
            self._source = source
            self._since_s = self._clock.now()
            self.name = source.info.name
            cancelled = self._cancelled
        try:
            if not cancelled:
                self._wake.set()
                self._pass_on(source)
        finally:
            source.close()

    def _pass_on(self, source: Source) -> None:
        for frame in source:
            with self._lock:
                if self._cancelled:
                    return
                self._since_s = self._clock.now()
                if self.size is None:
                    self._meet(source, frame)
                self._deliver(frame)

    def _meet(self, source: Source, frame: Frame) -> None:
        """Record size and format from the first frame."""
        width, height = frame.size
        usual = f"{width}x{height}, {float(source.info.rate):.4g} frames/s"
        self.negotiated = source.info.negotiated or usual
        self._first_s = self._clock.now()
        self.size = frame.size
        self._wake.set()

    def _finish(self, error: GreenroomError | None) -> None:
        if not self.is_over:
            self.error = error
        self.is_over = True
        self._wake.set()
