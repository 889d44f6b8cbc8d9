"""One connection to a source, read on a thread of its own, that may hang."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from greenroom.errors import CameraLostError, GreenroomError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame
    from greenroom.sources.source import Source

__all__ = ["SourceReader"]

logger = logging.getLogger(__name__)

# Time-outs: between two frames, and for opening until the first frame.
_SILENCE_S: Final = 2.0
_OPENING_S: Final = 60.0
_FIRST_FRAME_S: Final = 10.0
# Time-out of a delivery in progress.
_DELIVERY_S: Final = 0.3


class SourceReader:
    """Opens a source, delivers its frames, and closes it; only `join` waits for the device.

    Parameters
    ----------
    open_source : callable
        Opens the source, on the thread that reads.
    deliver : callable
        Takes each frame, on that thread.
    wake : callable
        Called, on any thread, when it is open, has its first frame, or is closed.
    clock : Clock
        Tells time.

    State: two threads, one that reads, and one that closes while the other may hang.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        deliver: Callable[[Frame], None],
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._open_source = open_source
        self._deliver = deliver
        self._wake = wake
        self._clock = clock
        self._lock = threading.Lock()
        self._cancelled = False
        self._source: Source | None = None
        self.began_s = self._since_s = clock.now()
        self._first_s: float | None = None
        self.error: GreenroomError | None = None
        self.is_over = False
        self.is_closed = False
        """Whether the device is closed."""
        self.name = self.negotiated = ""
        self.size: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._run, name="greenroom-camera", daemon=True)
        self._closer: threading.Thread | None = None

    @property
    def damaged(self) -> int:
        """Number of frames the source dropped."""
        return 0 if self._source is None else self._source.damaged

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The thread that reads, and the one that closes."""
        return (self._thread,) if self._closer is None else (self._thread, self._closer)

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
        """Have the source closed as soon as possible, unless it is."""
        if self._source is not None and not self.is_closed and self._closer is None:
            self._closer = threading.Thread(
                target=self._close, args=(self._source,), name="greenroom-closer", daemon=True
            )
            self._closer.start()

    def _close(self, source: Source) -> None:
        try:
            source.close()
        except Exception as error:  # the thread that reads closes it, too
            logger.exception("%s: %s", self.name, error)

    def join(self, seconds: float) -> bool:
        """Wait until the device is closed; False if it takes longer."""
        end_s = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(timeout=max(0.0, end_s - time.monotonic()))
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
        self.is_closed = True
        self._wake()

    def _read(self) -> None:
        source = self._open_source()
        with self._lock:
            self._source = source
            self._since_s = self._clock.now()
            self.name = source.info.name
            cancelled = self._cancelled
        try:
            if not cancelled:
                self._wake()
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
        self._wake()

    def _finish(self, error: GreenroomError | None) -> None:
        if not self.is_over:
            self.error = error
        self.is_over = True
