"""Launch of a live session with everything it needs."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.desktop.instance import Instance
from greenroom.desktop.page_key import load_key, renew_key
from greenroom.desktop.session import DesktopSession
from greenroom.desktop.settings_file import ConfigFile, default_config_path
from greenroom.engine.engine import VirtualBackground
from greenroom.live.governor import Governor
from greenroom.live.parts import SessionParts, check_live, wanted_rate
from greenroom.live.sources import create_live_source
from greenroom.live.status import Showing
from greenroom.live.steering import Steering
from greenroom.sinks.destinations import PAGE, create_live_sinks, destinations
from greenroom.sinks.window_sink import WindowSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from greenroom.settings import Settings

__all__ = ["Launch", "Live", "create_steering", "start_live"]

# Time-out of waiting for the first picture before the page is loaded.
_PICTURE_S: Final = 1.0
_LOOK_S: Final = 0.01


@dataclass(frozen=True)
class Live:
    """A running session with its page and windows.

    Attributes
    ----------
    session : Session
        Stopped with what it was started with.
    url : str
        Address of the page with its token; empty without a page.
    windows : list of WindowSink
        To be drawn on the main thread.
    """

    session: DesktopSession
    url: str
    windows: list[WindowSink]


@dataclass(frozen=True)
class Launch:
    """Launch options besides the settings.

    Attributes
    ----------
    run_checks : callable
        Inspects this machine for settings and ``config=``, for the page.
    config : Path or None
        The settings file, followed while running; None means the user's own, once it is there.
    flags : dict
        What flags said: it takes precedence over what is edited in the file.
    port : int
        Of the page, if the settings have one; 0 takes a free one.
    covered : bool
        Begin with the cover.
    """

    run_checks: Callable[..., Sequence[Any]]
    config: Path | None = None
    flags: dict[str, Any] = field(default_factory=dict)
    port: int = 0
    covered: bool = False


def start_live(opened: ExitStack, settings: Settings, launch: Launch) -> Live:
    """Start a session; what it needs is closed by ``opened``.

    Parameters
    ----------
    opened : ExitStack
        Ends everything.
    settings : Settings
        With flags and settings file.
    launch : Launch
        The rest.

    Raises
    ------
    GreenroomError
        If greenroom runs already, or something that the settings name cannot be used.
    """
    check_live(settings)
    instance = Instance()
    opened.enter_context(instance)
    file = ConfigFile(launch.config or default_config_path(), required=launch.config is not None)
    file.load()
    sinks = create_live_sinks(settings, wanted_rate(settings))
    has_page = any(kind == PAGE for kind, _ in destinations(settings))
    engine = VirtualBackground(settings)
    opened.callback(engine.close)
    parts = SessionParts(
        engine,
        sinks,
        create_live_source,
        has_page=has_page,
        steering=create_steering(settings),
    )
    session = DesktopSession(settings, parts, file, launch.flags.keys())
    session.cover(on=launch.covered)
    windows = [sink for sink in sinks if isinstance(sink, WindowSink)]
    for window in windows:
        window.on_key = lambda key: session.request("switch") if key == "space" else None
        window.on_close = lambda: session.request("stop")
        window.pump(0)  # the first call makes this thread the window's
        opened.callback(window.pump, 0)  # closes the window
    opened.callback(session.stop)
    covered = _Covered(session, instance)
    opened.callback(session.subscribe(covered.tell))
    start_page = partial(_start_page, opened, session, instance, launch, has_page=has_page)
    if windows:  # later this thread is busy drawing them
        url = start_page()
        session.start()
        covered.tell()
    else:
        session.start()
        covered.tell()
        _await_picture(session)
        url = start_page()
    return Live(session, url if has_page else "", windows)


def create_steering(settings: Settings) -> Steering:
    """Create the governor's steering for settings on this machine."""
    rate = float(wanted_rate(settings))
    return Steering(Governor(settings, rate=rate, cores=os.cpu_count() or 1))


def _await_picture(session: DesktopSession) -> None:
    """Wait for the first picture, since loading the page's modules would delay it.

    Returns at once if none is expected: the camera is missing, or closed for lack of consumers.
    """
    end_s = time.monotonic() + _PICTURE_S
    while not session.ended.is_set() and time.monotonic() < end_s:
        showing, reason, _ = session.gate.state()
        if showing is not Showing.COVER or reason != "start":
            return
        session.ended.wait(_LOOK_S)


def _start_page(
    opened: ExitStack,
    session: DesktopSession,
    instance: Instance,
    launch: Launch,
    *,
    has_page: bool,
) -> str:
    """Start the page; commands such as greenroom cover reach the session by it, too."""
    from greenroom.web.access import Access  # noqa: PLC0415 - the first picture waits for 0.3 s less
    from greenroom.web.server import PageServer  # noqa: PLC0415 - as above

    server = PageServer(
        session,
        run_checks=partial(launch.run_checks, config=launch.config),
        port=launch.port if has_page else 0,
        access=Access(load_key(), make_key=renew_key),
    )
    server.start()
    opened.callback(server.stop)
    opened.callback(server.access.subscribe(lambda: instance.announce(url=server.url)))
    instance.announce(url=server.url)
    return server.url


class _Covered:
    """Announces the cover to other processes."""

    def __init__(self, session: DesktopSession, instance: Instance) -> None:
        self._session = session
        self._instance = instance
        self._told: tuple[bool, tuple[str, ...]] | None = None
        self._lock = threading.Lock()  # keeps announcements in order

    def tell(self) -> None:
        """Announce a change."""
        with self._lock:
            covered, lacking = self._session.gate.covered, self._session.without_cover
            if (covered, lacking) != self._told:
                self._told = covered, lacking
                self._instance.announce(covered=covered, without_cover=lacking)
