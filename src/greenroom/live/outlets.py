"""Outlets: each sink of a live session on a thread of its own, fed by the gate.

An outlet takes the newest frame from the gate whenever its sink has accepted the last one, so a
stalled sink delays no other, and no frame is older than the gate allows. A constant-rate sink gets
the newest frame at each tick, the last one again if there is no new one. A failed sink is reopened
with an increasing back-off; the others are not affected.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from greenroom.backgrounds.fitting import fitted
from greenroom.errors import GreenroomError
from greenroom.live.frame_pacer import FramePacer
from greenroom.live.status import OutletStatus, Showing
from greenroom.media.workers import Worker
from greenroom.settings import Fit

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from greenroom.live.gate import Gate, Shown
    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.media.workers import WorkerFailure
    from greenroom.sinks.sink import LiveSink

__all__ = ["Outlet"]

logger = logging.getLogger(__name__)

# A write that takes longer than this counts as stalled.
_STALLED_S: Final = 1.0
# Back-off before a failed sink is retried: first and longest.
_FIRST_BACKOFF_S: Final = 0.5
_MAX_BACKOFF_S: Final = 5.0
# Interval of covers sent to a sink without consumers.
_IDLE_COVER_INTERVAL_S: Final = 0.5
# Time-out of closing a sink, ...
_CLOSE_TIMEOUT_S: Final = 2.0
# ... and one that finishes a file.
_FINISH_TIMEOUT_S: Final = 60.0
# Latencies kept, in frames.
_LATENCY_FRAMES: Final = 4096


class Outlet:
    """Feeds one sink.

    Parameters
    ----------
    sink : LiveSink
        Closed at the end, on the outlet's thread.
    gate : Gate
        Where frames come from.
    clock : Clock
        Tells when a write began.
    rate : Fraction
        Frames a second that a paced sink gets.
    on_fault : callable, optional
        Told if its thread fails otherwise than by the sink; it goes on.

    State: counts, the latest latencies, what the sink got last, and what went wrong last.
    """

    def __init__(
        self,
        sink: LiveSink,
        gate: Gate,
        clock: Clock,
        rate: Fraction,
        on_fault: Callable[[WorkerFailure], None] | None = None,
    ) -> None:
        self.sink = sink
        self._gate = gate
        self._clock = clock
        self._pacer = FramePacer(rate)
        self._ended = threading.Event()
        self._layout: Layout | None = None
        self._writing_since_s: float | None = None
        self._state = "waiting"
        self._error = ""
        self._failures = 0
        self._frames = self._repeated = self._dropped = 0
        self._last: Shown | None = None
        self._got: Showing | None = None
        self._on_fault = on_fault
        self.latencies_s: deque[float] = deque(maxlen=_LATENCY_FRAMES)
        """From capture to the end of the write, of each new frame that shows the person."""
        self._thread = Worker(
            self._work, f"out-{sink.name}", on_fault=self._take_fault, ended=self._ended
        )

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> bool:
        """End and close the sink; return False if it stalls and its thread is abandoned."""
        self.tell_to_stop()
        if self._thread.ident is None:  # never started
            self.sink.abort()
            return True
        self._thread.join(timeout=_FINISH_TIMEOUT_S if self.sink.always else _CLOSE_TIMEOUT_S)
        return not self._thread.is_alive()

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """Its thread."""
        return (self._thread,)

    def follow_rate(self, rate: Fraction) -> None:
        """Set the frame rate of a constant-rate sink.

        What the sink once told others of its rate stays.
        """
        self._pacer.rate = rate

    def tell_to_stop(self) -> None:
        """Tell the thread to end, without waiting."""
        self._ended.set()

    def readers(self) -> int | None:
        """Return the number of consumers: 1 for a sink that always wants frames, None if unknown.

        A failed sink has none.
        """
        if self._state == "failed":
            return 0
        return 1 if self.sink.always else self.sink.readers()

    @property
    def status(self) -> OutletStatus:
        """Status snapshot of this outlet."""
        since_s = self._writing_since_s
        stalled = since_s is not None and self._clock.now() - since_s > _STALLED_S
        return OutletStatus(
            name=self.sink.name,
            device=self.sink.device,
            state="stalled" if stalled else self._state,
            readers=None if self.sink.always else self.sink.readers(),
            frames=self._frames,
            repeated=self._repeated,
            dropped=self._dropped,
            error=self._error,
            got=self._got,
        )

    @property
    def lacks_cover(self) -> bool:
        """Whether the last output that the sink may show is not the cover.

        A write that is in progress, or failed, may have succeeded. A sink that got nothing yet,
        or a closed recording, shows nothing.
        """
        return self._got not in (None, Showing.COVER)

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                shown = self._next()
                if shown is not None:
                    self._send(shown)
            except Exception as error:
                logger.exception("%s: %s", self.sink.name, error)
                self._fail(error)
        self._finish()

    def _take_fault(self, fault: WorkerFailure) -> None:
        """Abort the sink after a failure of the thread."""
        self._give_up_sink(f"{type(fault.error).__name__}: {fault.error}")
        if self._on_fault is not None:
            self._on_fault(fault)

    def _next(self) -> Shown | None:
        """Wait for the next output."""
        last = self._last
        if last is not None and last.reason == "asleep":
            self._gate.rest(_IDLE_COVER_INTERVAL_S)
        if last is None or not self.sink.paced:
            return self._gate.wait(-1 if last is None else last.number, _STALLED_S)
        self._gate.hold(self._pacer.left_s(self._clock.now()))
        return None if self._ended.is_set() else self._gate.current()

    def _send(self, shown: Shown) -> None:
        is_new_person = self._count(shown)
        self._writing_since_s = self._clock.now()
        if shown.showing is not Showing.COVER:
            self._got = shown.showing
        try:
            self.sink.write(self._fitted(shown.frame))
        except Exception as error:  # the other outlets continue
            logger.debug("%s failed", self.sink.name, exc_info=True)
            self._fail(error)
            return
        finally:
            self._writing_since_s = None
        self._got = shown.showing
        if self._state != "running":
            self._state, self._error, self._failures = "running", "", 0
        self._frames += 1
        if is_new_person and shown.frame.time_s is not None:
            self.latencies_s.append(self._clock.now() - shown.frame.time_s)

    def _count(self, shown: Shown) -> bool:
        """Count repeated and dropped frames, and advance the pacer.

        Returns
        -------
        bool
            Whether it is a new frame, and not the cover.
        """
        last, self._last = self._last, shown
        now_s = self._clock.now()
        is_new = last is None or shown.number != last.number
        is_person = is_new and shown.showing is not Showing.COVER
        if is_person and (last is None or last.showing is Showing.COVER):
            self._pacer.begin(shown.since_s, now_s)
        else:
            self._pacer.next(now_s, shown.since_s if is_person else None)
        if last is not None:
            self._repeated += not is_new
            self._dropped += max(0, shown.passed - last.passed - is_person)
        return is_person

    def _fitted(self, frame: Frame) -> Frame:
        """Convert a frame to the layout of the first one, for a sink that keeps it."""
        if self._layout is None:
            self._layout = frame.layout
        if frame.layout == self._layout or not self.sink.keeps_layout:
            return frame
        return fitted(frame, self._layout, Fit.CONTAIN).at(frame)

    def _fail(self, error: Exception) -> None:
        """Close a sink that failed, and pause before the retry."""
        said = (
            str(error) if isinstance(error, GreenroomError) else f"{type(error).__name__}: {error}"
        )
        self._give_up_sink(said)
        pause_s = min(_MAX_BACKOFF_S, _FIRST_BACKOFF_S * 2**self._failures)
        self._failures += 1
        self._clock.wait(self._ended, pause_s)

    def _give_up_sink(self, said: str) -> None:
        if said != self._error:
            logger.warning("%s: %s", self.sink.name, said)
        self._state, self._error = "failed", said
        self._layout = None
        try:
            self.sink.abort()
        except Exception:  # it is being given up
            logger.debug("%s cannot be closed", self.sink.name, exc_info=True)
        if self.sink.always:  # a file that was closed shows nothing
            self._got = None

    def _finish(self) -> None:
        """Close the sink; one that failed was closed already."""
        if self._state == "failed":
            return
        try:
            self.sink.close()
            self._state = "closed"
        except Exception as error:  # no caller is left to raise it to
            self._state, self._error = "failed", str(error)
            logger.warning("%s: %s", self.sink.name, error)
            logger.debug("%s cannot be closed", self.sink.name, exc_info=True)
