"""Work of ``greenroom run``: signals, messages and the end of a live session."""

from __future__ import annotations

import logging
import shlex
import signal
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from greenroom.backgrounds import check_background
from greenroom.cli.downloads import fetch_weights
from greenroom.cli.options import ignore_signals
from greenroom.cli.page_client import open_page as open_in_browser
from greenroom.cli.run_messages import HeldWarnings, RunReporter, is_known
from greenroom.cli.standard_streams import say
from greenroom.desktop.instance import InstanceRecord, check_none_runs
from greenroom.desktop.launch import Launch, start_live
from greenroom.doctor import run_checks
from greenroom.errors import GreenroomError, SettingsError, SinkError
from greenroom.live.parts import check_live, wanted_rate
from greenroom.live.sources import check_live_source
from greenroom.media.decoding import STDIN
from greenroom.media.image_files import is_picture
from greenroom.media.paths import is_folder
from greenroom.media.workers import Worker
from greenroom.segmenters import check_model
from greenroom.segmenters.best import best_notice
from greenroom.settings import OnFailure
from greenroom.sinks.destinations import PAGE, create_live_sinks, destinations
from greenroom.specs import BACKGROUND_KINDS, source_kind
from greenroom.web.port import check_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from greenroom.desktop.launch import Live
    from greenroom.desktop.session import DesktopSession
    from greenroom.settings import Settings

__all__ = ["run"]

logger = logging.getLogger(__name__)

_HELP: Final = "greenroom run --help"
# SIGUSR2 always covers: a key that is pressed twice must not uncover the user.
_SIGNALS: Final = {"SIGUSR1": "switch", "SIGUSR2": "cover"}
# The main thread checks for the end, and draws windows, this often.
_POLL_S: Final = 0.1
# The status is checked this often even without a notification.
_STATUS_INTERVAL_S: Final = 1.0


def run(
    context: typer.Context,
    settings: Settings,
    *,
    port: int,
    open_page: bool,
    covered: bool,
    seconds: float | None,
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Check the arguments, and run a live session until it ends.

    Raises
    ------
    GreenroomError
        Of the subclass for the first argument that cannot be used, or for what ended the session.
    """
    if context.args:
        raise _unexpected_name(context.args[0])
    _check(settings, port)
    if notice := best_notice(settings):
        say(notice)
    fetch_weights(settings)
    settings = settings.changed(on_failure=OnFailure.COVER)
    with ExitStack() as opened:
        sessions: list[DesktopSession] = []
        early: list[str] = []  # requests by signals that came before the session existed
        for name, request in _SIGNALS.items():  # before the instance record announces them
            number = getattr(signal, name, None)
            if number is not None:
                before = signal.signal(number, _request_handler(request, sessions, early))
                # The default action would kill the process before it has cleaned up.
                after = signal.SIG_IGN if before == signal.SIG_DFL else before
                opened.callback(signal.signal, number, after)
        held = HeldWarnings()
        log = logging.getLogger("greenroom.live.outlets")
        log.addFilter(held)
        opened.callback(log.removeFilter, held)
        opened.callback(held.release)
        live = start_live(
            opened, settings, Launch(run_checks, config, flags, port, covered=covered)
        )
        session = live.session
        sessions.append(session)
        for request in early:
            session.request(request)
        told = threading.Event()
        opened.callback(told.set)
        reporter = RunReporter(live.url, session.status().plan, time.monotonic())
        Worker(lambda: _report_changes(live, reporter, held, told), "messages", ended=told).start()
        if open_page and live.url:
            # With some browsers the call returns only when they are closed.
            threading.Thread(target=_open, args=(live.url,), daemon=True).start()
        opened.callback(ignore_signals)  # while recordings are completed
        _wait(live, seconds)
        held.release(str(session.error or ""))
    if session.error is not None:
        raise session.error


def _check(settings: Settings, port: int) -> None:
    """Check everything that is opened later, except devices and addresses."""
    check_live(settings)
    has_page = any(kind == PAGE for kind, _ in destinations(settings))
    check_none_runs()
    if has_page:
        check_port(port)
    for sink in create_live_sinks(settings, wanted_rate(settings)):
        sink.abort()
    check_background(settings)
    check_model(settings)
    check_live_source(settings)


def _unexpected_name(name: str) -> SettingsError:
    """Make the error for a name without an option; it suggests the option that may be meant."""
    path = Path(name)
    quoted = shlex.quote(name)
    background, source = f"--background {quoted}", f"--source {quoted}"
    if is_picture(path) or is_folder(path) or name.partition(":")[0] in BACKGROUND_KINDS:
        hint = f"To have it behind you: greenroom run {background}"
    elif name.isdigit() or name.startswith("/dev/") or source_kind(name) is not None:
        hint = f"It belongs to --source: greenroom run {source}"
    elif path.suffix and name != STDIN:
        hint = (
            f"To play it in the camera's place: greenroom run {source}. To have it behind you: "
            f"greenroom run {background}"
        )
    else:
        hint = f"What is behind you follows --background, a camera --source: see {_HELP}"
    message = f"greenroom run takes no name without an option, such as '{name}'. {hint}"
    return SettingsError(message)


def _request_handler(
    request: str, sessions: list[DesktopSession], early: list[str]
) -> Callable[[int, FrameType | None], None]:
    """Make a signal handler that passes a request on without blocking."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        for session in sessions:
            session.request(request)
        if not sessions:
            early.append(request)

    return ask


def _open(url: str) -> None:
    """Open the page; a failure is only logged."""
    try:
        open_in_browser(InstanceRecord(url=url))
    except GreenroomError as error:
        logger.warning("%s", error)


def _wait(live: Live, seconds: float | None) -> None:
    """Wait for the end on the main thread, and draw windows meanwhile."""
    end_s = None if seconds is None else time.monotonic() + seconds
    while not live.session.ended.is_set() and (end_s is None or time.monotonic() < end_s):
        for window in live.windows:
            window.pump(_POLL_S)
        if not live.windows:
            live.session.ended.wait(_POLL_S)


def _report_changes(
    live: Live, reporter: RunReporter, held: HeldWarnings, ended: threading.Event
) -> None:
    """Print what is being sent, and each change of it."""
    changed = threading.Event()
    unsubscribe = live.session.subscribe(changed.set)
    with suppress(OSError, SinkError, ValueError):  # standard output was closed
        while not ended.is_set() and not live.session.ended.is_set():
            status = live.session.status()
            background = live.session.settings.background
            for line in reporter.tell(status, background, time.monotonic()):
                typer.echo(line.text, err=not line.is_result)
            if reporter.has_begun and (reporter.is_late or is_known(status, live.url)):
                held.release()
            changed.wait(_STATUS_INTERVAL_S if reporter.has_begun else _POLL_S)
            changed.clear()
    unsubscribe()
