"""Covers, rendered on a thread that is there only while covers are shown."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from greenroom.engine.worker import Supervisor
from greenroom.errors import ModelTimeoutError

if TYPE_CHECKING:
    from greenroom.engine.engine import VirtualBackground
    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout

__all__ = ["CoverMaker"]

# Time-out of rendering a cover.
_COVER_S: Final = 0.3
# The thread ends this long after the last cover; while one is shown it is rendered ten times a
# second.
_IDLE_S: Final = 1.0


class CoverMaker:
    """Renders covers with a time-out, as a background may hang.

    Parameters
    ----------
    engine : VirtualBackground
        Renders them.
    clock : Clock
        Tells when the last cover was rendered.

    Notes
    -----
    `make` is called by one thread at a time, everything else on any. State: the thread, from the
    first cover after `start` to a while after the last one. One that hangs stays until it ends, so
    that there is never another one that hangs beside it.
    """

    def __init__(self, engine: VirtualBackground, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._supervisor: Supervisor[Frame] | None = None
        self._is_started = self._is_closed = self._is_making = False
        self._made_s = clock.now()

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The thread, if there is one."""
        supervisor = self._supervisor
        return () if supervisor is None else supervisor.threads

    def start(self) -> None:
        """Render on a thread from now on; until then it is the caller's."""
        self._is_started = True

    def make(self, layout: Layout, time_s: float) -> Frame:
        """Return a cover, or raise what rendering it raised.

        Raises
        ------
        ModelTimeoutError
            If it takes longer than 0.3 s, an earlier one still hangs, or after `close`.
        """
        if not self._is_started:
            return self._engine.cover(layout, time_s)
        with self._lock:
            if self._is_closed:
                message = "no covers are rendered any more."
                raise ModelTimeoutError(message)
            if self._supervisor is None:
                self._supervisor = Supervisor()
            supervisor, self._is_making = self._supervisor, True
        try:
            return supervisor.run(lambda: self._engine.cover(layout, time_s), _COVER_S)
        finally:
            with self._lock:
                self._is_making, self._made_s = False, self._clock.now()

    def rest(self) -> None:
        """End the thread if no cover was wanted for a while. To be called now and then."""
        with self._lock:
            supervisor = self._supervisor
            if supervisor is None or self._is_making or supervisor.is_late:
                return
            if self._clock.now() - self._made_s > _IDLE_S:
                self._supervisor = None
                supervisor.tell_to_close()

    def close(self) -> None:
        """End the thread; one that hangs is abandoned."""
        with self._lock:
            self._is_started = self._is_closed = True
            supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.close()
