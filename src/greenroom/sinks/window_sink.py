"""Desktop window for the output, by SDL through pygame-ce (the extra ``window``).

SDL must be used on one thread, on macOS the main one. So `WindowSink.write` only stores the frame,
and `WindowSink.pump`, which the main thread calls, does everything else.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from greenroom.errors import MissingExtraError, SinkError
from greenroom.media.colour import FULL_RANGE_RGB
from greenroom.sinks.packing import over_cover_colour
from greenroom.sinks.sink import LiveSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.media.frame import Frame

__all__ = ["WindowSink", "fit_into"]

TITLE: Final = "greenroom"
_CLOSING_KEYS: Final = frozenset({"q", "escape"})
_KEYS: Final = _CLOSING_KEYS | {"space"}
# Largest initial size of the window, in pixels.
_MAX_SIZE: Final = (1280, 720)
# Interval of checks for keys while no frame comes.
_EVENT_INTERVAL_S: Final = 0.02
# Time that `write` waits for the window to open, so that it can report a failure.
_OPEN_S: Final = 1.0
# Drivers without visible output, which SDL uses where there is no screen.
_INVISIBLE_DRIVERS: Final = frozenset({"offscreen", "dummy", "evdev"})


class WindowSink(LiveSink):
    """Shows the output in a resizable window, not mirrored.

    Attributes
    ----------
    on_key : callable or None
        Called with ``space``, ``q`` or ``escape`` when such a key is pressed.
    on_close : callable or None
        Called when the user closes the window, by ``q``, by ``escape`` or by its button.

    Raises
    ------
    MissingExtraError
        If pygame-ce is not installed.

    Notes
    -----
    `write`, `close`, `abort` and `readers` may be called on any thread. Both callables are called
    on the thread that calls `pump`, which owns the window.
    State: the newest frame, and the window.
    """

    name = "window"
    paced = False
    always = False

    def __init__(self) -> None:
        if importlib.util.find_spec("pygame") is None:
            message = "a window needs pygame-ce. Install it: pip install 'greenroom[window]'"
            raise MissingExtraError(message)
        self.device = ""
        self.on_key: Callable[[str], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._newest: Frame | None = None
        self._shown: Frame | None = None
        self._came = threading.Event()
        self._tried = threading.Event()  # set once opening succeeded or failed
        self._screen: Any = None
        self._error = ""
        self._closed = False
        self._hidden = False
        self._owner: int | None = None

    def write(self, frame: Frame) -> None:
        """See `Sink.write`. The frame is shown by the next `pump`; only the newest is kept.

        The first frame waits up to a second for `pump` to open the window, on its thread.

        Raises
        ------
        SinkError
            If no window could be opened for this frame or the one before.
        """
        self._raise_error()
        with self._lock:
            self._newest = frame
        self._came.set()
        if self._owner not in (None, threading.get_ident()):
            self._tried.wait(_OPEN_S)
            self._raise_error()

    def pump(self, timeout_s: float) -> None:
        """Handle keys and show the newest frame, for up to `timeout_s`; always on the same thread.

        Returns once a frame was shown or the window is closed. Errors are raised by the next
        `write`, on the thread of the frames.
        """
        self._owner = threading.get_ident()
        end_s = time.monotonic() + timeout_s
        while True:
            if self._closed:
                self._destroy()
                return
            self._handle_events()
            remaining_s = end_s - time.monotonic()
            if self._came.wait(max(0.0, min(_EVENT_INTERVAL_S, remaining_s))):
                self._came.clear()
                self._show()
                return
            if remaining_s <= 0:
                return

    def close(self) -> None:
        """See `Sink.close`. Called on another thread, the next `pump` removes the window."""
        self._closed = True
        self._tried.set()
        if threading.get_ident() == self._owner:
            self._destroy()

    def abort(self) -> None:
        """See `Sink.abort`. The next frame opens the window again."""
        with self._lock:
            self._newest = None
        if self._screen is None:
            self._tried.clear()

    def readers(self) -> int | None:
        """See `LiveSink.readers`: 0 while the window is minimised or closed."""
        return 0 if self._hidden or self._closed else 1

    def _raise_error(self) -> None:
        with self._lock:
            error, self._error = self._error, ""
        if error:
            raise SinkError(error, self.name)

    def _handle_events(self) -> None:
        if self._screen is None:
            return
        pygame = _pygame()
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                self._close_by_user()
            elif event.type == pygame.KEYDOWN:
                self._press(pygame.key.name(event.key))
            elif event.type in (pygame.WINDOWMINIMIZED, pygame.WINDOWHIDDEN):
                self._hidden = True
            elif event.type in (pygame.WINDOWRESTORED, pygame.WINDOWSHOWN):
                self._hidden = False
            elif event.type in (pygame.WINDOWSIZECHANGED, pygame.WINDOWEXPOSED):
                self._redraw()

    def _press(self, key: str) -> None:
        if key not in _KEYS:
            return
        if self.on_key is not None:
            self.on_key(key)
        if key in _CLOSING_KEYS:
            self._close_by_user()

    def _close_by_user(self) -> None:
        self._closed = True
        if self.on_close is not None:
            self.on_close()

    def _show(self) -> None:
        with self._lock:
            frame, self._newest = self._newest, None
        if frame is None:
            return
        try:
            self._draw(frame)
        except Exception as error:  # noqa: BLE001 - it is raised where the frame came from
            with self._lock:
                self._error = _error_text(error)
        self._tried.set()

    def _redraw(self) -> None:
        """Show the last frame again, unless a newer one waits."""
        with self._lock:
            if self._newest is None:
                self._newest = self._shown
        self._came.set()

    def _draw(self, frame: Frame) -> None:
        if self._screen is None:
            self._screen = self._open(frame.size)
        pygame = _pygame()
        screen = self._screen
        left, top, width, height = fit_into(frame.size, screen.get_size())
        layout = replace(
            frame.layout, width=width, height=height, format="gbrp", colour=FULL_RANGE_RGB
        )
        rgb = over_cover_colour(frame).converted(layout).to_rgb()
        screen.fill((0, 0, 0))
        screen.blit(pygame.image.frombuffer(rgb.data, (width, height), "RGB"), (left, top))
        pygame.display.flip()
        self._shown = frame

    def _open(self, size: tuple[int, int]) -> Any:
        pygame = _pygame()
        pygame.display.init()  # and nothing else: no sound, no joysticks
        driver = pygame.display.get_driver()
        if driver.lower() in _INVISIBLE_DRIVERS - _requested_drivers():
            pygame.display.quit()
            message = f"there is no screen here, and nobody would see SDL's driver '{driver}'"
            raise SinkError(message, self.name)
        pygame.display.set_caption(TITLE)
        largest = fit_into(size, _MAX_SIZE)[2:]
        screen = pygame.display.set_mode(min(size, largest), pygame.RESIZABLE)
        self.device = f"{TITLE} ({driver})"
        return screen

    def _destroy(self) -> None:
        if self._screen is not None:
            self._screen = self._shown = None
            _pygame().display.quit()


def _pygame() -> Any:
    """Import pygame-ce, which is an extra, without its greeting."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    return importlib.import_module("pygame")


def fit_into(size: tuple[int, int], area: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a picture scaled into an area without distortion.

    The picture is centred.
    """
    scale = min(area[0] / size[0], area[1] / size[1])
    width, height = (
        max(1, min(limit, round(length * scale))) for length, limit in zip(size, area, strict=True)
    )
    return (area[0] - width) // 2, (area[1] - height) // 2, width, height


def _requested_drivers() -> frozenset[str]:
    """Return the drivers in SDL_VIDEODRIVER, of which SDL uses the first that works."""
    return frozenset(os.environ.get("SDL_VIDEODRIVER", "").lower().split(","))


def _error_text(error: Exception) -> str:
    return (
        f"a window cannot be shown: {error}. It needs a screen (on Linux, DISPLAY or "
        f"WAYLAND_DISPLAY is set there). Use the page instead: --to camera,page"
    )
