"""Source to engine to sink for files: the threads, and what happens when one of them fails.

Reading and writing have threads of their own, the engine runs on the caller's. Every frame goes
through, in order; live use, where the newest frame wins, is `greenroom.live`.
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

# Frames that may wait at each hand-over, besides the one in work on either side: more of them
# cost memory and gain nothing (docs/performance.md).
_WAITING: Final = 1
# How long the writer, in the middle of a frame, and the reader, which may wait for a camera or
# a pipe, may take to end after they were told to.
_PATIENCE_S: Final = 5.0
_READER_PATIENCE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a run did.

    Attributes
    ----------
    frames : int
        Frames that went to the sink.
    seconds : float
        From the start to the sink's close.
    first_frame_s : float or None
        From the start to the first finished frame.
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
        Makes a frame of a frame, on the thread that calls `run`.
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
        self._read: Channel[Frame] = Channel(_WAITING)
        self._made: Channel[Frame] = Channel(_WAITING)
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
            What the source, the function or the sink raised. The sink is aborted then, as
            it is on any other exception such as KeyboardInterrupt.
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
            self._give_up()
            raise
        if self._error is not None:
            self._give_up()
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
        """Run a thread's work; what it raises ends the run."""
        try:
            work()
        except ChannelClosedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by run
            self._error = self._error or error
            self._read.cancel()
            self._made.cancel()

    def _join(self) -> None:
        """Wait for the threads, in steps so that a signal is seen."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(timeout=0.5)
        self._source.close()

    def _give_up(self) -> None:
        try:
            self._stop()
        finally:  # also if Ctrl-C is pressed again meanwhile
            self._sink.abort()

    def _stop(self) -> None:
        """End the threads; one that hangs in a read or write is left behind."""
        self._read.cancel()
        self._made.cancel()
        for thread, patience_s in zip(
            self._threads, (_READER_PATIENCE_S, _PATIENCE_S), strict=True
        ):
            if thread.ident is not None:
                thread.join(timeout=patience_s)
        self._source.close()
