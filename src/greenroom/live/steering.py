"""Steering: applies the governor's plans to the engine.

A model may take seconds to load, so that is done on a thread of its own, while frames go on.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from greenroom.media.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.live.governor import Governor, Plan
    from greenroom.live.measures import Measured
    from greenroom.media.timings import Timings
    from greenroom.media.workers import WorkerFailure
    from greenroom.settings import Settings

__all__ = ["Steering"]

logger = logging.getLogger(__name__)

_END_S: Final = 2.0


class Steering:
    """Feeds measurements to a governor and has its plans applied.

    Parameters
    ----------
    governor : Governor
        Pure logic; called under a lock.

    State: the plan in force, and a thread from `start` to `stop`.
    """

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        self._lock = threading.Lock()
        self._plan: Plan = governor.plan
        self._applied: Plan | None = None
        self._odd = False
        self._changed = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self._plan

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The thread that applies plans."""
        return () if self._thread is None else (self._thread,)

    @property
    def said(self) -> tuple[str, str]:
        """Plan and reason, as sentences."""
        return self._plan.text, self._plan.reason

    def start(
        self, apply: Callable[[Plan], None], on_fault: Callable[[WorkerFailure], None] | None = None
    ) -> None:
        """Begin; ``apply`` is called with a new plan, on a thread of this.

        If that thread fails, ``on_fault`` is told, and it begins anew.
        """

        def tell(fault: WorkerFailure) -> None:
            self._changed.set()  # what was to be carried out still is
            if on_fault is not None:
                on_fault(fault)

        self._thread = Worker(lambda: self._work(apply), "steering", on_fault=tell)
        self._changed.set()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended = True
        self._changed.set()
        if self._thread is not None:
            self._thread.join(timeout=_END_S)

    def skips(self) -> bool:
        """Return whether to skip the next frame: every second one at half rate."""
        self._odd = not self._odd
        plan = self._applied
        return plan is not None and plan.half_rate and self._odd

    def observe(self, measured: Measured, timings: Timings) -> None:
        """Record the cost of a frame."""
        with self._lock:
            self._governor.observe(
                measured.now_s,
                measured.frame_ms,
                measured.cpu_ms,
                timings.latest,
                plan=self._applied,
            )
            self._take()

    def follow(self, settings: Settings, rate: float) -> None:
        """Update the user's settings and the frame rate."""
        with self._lock:
            self._governor.update(settings, rate)
            self._take()

    def _take(self) -> None:
        old, self._plan = self._plan, self._governor.plan
        if self._plan != old:
            self._changed.set()

    def _work(self, apply: Callable[[Plan], None]) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            if self._ended:
                return
            self._carry_out(apply)

    def _carry_out(self, apply: Callable[[Plan], None]) -> None:
        plan = self._plan
        try:
            apply(plan)
        except Exception as error:  # noqa: BLE001 - the next choice may do better
            logger.warning("the governor's choice cannot be carried out: %s", error)
        self._applied = plan  # also then, so that the governor looks for another one
