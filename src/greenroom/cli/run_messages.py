"""What ``greenroom run`` says while it runs: where the picture goes, what is sent, and changes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.live.status import Showing

if TYPE_CHECKING:
    from greenroom.desktop.session import DesktopStatus
    from greenroom.live.status import OutletStatus

__all__ = ["HeldWarnings", "Line", "RunReporter", "is_known"]

# How long the first frame, and sinks that wait for it, may take before what is so is said anyway.
_FIRST_REPORT_TIMEOUT_S: Final = 5.0
# Changes of the plan are said this often at most.
_PLAN_INTERVAL_S: Final = 2.0
# So long after the cover was asked for a sink that has not taken it is told of.
_COVER_GRACE_S: Final = 0.5


class Line(NamedTuple):
    """Something to be said.

    Attributes
    ----------
    text : str
        One line.
    is_result : bool
        Whether it belongs on standard output; the others are messages.
    """

    text: str
    is_result: bool


class RunReporter:
    """Tells what a session does from what is known of it, each thing once.

    Parameters
    ----------
    url : str
        The page; empty without one.
    plan : str
        What the governor had chosen at the start, which is not said.
    now_s : float
        When the session began.

    Notes
    -----
    State: what was said, and when.
    """

    def __init__(self, url: str, plan: str, now_s: float) -> None:
        self._url = url
        self._end_s = now_s + _FIRST_REPORT_TIMEOUT_S
        self.is_late = False
        """Whether what is so is said though not all sinks have begun."""
        self._places: list[str] | None = None
        self._sentence = ""
        self._file_error = ""
        self._lacks_since_s: float | None = None  # since when some sinks are without the cover
        self._plan = plan
        self._plan_s = now_s - _PLAN_INTERVAL_S

    @property
    def has_begun(self) -> bool:
        """Whether it was said where the picture goes and what is sent."""
        return bool(self._sentence)

    def tell(self, status: DesktopStatus, background: str, now_s: float) -> list[Line]:
        """Return what is to be said now.

        Parameters
        ----------
        status : DesktopStatus
            Of the session.
        background : str
            The setting.
        now_s : float
            The time.
        """
        if status.showing is Showing.PERSON and background == "none":
            return []  # the next frame tells
        self.is_late = now_s >= self._end_s
        lines: list[Line] = []
        if self._places is None:
            starts = status.reason == "start" and status.showing is Showing.COVER
            # That the room is visible is never said late.
            waits = status.showing is not Showing.CAMERA and not is_known(status, self._url)
            if not self.is_late and (starts or waits):
                return []
            lines += [Line(text, is_result=True) for text in self._first(status)]
        lines += [Line(text, is_result=False) for text in self._changed_places(status)]
        lines += self._about_file(status)
        lines += self._sent(status, background, now_s)
        lines += self._chosen(status, now_s)
        return lines

    def _first(self, status: DesktopStatus) -> list[str]:
        """Say where the picture comes from, and where it goes."""
        capture = status.capture
        lines = [f"source: {capture.name} ({capture.negotiated or capture.state.value})"]
        lines += [_place(outlet, status) for outlet in _sinks(status)]
        self._places = [_reached(outlet) for outlet in _sinks(status)]
        return [*lines, *([f"page: {self._url}"] if self._url else [])]

    def _changed_places(self, status: DesktopStatus) -> list[str]:
        """Say which places are reached now, and were not; why not is a warning of their own."""
        lines = []
        places = self._places or []
        for number, outlet in enumerate(_sinks(status)):
            reached = _reached(outlet)
            if reached and reached != places[number]:
                lines.append(_place(outlet, status))
            if reached or outlet.state == "failed":  # stalled changes nothing
                places[number] = reached
        return lines

    def _sent(self, status: DesktopStatus, background: str, now_s: float) -> list[Line]:
        if not status.without_cover:
            self._lacks_since_s = None
        elif self._lacks_since_s is None:
            self._lacks_since_s = now_s
        if self._lacks_since_s is not None and now_s - self._lacks_since_s < _COVER_GRACE_S:
            return []  # sinks take the cover one after the other
        now = _sentence(status, background)
        if now == self._sentence:
            return []
        is_first, self._sentence = not self._sentence, now
        return [Line(now, is_result=is_first)]

    def _about_file(self, status: DesktopStatus) -> list[Line]:
        """Say what is wrong with the settings file since it was edited, and that it was mended."""
        if status.config_error == self._file_error:
            return []
        self._file_error = status.config_error
        said = status.config_error or f"settings file '{status.config}' is in order again."
        return [Line(said, is_result=False)]

    def _chosen(self, status: DesktopStatus, now_s: float) -> list[Line]:
        """Say what the governor chose, and why; the last of several that come together."""
        if status.plan == self._plan or now_s - self._plan_s < _PLAN_INTERVAL_S:
            return []
        self._plan, self._plan_s = status.plan, now_s
        return [Line(f"governor: {status.plan} {status.plan_reason}".rstrip(), is_result=False)]


def is_known(status: DesktopStatus, url: str) -> bool:
    """Whether every sink has begun, or one failed; not where that is about to end the session."""
    states = [
        "waiting" if outlet.state == "stalled" and not outlet.frames else outlet.state
        for outlet in _sinks(status)
    ]
    if states and not url and all(state == "failed" for state in states):
        return False
    return "failed" in states or "waiting" not in states


class HeldWarnings(logging.Filter):
    """Keeps warnings back until it is known whether one of them ends the command.

    A filter of the logger of `greenroom.live.outlets`. Warnings may come on any thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._held: list[logging.LogRecord] | None = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a record, until `release` was called."""
        with self._lock:
            if self._held is not None:
                self._held.append(record)
            return self._held is None

    def release(self, error: str = "") -> None:
        """Let all out, except for those that say what the command's error says."""
        with self._lock:
            held, self._held = self._held or [], None
        for record in held:
            if not error or error not in record.getMessage():
                logging.getLogger(record.name).handle(record)


def _sinks(status: DesktopStatus) -> list[OutletStatus]:
    """Return where the picture goes; the page is named by its address."""
    return [outlet for outlet in status.outlets if outlet.name != "page"]


def _reached(outlet: OutletStatus) -> str:
    """Return what a sink reaches; empty if it reaches nothing."""
    return outlet.device or outlet.state if outlet.state == "running" else ""


def _place(outlet: OutletStatus, status: DesktopStatus) -> str:
    if outlet.state == "failed":  # its warning says why
        return f"{outlet.name}: failed, and is tried again"
    width, height = status.size or (0, 0)
    return f"{outlet.name}: {outlet.device or outlet.state}, {width}x{height}"


def _sentence(status: DesktopStatus, background: str) -> str:
    """Say what is being sent."""
    if status.without_cover:
        return status.message
    if status.showing is Showing.CAMERA:
        return "sending the camera's own picture: YOUR ROOM IS VISIBLE (background none)"
    if status.showing is Showing.PERSON:
        if background == "grayscale":
            return "sending you in colour: YOUR ROOM IS VISIBLE in grey (background grayscale)"
        return f"sending you in front of {background}"
    return f"sending the cover. {status.message}"
