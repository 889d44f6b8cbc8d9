"""``greenroom run``: a camera in, a virtual camera and a page out."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path  # noqa: TC003 - typer reads annotations
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from greenroom.cli.options import settings_command
from greenroom.live.status import Showing
from greenroom.settings import Group, OnFailure, Settings

if TYPE_CHECKING:
    from greenroom.live.session import Session
    from greenroom.live.starting import Live
    from greenroom.live.status import Status

__all__ = ["command"]

DEFAULT_PORT: Final = 8477
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
        if hasattr(signal, "SIGUSR1"):  # before others are told that it is listened for
            before = signal.signal(signal.SIGUSR1, lambda *_: _switch_cover(sessions))
            opened.callback(signal.signal, signal.SIGUSR1, before)
        live = start_live(opened, settings, Launch(config, flags, port, covered=covered))
        session = live.session
        sessions.append(session)
        told = threading.Event()
        opened.callback(told.set)
        threading.Thread(target=_tell, args=(live, told), daemon=True).start()
        if open_page and live.url:
            import webbrowser  # noqa: PLC0415 - loads on use

            webbrowser.open(live.url)
        _wait(live, seconds)
    if session.error is not None:
        raise session.error


command = run


def _switch_cover(sessions: list[Session]) -> None:
    """Cover, or uncover: in a signal handler, so nothing is waited for."""
    for session in sessions:
        session.request("cover")


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
    end_s = time.monotonic() + _SAY_S
    said = ""
    while not ended.is_set() and not live.session.ended.is_set():
        status = live.session.status()
        starts = status.reason == "start" and status.showing is Showing.COVER
        if not said and not (starts and time.monotonic() < end_s):
            for line in _places(live, status):
                typer.echo(line)
        if said or not starts or time.monotonic() >= end_s:
            now = _sentence(status, live.session.settings.background)
            if now != said:
                typer.echo(now, err=bool(said))
                said = now
        changed.wait(_ROUND_S if not said else _SAY_S)
        changed.clear()
    unsubscribe()


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
