"""Camera supervision: opening, time-outs, reconnection with back-off.

::

    CLOSED ──start──▶ OPENING ──first frame──▶ RUNNING ──end of a file──▶ ENDED
      ▲  ◀──pause──────┴────────────┬────────────┘
      └──resume──▶ OPENING          │ lost, silent, asleep
                                    ▼
                  FAILED ◀──────── LOST ──first frame──▶ RUNNING
                     never worked, or too long

Whoever owns a capture calls `Capture.tend` every now and then, which never waits. A thread for each
opening reads, because reading may hang, as may closing, which has a thread for as long as it takes:
both are then left behind, and nothing that they still bring is delivered.
"""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.errors import CameraLostError, GreenroomError, SourceError
from greenroom.live.sleep_detector import SleepDetector, seconds_asleep
from greenroom.live.source_reader import SourceReader
from greenroom.live.status import CaptureState, CaptureStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame
    from greenroom.sources.source import Source

__all__ = ["Capture"]

logger = logging.getLogger(__name__)

# Back-off between two attempts: doubles from the first to the longest; an attempt that takes
# longer itself, such as one over a network, is followed by a wait of the same length.
_FIRST_BACKOFF_S: Final = 0.05
_MAX_BACKOFF_S: Final = 0.5
_MAX_SLOW_BACKOFF_S: Final = 5.0
# A camera that ran this long counts as healthy: the next loss starts the back-off anew.
_HEALTHY_AFTER_S: Final = 2.0
# Time-out of closing; hung threads are abandoned after it.
_CLOSE_S: Final = 1.5


class Capture:
    """Delivers the frames of a source and reconnects when it is lost.

    Parameters
    ----------
    open_source : callable
        Opens the source; called again for every attempt, on a thread of its own.
    deliver : callable
        Takes each frame, on the thread that read it. May not wait.
    on_state : callable
        Told of every change, on the thread that calls `tend`, `start` or `stop`. May not wait, nor
        call any of them.
    wake : callable
        Called, on any thread, when there is something to do for `tend`.
    clock : Clock
        Tells time.
    reconnect_seconds : float or None
        For how long a source that was lost is looked for; None for ever.
    worked : bool
        Whether to take it for one that has worked: then it is tried again from the start.
    asleep_s : callable
        See `seconds_asleep`.

    Notes
    -----
    Every public method may be called on any thread, and none waits for a device but `stop`. A
    source that never worked is not tried again: whoever started this is to be told what is wrong.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        deliver: Callable[[Frame], None],
        *,
        on_state: Callable[[CaptureStatus], None],
        wake: Callable[[], None],
        clock: Clock,
        reconnect_seconds: float | None,
        worked: bool = False,
        asleep_s: Callable[[], float] = seconds_asleep,
    ) -> None:
        self._open_source = open_source
        self._deliver = deliver
        self._on_state = on_state
        self._wake_owner = wake
        self._clock = clock
        self.reconnect_s = reconnect_seconds
        """For how long a source that was lost is looked for."""
        self._sleep_detector = SleepDetector(asleep_s)
        self._tending = threading.Lock()
        self._is_stopped = self._is_paused = False
        self._worked = worked
        self._reading: SourceReader | None = None
        self._ending: _Ending | None = None
        self._next_s = clock.now()  # when to open the source
        self._damaged_before = 0
        self._lost_s: float | None = None
        self._wait_s = _FIRST_BACKOFF_S
        self.status = CaptureStatus()
        self.error: GreenroomError | None = None
        self.size: tuple[int, int] | None = None
        self.news = threading.Event()
        """Set when there is something to do for `tend`, and at every change of the state."""
        self.is_started = False
        """Whether `start` was called."""

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The threads that read and close, without abandoned ones."""
        reading = self._latest
        return () if reading is None else reading.threads

    @property
    def is_over(self) -> bool:
        """Whether the source has ended or was given up."""
        return self.status.state in (CaptureState.FAILED, CaptureState.ENDED)

    @property
    def damaged(self) -> int:
        """Number of frames dropped because they were damaged."""
        reading = self._latest
        return self._damaged_before + (0 if reading is None else reading.damaged)

    @property
    def _latest(self) -> SourceReader | None:
        """The connection that is open, or being closed."""
        reading, ending = self._reading, self._ending
        return ending.reading if reading is None and ending is not None else reading

    def start(self) -> None:
        """Begin to open the source."""
        self.is_started = True
        self.tend()

    def stop(self) -> None:
        """Close the source and end, within two seconds. No frame is delivered after this."""
        self._is_stopped = True
        with self._tending:
            if self._reading is not None:
                self._part(self._reading)
            ending, self._ending = self._ending, None
        if ending is not None:
            self._note_end(ending.reading, in_time=ending.reading.join(_CLOSE_S))
        if self.is_started and not self.is_over:
            self._be(CaptureState.CLOSED)

    def pause(self) -> None:
        """Close the source, so that the camera's light goes out."""
        self._is_paused = True
        self._wake()

    def resume(self) -> None:
        """Reopen the source after `pause`."""
        self._is_paused = False
        self._wake()

    def tend(self) -> float:
        """Look after the source: time-outs, closing and opening.

        To be called ten times a second, and whenever ``wake`` was called.

        Returns
        -------
        float
            Within how many seconds there is something to do again, if nothing happens; may be
            infinite.
        """
        with self._tending:
            try:
                while self.is_started and not self._is_stopped:
                    if (left_s := self._step()) > 0:
                        return left_s
            except BaseException:
                if self._reading is not None:  # otherwise it would be unsupervised
                    self._part(self._reading)
                raise
        return math.inf

    # Called with the lock.

    def _step(self) -> float:
        """Do what is due; return the time until there is more to do, or 0 to go on at once."""
        if self._reading is not None:
            return self._observe(self._reading)
        if self._ending is not None:
            return self._await_end(self._ending)
        if self.is_over:
            return math.inf
        if self._is_paused:
            self._lost_s = None
            self._next_s = self._clock.now()
            self._be(CaptureState.CLOSED)
            return math.inf
        left_s = self._next_s - self._clock.now()
        if left_s <= 0:
            self._begin()
        return max(0.0, left_s)

    def _begin(self) -> None:
        """Start a reader thread."""
        self._sleep_detector.happened()
        reading = SourceReader(self._open_source, self._deliver, self._wake, self._clock)
        if self._lost_s is None:
            self._be(CaptureState.OPENING)
        reading.start()
        self._reading = reading

    def _observe(self, reading: SourceReader) -> float:
        """Watch the reader; once it ends the reason is in ``reading.error``."""
        self._greet(reading)
        if not (self._is_paused or reading.is_over):
            if self._sleep_detector.happened():
                reading.fail(CameraLostError("the camera was lost: the machine slept."))
            elif (left_s := reading.seconds_left()) > 0:
                return left_s
            else:
                reading.fail(reading.too_silent())
        self._part(reading)
        return 0.0

    def _greet(self, reading: SourceReader) -> None:
        """Report the first frame."""
        if reading.size is None or self._is_paused:
            return
        if self.status.state is not CaptureState.RUNNING:
            self._worked = True
            self.size = reading.size
            self.status = replace(self.status, name=reading.name, negotiated=reading.negotiated)
            self._be(CaptureState.RUNNING)
        if reading.ran_s() > _HEALTHY_AFTER_S:
            self._lost_s = None
            self._wait_s = _FIRST_BACKOFF_S

    def _part(self, reading: SourceReader) -> None:
        """Ignore further frames of a source, and start closing it."""
        reading.silence()
        is_wanted = not (self._is_paused or self._is_stopped)
        error = reading.error if is_wanted else None
        may_try_again = error is not None and self._may_try_again(error)
        self._ending = _Ending(
            reading,
            error,
            may_try_again=may_try_again,
            was_over=is_wanted and reading.is_over,
            until_s=self._clock.now() + _CLOSE_S,
        )
        self._reading = None
        reading.close()
        if may_try_again:
            self._be(CaptureState.LOST, str(error))

    def _await_end(self, ending: _Ending) -> float:
        """Choose the next state once the source is closed or its closing times out."""
        reading = ending.reading
        left_s = ending.until_s - self._clock.now()
        if not reading.is_closed and left_s > 0:
            return left_s
        self._note_end(reading, in_time=reading.is_closed)
        self._ending = None
        if self._is_paused:
            return 0.0
        if ending.may_try_again:
            self._wait_before_attempt(reading)
        elif ending.error is not None:
            self.error = ending.error
            self._be(CaptureState.FAILED, str(ending.error))
        elif ending.was_over:
            self._be(CaptureState.ENDED)
        return 0.0

    def _note_end(self, reading: SourceReader, *, in_time: bool) -> None:
        """Note that a source is closed; hung threads are abandoned."""
        if not in_time:
            logger.warning("%s does not answer, and is left behind", reading.name or "the source")
        self._damaged_before += reading.damaged

    def _may_try_again(self, error: GreenroomError) -> bool:
        if not self._worked or not isinstance(error, SourceError):
            return False
        now_s = self._clock.now()
        if self._lost_s is None:
            self._lost_s = now_s
            logger.warning("%s", error)
        return self.reconnect_s is None or now_s - self._lost_s < self.reconnect_s

    def _wait_before_attempt(self, reading: SourceReader) -> None:
        """Set the time of the next attempt."""
        now_s = self._clock.now()
        took_s = now_s - reading.began_s
        cost_s = 0.0 if reading.size is not None else min(took_s, _MAX_SLOW_BACKOFF_S)
        self._next_s = now_s + max(self._wait_s, cost_s)
        if self.reconnect_s is not None and self._lost_s is not None:
            self._next_s = min(self._next_s, self._lost_s + self.reconnect_s)
        self._wait_s = min(2 * self._wait_s, _MAX_BACKOFF_S)

    def _be(self, state: CaptureState, error: str = "") -> None:
        """Change the state and report changes."""
        status = replace(self.status, state=state, error=error)
        if status != self.status:
            self.status = status
            self.news.set()
            self._on_state(status)

    # Called without it.

    def _wake(self) -> None:
        self.news.set()
        self._wake_owner()


class _Ending(NamedTuple):
    """A source that is being closed.

    Attributes
    ----------
    reading : SourceReader
        Its connection.
    error : GreenroomError or None
        Why it is closed; None if that was asked for, or it has ended.
    may_try_again : bool
        Whether it is to be opened again after the error.
    was_over : bool
        Whether it ended by itself.
    until_s : float
        When it is left behind, by the clock.
    """

    reading: SourceReader
    error: GreenroomError | None
    may_try_again: bool
    was_over: bool
    until_s: float
