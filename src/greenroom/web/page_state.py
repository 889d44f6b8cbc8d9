"""State shared by the page's routes, and the interface of the session they control."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from greenroom.live.listeners import Listeners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from greenroom.live.status import Status
    from greenroom.media.frame import Frame
    from greenroom.settings import Settings
    from greenroom.web.access import Access
    from greenroom.web.gallery import Gallery

__all__ = ["LivePreview", "LivePreviews", "LiveSession", "PageState", "run_quick", "run_slow"]

# Concurrent calls that may take seconds, such as loading a model.
_SLOW_CALLS: Final = 8
# Concurrent calls that never take long. The slow ones must not delay them, above all the cover.
_QUICK_CALLS: Final = 16

Result = TypeVar("Result")


class LivePreview(Protocol):
    """Preview for one open page; `next` is called on one thread at a time."""

    def next(self, timeout_s: float) -> Mapping[str, Frame] | None:
        """Return the newest views by name, or None after a timeout."""

    def want(self, views: frozenset[str]) -> None:
        """Choose the views: ``after``, ``before``, ``matte``."""

    def close(self) -> None:
        """End the preview."""


class LivePreviews(Protocol):
    """Source of previews."""

    def open(self, views: frozenset[str]) -> LivePreview:
        """Open a preview."""


class LiveSession(Protocol):
    """Interface of a live session for the page. Everything may be called on any thread."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    @property
    def previews(self) -> LivePreviews:
        """Previews for open pages."""

    def update(self, **values: Any) -> None:
        """Change all the given settings or none; may block while a model loads."""

    def cover(self, *, on: bool) -> None:
        """Cover the user, or show them again."""

    def status(self) -> Status:
        """Return a snapshot of the session's state."""

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function, on any thread, at changes; return a function that ends this."""

    def snapshot(self) -> Frame:
        """Return the frame that is being sent."""

    @property
    def saved(self) -> bool:
        """Whether all changes of settings are saved to the settings file."""

    def save(self) -> Path:
        """Write changed settings to the settings file; return its path."""


@dataclass
class PageState:
    """State shared by the routes.

    Attributes
    ----------
    session : LiveSession
        The session to control.
    gallery : Gallery
        The backgrounds to choose from.
    access : Access
        Authentication, and the port of the page.
    run_checks : callable
        Runs the doctor's checks for settings; returns findings, which are dataclasses.
    backgrounds_version : int
        Number that grows with every change of the gallery.
    """

    session: LiveSession
    gallery: Gallery
    access: Access
    run_checks: Callable[[Settings], Sequence[Any]]
    _listeners: Listeners = field(default_factory=Listeners)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    backgrounds_version: int = 0

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function, on any thread, when the session or the page's state changes."""
        ended_here = self._listeners.add(listener)
        ended = self.session.subscribe(listener)

        def end() -> None:
            ended()
            ended_here()

        return end

    def changed(self, *, backgrounds: bool = False) -> None:
        """Notify every open page of a change outside the session."""
        with self._lock:
            self.backgrounds_version += backgrounds
        self._listeners.tell()

    def settings(self) -> dict[str, Any]:
        """Return the settings in force, and whether all changes are saved."""
        session = self.session
        return {"settings": session.settings.model_dump(mode="json"), "saved": session.saved}


_slow: RunVar[anyio.CapacityLimiter] = RunVar("slow calls")
_quick: RunVar[anyio.CapacityLimiter] = RunVar("quick calls")


async def run_slow(
    function: Callable[..., Result],
    *arguments: Any,
) -> Result:
    """Call a function that may block on a worker thread, which is abandoned if the page ends."""
    return await _on_thread(_slow, _SLOW_CALLS, partial(function, *arguments))


async def run_quick(
    function: Callable[..., Result],
    *arguments: Any,
) -> Result:
    """Call a function that hardly blocks on a worker thread that slow calls cannot occupy."""
    return await _on_thread(_quick, _QUICK_CALLS, partial(function, *arguments))


async def _on_thread(
    limiters: RunVar[anyio.CapacityLimiter], calls: int, function: Callable[[], Result]
) -> Result:
    limiter = limiters.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(calls)
        limiters.set(limiter)
    return await anyio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=limiter)
