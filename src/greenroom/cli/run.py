"""``greenroom run``: a camera in, a virtual camera and a page out."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from greenroom.cli.options import settings_command
from greenroom.live.status import Showing
from greenroom.settings import Group, OnFailure, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from greenroom.live.session import Session
    from greenroom.live.starting import Live
    from greenroom.live.status import Status

__all__ = ["command"]

DEFAULT_PORT: Final = 8477
# SIGUSR2 covers whatever is so already: a key that is pressed twice does not show anybody.
_SIGNALS: Final = {"SIGUSR1": "switch", "SIGUSR2": "cover"}
# How often the main thread looks whether it is over; a window is drawn that often at least.
_ROUND_S: Final = 0.1
# How long the first frame may take before what is sent is said anyway.
_SAY_S: Final = 5.0


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
    says_preparing=True,
)
def run(  # noqa: PLR0913 - each is a flag
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")
    ] = DEFAULT_PORT,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the web browser.")
    ] = False,
    covered: Annotated[bool, typer.Option("--covered", help="Begin with the cover.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="End after so many seconds.", show_default=False)
    ] = None,
    settings: Settings,
    config: Path | None,
    flags: dict[str, Any],
) -> None:
    """Be seen in front of another background in video calls.

    Choose the camera "greenroom" in the call. The page at the address that is printed changes
    everything while it runs; space in the page, SIGUSR1 or greenroom cover on covers you.
    """
    from greenroom.live.starting import Launch, start_live  # noqa: PLC0415 - help stays fast

    settings = settings.changed(on_failure=OnFailure.COVER)
    with ExitStack() as opened:
        sessions: list[Session] = []
        early: list[str] = []  # what signals asked for before there was a session
        for name, request in _SIGNALS.items():  # before others are told that they are listened for
            number = getattr(signal, name, None)
            if number is not None:
                before = signal.signal(number, _asking(request, sessions, early))
                opened.callback(signal.signal, number, before)
        live = start_live(opened, settings, Launch(config, flags, port, covered=covered))
        session = live.session
        sessions.append(session)
        for request in early:
            session.request(request)
        told = threading.Event()
        opened.callback(told.set)
        threading.Thread(target=_tell, args=(live, told), daemon=True).start()
        if open_page and live.url:
            import webbrowser  # noqa: PLC0415 - loads on use

            # Some browsers do not return before they are closed.
            threading.Thread(target=webbrowser.open, args=(live.url,), daemon=True).start()
        _wait(live, seconds)
    if session.error is not None:
        raise session.error


command = run


def _asking(
    request: str, sessions: list[Session], early: list[str]
) -> Callable[[int, FrameType | None], None]:
    """Make a signal handler: it only passes the request on, so nothing is waited for."""

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        for session in sessions:
            session.request(request)
        if not sessions:
            early.append(request)

    return ask


def _wait(live: Live, seconds: float | None) -> None:
    """Wait for the end, on the main thread, which windows are drawn on."""
    end_s = None if seconds is None else time.monotonic() + seconds
    while not live.session.ended.is_set() and (end_s is None or time.monotonic() < end_s):
        for window in live.windows:
            window.pump(_ROUND_S)
        if not live.windows:
            live.session.ended.wait(_ROUND_S)


def _tell(live: Live, ended: threading.Event) -> None:
    """Say once what is being sent, and then when that changes."""
    changed = threading.Event()
    unsubscribe = live.session.subscribe(changed.set)
    with suppress(OSError, ValueError):  # nobody is listening any more
        _tell_changes(live, ended, changed)
    unsubscribe()


def _tell_changes(live: Live, ended: threading.Event, changed: threading.Event) -> None:
    end_s = time.monotonic() + _SAY_S
    said = ""
    while not ended.is_set() and not live.session.ended.is_set():
        status = live.session.status()
        background = live.session.settings.background
        if status.showing is Showing.PERSON and background == "none":  # the next frame tells
            changed.wait(_ROUND_S)
            changed.clear()
            continue
        starts = status.reason == "start" and status.showing is Showing.COVER
        if not said and not (starts and time.monotonic() < end_s):
            for line in _places(live, status):
                typer.echo(line)
        if said or not starts or time.monotonic() >= end_s:
            now = _sentence(status, background)
            if now != said:
                typer.echo(now, err=bool(said))
                said = now
        changed.wait(_ROUND_S if not said else _SAY_S)
        changed.clear()


def _places(live: Live, status: Status) -> list[str]:
    """Say where the picture goes."""
    width, height = status.size or (0, 0)
    capture = status.capture
    lines = [f"camera: {capture.name} ({capture.negotiated or capture.state.value})"]
    lines += [
        f"{outlet.name}: {outlet.device or outlet.state}, {width}x{height}"
        + (f" - {outlet.error}" if outlet.error else "")
        for outlet in status.outlets
        if outlet.name != "page"
    ]
    if live.url:
        lines.append(f"page: {live.url}")
    return lines


def _sentence(status: Status, background: str) -> str:
    """Say what is being sent."""
    if status.showing is Showing.CAMERA:
        return "sending the camera's own picture: YOUR ROOM IS VISIBLE (background none)"
    if status.showing is Showing.PERSON:
        return f"sending you in front of {background}"
    return f"sending the cover. {status.message}"
