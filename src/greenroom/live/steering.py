"""Steering: applies the governor's plans to the engine.

A model may take seconds to load, so that is done on a thread of its own, while frames go on. The
thread is there only while there is a plan to apply.
"""

from __future__ import annotations

import logging
import threading
from functools import partial
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

    State: the plan in force, and a thread while a new one is applied.
    """

    def __init__(self, governor: Governor) -> None:
        self._governor = governor
        self._lock = threading.Lock()
        self._plan: Plan = governor.plan
        self._applied: Plan | None = None
        self._odd = False
        self._apply: Callable[[Plan], None] | None = None
        self._on_fault: Callable[[WorkerFailure], None] | None = None
        self._is_due = False  # whether a plan is to be applied
        self._ended = threading.Event()
        self._thread: Worker | None = None

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self._plan

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The thread that applies a plan; none while there is nothing to apply."""
        thread = self._thread
        return () if thread is None else (thread,)

    @property
    def said(self) -> tuple[str, str]:
        """Plan and reason, as sentences."""
        return self._plan.text, self._plan.reason

    def start(
        self, apply: Callable[[Plan], None], on_fault: Callable[[WorkerFailure], None] | None = None
    ) -> None:
        """Apply the plan, and each new one: ``apply`` is called on a thread of its own.

        If that thread fails, ``on_fault`` is called, and the thread is restarted.
        """
        with self._lock:
            self._apply, self._on_fault = apply, on_fault
            self._set_due()

    def stop(self) -> None:
        """End; a thread that hangs is abandoned."""
        with self._lock:  # none is started any more
            self._ended.set()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=_END_S)

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
        """Note the governor's plan. Called with the lock."""
        old, self._plan = self._plan, self._governor.plan
        if self._plan != old:
            self._set_due()

    def _set_due(self) -> None:
        """Have the plan applied by the running thread or a new one. Called with the lock."""
        self._is_due = True
        if self._apply is None or self._ended.is_set():
            return
        if self._thread is None or not self._thread.is_alive():
            work = partial(self._work, self._apply)
            self._thread = Worker(work, "steering", on_fault=self._take_fault, ended=self._ended)
            self._thread.start()

    def _take_fault(self, fault: WorkerFailure) -> None:
        self._is_due = True  # the plan is still to be applied
        if self._on_fault is not None:
            self._on_fault(fault)

    def _work(self, apply: Callable[[Plan], None]) -> None:
        while self._is_wanted():
            self._carry_out(apply)

    def _is_wanted(self) -> bool:
        """Whether there is a plan to apply; if not, this thread ends: the next plan starts one."""
        with self._lock:
            is_due, self._is_due = self._is_due, False
            if is_due and not self._ended.is_set():
                return True
            self._thread = None
            return False

    def _carry_out(self, apply: Callable[[Plan], None]) -> None:
        plan = self._plan
        try:
            apply(plan)
        except Exception as error:  # the next plan may work
            logger.warning("the governor's choice cannot be carried out: %s", error)
            logger.debug("%s", plan, exc_info=True)
        self._applied = plan  # even after an error, so that the governor chooses another plan
