"""Messages of ``greenroom run``: sinks, output, and their changes."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.live.status import Showing
from greenroom.specs import BACKGROUND_KINDS

if TYPE_CHECKING:
    from greenroom.desktop.session import DesktopStatus
    from greenroom.live.status import OutletStatus

__all__ = ["HeldWarnings", "Line", "RunReporter", "is_known"]

# Time-out for the first frame and for waiting sinks, after which the state is reported anyway.
_FIRST_REPORT_TIMEOUT_S: Final = 5.0
# Shortest time between two reports of the governor's plan.
_PLAN_INTERVAL_S: Final = 2.0
# A sink that has not taken the cover is reported this long after the cover was requested.
_COVER_GRACE_S: Final = 0.5


class Line(NamedTuple):
    """One message.

    Attributes
    ----------
    text : str
        One line.
    is_result : bool
        Whether it goes to standard output; otherwise to standard error.
    """

    text: str
    is_result: bool


class RunReporter:
    """Turns the status of a session into messages, each of them once.

    Parameters
    ----------
    url : str
        Address of the page; empty without one.
    plan : str
        The governor's plan at the start, which is not reported.
    now_s : float
        Time at which the session began.

    Notes
    -----
    State: the messages already given, and when.
    """

    def __init__(self, url: str, plan: str, now_s: float) -> None:
        self._url = url
        self._end_s = now_s + _FIRST_REPORT_TIMEOUT_S
        self.is_late = False
        """Whether the first report is made although not all sinks have begun."""
        self._places: list[str] | None = None
        self._sentence = ""
        self._file_error = ""
        self._lacks_since_s: float | None = None  # when a sink was first found without the cover
        self._plan = plan
        self._plan_s = now_s - _PLAN_INTERVAL_S

    @property
    def has_begun(self) -> bool:
        """Whether the first report was made: the sinks, and what is sent."""
        return bool(self._sentence)

    def tell(self, status: DesktopStatus, background: str, now_s: float) -> list[Line]:
        """Return the messages that are due.

        Parameters
        ----------
        status : DesktopStatus
            Status of the session.
        background : str
            The setting ``background``.
        now_s : float
            The present time.
        """
        if status.showing is Showing.PERSON and background == "none":
            return []  # the status does not know yet that the camera's own picture is sent
        self.is_late = now_s >= self._end_s
        lines: list[Line] = []
        if self._places is None:
            starts = status.reason == "start" and status.showing is Showing.COVER
            # That the room is visible is reported at once.
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
        """Report the source, the sinks and the page."""
        capture = status.capture
        lines = [f"source: {capture.name} ({capture.negotiated or capture.state.value})"]
        lines += [_place(outlet, status) for outlet in _sinks(status)]
        self._places = [_reached(outlet) for outlet in _sinks(status)]
        return [*lines, *([f"page: {self._url}"] if self._url else [])]

    def _changed_places(self, status: DesktopStatus) -> list[str]:
        """Report sinks that run again; failures are logged as warnings elsewhere."""
        lines = []
        places = self._places or []
        for number, outlet in enumerate(_sinks(status)):
            reached = _reached(outlet)
            if reached and reached != places[number]:
                lines.append(_place(outlet, status))
            if reached or outlet.state == "failed":  # a stall alone is no change
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
        """Report an error in the edited settings file, and its correction."""
        if status.config_error == self._file_error:
            return []
        self._file_error = status.config_error
        said = status.config_error or f"settings file '{status.config}' is in order again."
        return [Line(said, is_result=False)]

    def _chosen(self, status: DesktopStatus, now_s: float) -> list[Line]:
        """Report the governor's plan and its reason, at most every `_PLAN_INTERVAL_S`."""
        if status.plan == self._plan or now_s - self._plan_s < _PLAN_INTERVAL_S:
            return []
        self._plan, self._plan_s = status.plan, now_s
        return [Line(f"governor: {status.plan} {status.plan_reason}".rstrip(), is_result=False)]


def is_known(status: DesktopStatus, url: str) -> bool:
    """Whether every sink has begun or one has failed, unless all failed: that ends the session."""
    states = [
        "waiting" if outlet.state == "stalled" and not outlet.frames else outlet.state
        for outlet in _sinks(status)
    ]
    if states and not url and all(state == "failed" for state in states):
        return False
    return "failed" in states or "waiting" not in states


class HeldWarnings(logging.Filter):
    """Logging filter that holds warnings back until it is known whether one ends the command.

    For the logger of `greenroom.live.outlets`. May be called on any thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._held: list[logging.LogRecord] | None = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Hold a record back until `release` is called."""
        with self._lock:
            if self._held is not None:
                self._held.append(record)
            return self._held is None

    def release(self, error: str = "") -> None:
        """Log the held records, except those that repeat the command's error."""
        with self._lock:
            held, self._held = self._held or [], None
        for record in held:
            if not error or error not in record.getMessage():
                logging.getLogger(record.name).handle(record)


def _sinks(status: DesktopStatus) -> list[OutletStatus]:
    """Return the sinks without the page, which is reported by its address."""
    return [outlet for outlet in status.outlets if outlet.name != "page"]


def _reached(outlet: OutletStatus) -> str:
    """Return the device or state of a sink that runs, or an empty string."""
    return outlet.device or outlet.state if outlet.state == "running" else ""


def _place(outlet: OutletStatus, status: DesktopStatus) -> str:
    if outlet.state == "failed":  # a warning says why
        return f"{outlet.name}: failed, and is tried again"
    width, height = status.size or (0, 0)
    return f"{outlet.name}: {outlet.device or outlet.state}, {width}x{height}"


def _sentence(status: DesktopStatus, background: str) -> str:
    """Describe what is being sent."""
    if status.without_cover:
        return status.message
    if status.showing is Showing.CAMERA:
        return "sending the camera's own picture: YOUR ROOM IS VISIBLE (background none)"
    if status.showing is Showing.PERSON:
        kind = BACKGROUND_KINDS.get(background.partition(":")[0])
        if kind is not None and kind.room_warning:
            visible = f"YOUR ROOM IS VISIBLE {kind.room_look}".rstrip()
            return f"sending you in colour: {visible} (background {background})"
        return f"sending you in front of {background}"
    return f"sending the cover. {status.message}"
