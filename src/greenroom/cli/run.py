"""``greenroom run``: from a camera to a virtual camera and a page."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from greenroom.cli.options import ignore_signals, settings_command
from greenroom.cli.page_client import open_page
from greenroom.cli.preflight import check_run, unexpected_name_error
from greenroom.cli.run_messages import HeldWarnings, RunReporter, is_known
from greenroom.desktop.instance import InstanceRecord
from greenroom.doctor import run_checks
from greenroom.errors import GreenroomError, SinkError
from greenroom.media.workers import Worker
from greenroom.settings import Group, OnFailure, Settings
from greenroom.web.port import DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from greenroom.desktop.launch import Live
    from greenroom.desktop.session import DesktopSession

__all__ = ["command"]

logger = logging.getLogger(__name__)

# SIGUSR2 always covers: a key that is pressed twice must not uncover the user.
_SIGNALS: Final = {"SIGUSR1": "switch", "SIGUSR2": "cover"}
# The main thread checks for the end, and draws windows, this often.
_POLL_S: Final = 0.1
# The status is checked this often even without a notification.
_STATUS_INTERVAL_S: Final = 1.0


def _check(settings: Settings, values: dict[str, Any]) -> None:
    names = values["context"].args
    if names:
        raise unexpected_name_error(names[0])
    check_run(settings, values["port"])


@settings_command(
    Group.BACKGROUND,
    Group.MODEL,
    Group.STAYS,
    Group.EDGE,
    Group.SCENE,
    Group.PICTURE,
    Group.CAMERA,
    Group.LIVE,
    Group.FAILURE,
    Group.OUTPUT,
    check=_check,
    loads="greenroom.desktop.launch",
)
def run(
    context: typer.Context,  # noqa: ARG001 - read by _check
    *,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port of the page, if --to has one; 0 takes a free one."
        ),
    ] = DEFAULT_PORT,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the web browser.")
    ] = False,
    covered: Annotated[bool, typer.Option("--covered", help="Begin with the cover.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=1e9,
            help="End after so many seconds.",
            show_default=False,
        ),
    ] = None,
    settings: Settings,
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Be seen in front of another background in video calls.

    Choose the camera "greenroom" in the call. The page at the address that is printed changes
    everything while it runs. Space in the page, SIGUSR1 or greenroom cover toggle covers you or
    ends that; SIGUSR2 or greenroom cover on covers you, whatever is so.
    """
    from greenroom.desktop.launch import Launch, start_live

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


command = run


def _request_handler(
    request: str, sessions: list[DesktopSession], early: list[str]
) -> Callable[[int, FrameType | None], None]:
    """Make a signal handler that passes a request on without blocking."""

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for session in sessions:
            session.request(request)
        if not sessions:
            early.append(request)

    return ask


def _open(url: str) -> None:
    """Open the page; a failure is only logged."""
    try:
        open_page(InstanceRecord(url=url))
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
