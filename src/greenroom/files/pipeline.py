"""Threaded pipeline from source to sink for files.

Reading and writing have their own threads; the engine runs on the caller's. Every frame is
processed, in order; for live use, where the newest frame wins, see `greenroom.live`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from greenroom.media.channel import Channel, ChannelClosedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.media.frame import Frame
    from greenroom.sinks import Sink
    from greenroom.sources import Source

__all__ = ["Pipeline", "Statistics"]

# Frames queued between two stages. More cost memory and gain nothing (docs/performance.md).
_QUEUE_FRAMES: Final = 1
# Time for the threads to end: the writer may be in the middle of a frame, the reader may be
# blocked by a camera or a pipe.
_WRITER_TIMEOUT_S: Final = 5.0
_READER_TIMEOUT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Statistics:
    """Results of a run.

    Attributes
    ----------
    frames : int
        Frames written to the sink.
    seconds : float
        Time from the start to the closing of the sink.
    first_frame_s : float or None
        Time from the start to the first finished frame.
    """

    frames: int
    seconds: float
    first_frame_s: float | None


class Pipeline:
    """Runs frames from a source through a function into a sink, once.

    Parameters
    ----------
    source : Source
        Closed at the end.
    process : callable
        Converts a frame, on the thread that calls `run`.
    sink : Sink
        Closed at the end, or aborted if anything failed.
    on_frame : callable, optional
        Called with the number of finished frames, on the thread that calls `run`.
    """

    def __init__(
        self,
        source: Source,
        process: Callable[[Frame], Frame],
        sink: Sink,
        *,
        on_frame: Callable[[int], None] | None = None,
    ) -> None:
        self._source = source
        self._process = process
        self._sink = sink
        self._on_frame = on_frame
        self._read: Channel[Frame] = Channel(_QUEUE_FRAMES)
        self._made: Channel[Frame] = Channel(_QUEUE_FRAMES)
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(
                target=self._guard, args=(work,), name=f"greenroom-{name}", daemon=True
            )
            for name, work in (("reader", self._reading), ("writer", self._writing))
        ]

    def run(self) -> Statistics:
        """Run to the end of the source.

        Raises
        ------
        GreenroomError
            From the source, the function or the sink. The sink is aborted, as on any other
            exception such as KeyboardInterrupt.
        """
        start = time.monotonic()
        frames, first_frame_s = 0, None
        try:
            for thread in self._threads:
                thread.start()
            while (frame := self._next()) is not None:
                self._made.put(self._process(frame))
                frames += 1
                if first_frame_s is None:
                    first_frame_s = time.monotonic() - start
                if self._on_frame is not None:
                    self._on_frame(frames)
            self._made.finish()
            self._join()
        except ChannelClosedError:
            self._stop()
        except BaseException:
            self._abort()
            raise
        if self._error is not None:
            self._abort()
            raise self._error
        self._sink.close()
        return Statistics(frames, time.monotonic() - start, first_frame_s)

    def _next(self) -> Frame | None:
        """Return the next frame or None at the end; raise ChannelClosedError if a thread failed."""
        try:
            return self._read.get()
        except ChannelClosedError:
            if self._error is not None:
                raise
            return None

    def _reading(self) -> None:
        for frame in self._source:
            self._read.put(frame)
        self._read.finish()

    def _writing(self) -> None:
        while True:
            try:
                frame = self._made.get()
            except ChannelClosedError:
                return
            self._sink.write(frame)

    def _guard(self, work: Callable[[], None]) -> None:
        """Run a thread's work; an exception ends the whole run."""
        try:
            work()
        except ChannelClosedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by run
            self._error = self._error or error
            self._read.cancel()
            self._made.cancel()

    def _join(self) -> None:
        """Wait for the threads, in steps so that signals are handled."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(timeout=0.5)
        self._source.close()

    def _abort(self) -> None:
        try:
            self._stop()
        finally:  # also on a second Ctrl-C
            self._sink.abort()

    def _stop(self) -> None:
        """End the threads; a hung one is abandoned."""
        self._read.cancel()
        self._made.cancel()
        for thread, timeout_s in zip(
            self._threads, (_READER_TIMEOUT_S, _WRITER_TIMEOUT_S), strict=True
        ):
            if thread.ident is not None:
                thread.join(timeout=timeout_s)
        self._source.close()
