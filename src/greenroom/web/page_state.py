"""What the page needs of a live session, and what all its routes share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from greenroom.live.status import Status
    from greenroom.media.frame import Frame
    from greenroom.settings import Settings
    from greenroom.web.access import Access
    from greenroom.web.gallery import Gallery

__all__ = ["LivePreview", "LivePreviews", "LiveSession", "PageState", "run_quick", "run_slow"]

# Calls that may take seconds, such as loading a model, at the same time; ...
_SLOW_CALLS: Final = 8
# ... and those that never do, which are not to wait for the others: the cover above all.
_QUICK_CALLS: Final = 16

Result = TypeVar("Result")


class LivePreview(Protocol):
    """What one open page sees; `next` is called on one thread at a time."""

    def next(self, timeout_s: float) -> Mapping[str, Frame] | None:
        """Return the newest views by name, or None if there are none in time."""

    def want(self, views: frozenset[str]) -> None:
        """Say which views are wanted: ``after``, ``before``, ``matte``."""

    def close(self) -> None:
        """See no more."""


class LivePreviews(Protocol):
    """Gives previews."""

    def open(self, views: frozenset[str]) -> LivePreview:
        """Begin to see."""


class LiveSession(Protocol):
    """A live session, as far as the page steers it. Everything may be called on any thread."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""

    @property
    def previews(self) -> LivePreviews:
        """What pages see."""

    def update(self, **values: Any) -> None:
        """Change settings, all of them or none; may take as long as a model takes to load."""

    def cover(self, on: bool) -> None:  # noqa: FBT001 - the one thing that it says
        """Cover the picture, or show it again."""

    def status(self) -> Status:
        """Tell how things are."""

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have a function called, on any thread, at changes; returns what ends that."""

    def snapshot(self) -> Frame:
        """Return what is being sent."""

    @property
    def saved(self) -> bool:
        """Whether nothing that was changed while running would be lost at the end."""

    def save(self) -> Path:
        """Write what was changed while running to the settings file; returns which it is."""


@dataclass
class PageState:
    """What the routes share.

    Attributes
    ----------
    session : LiveSession
        What is steered.
    gallery : Gallery
        The backgrounds to choose from.
    access : Access
        What lets in, and where the page is served.
    run_checks : callable
        Inspects this machine for settings; returns findings, which are dataclasses.
    backgrounds_version : int
        Another number after the gallery changed.
    """

    session: LiveSession
    gallery: Gallery
    access: Access
    run_checks: Callable[[Settings], Sequence[Any]]
    _listeners: list[Callable[[], None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    backgrounds_version: int = 0

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have a function called, on any thread, when the session or the page changes."""
        with self._lock:
            self._listeners.append(listener)
        ended = self.session.subscribe(listener)

        def end() -> None:
            ended()
            with self._lock:
                self._listeners.remove(listener)

        return end

    def changed(self, *, backgrounds: bool = False) -> None:
        """Tell every open page that something besides the session is new."""
        with self._lock:
            self.backgrounds_version += backgrounds
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def settings(self) -> dict[str, Any]:
        """Return the settings in force, and whether what was changed of them is saved."""
        session = self.session
        return {"settings": session.settings.model_dump(mode="json"), "saved": session.saved}


_slow: RunVar[anyio.CapacityLimiter] = RunVar("slow calls")
_quick: RunVar[anyio.CapacityLimiter] = RunVar("quick calls")


async def run_slow(
    function: Callable[..., Result],
    *arguments: Any,
) -> Result:
    """Call a function that may block on a thread, which is left behind if the page ends."""
    return await _on_thread(_slow, _SLOW_CALLS, partial(function, *arguments))


async def run_quick(
    function: Callable[..., Result],
    *arguments: Any,
) -> Result:
    """Call a function that hardly blocks on a thread, whatever the slow ones do."""
    return await _on_thread(_quick, _QUICK_CALLS, partial(function, *arguments))


async def _on_thread(
    limiters: RunVar[anyio.CapacityLimiter], calls: int, function: Callable[[], Result]
) -> Result:
    limiter = limiters.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(calls)
        limiters.set(limiter)
    return await anyio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=limiter)
