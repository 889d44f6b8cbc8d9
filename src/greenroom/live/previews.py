"""Previews for the page: small and mirrored.

A preview takes from the gate like everything else that leaves. It says which views it wants, and
the engine makes them along with frames, not more often than a page can show them.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from greenroom.engine.render import VIEWS
from greenroom.errors import SettingsError
from greenroom.live.status import Showing

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.live.gate import Gate
    from greenroom.media.clock import Clock
    from greenroom.media.frame import Frame

__all__ = ["Preview", "PreviewHub"]

# Interval of previews, in seconds.
_EVERY_S: Final = 1 / 15
# Largest width of a preview, in pixels; covers are rendered at this size for it.
_WIDTH_PX: Final = 640


class PreviewHub:
    """Hub of open previews. All methods may be called on any thread.

    Parameters
    ----------
    gate : Gate
        Where pictures come from.
    clock : Clock
        Tells when views are due.
    on_change : callable
        Called when the first preview opens or the last one closes.
    """

    def __init__(self, gate: Gate, clock: Clock, on_change: Callable[[], None]) -> None:
        self._gate = gate
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._previews: list[Preview] = []
        self._made_s = float("-inf")

    def open(self, views: frozenset[str]) -> Preview:
        """Open a preview.

        Raises
        ------
        SettingsError
            If there is no such view.
        """
        preview = Preview(self._gate, self._forget)
        preview.want(views)
        with self._lock:
            self._previews.append(preview)
        self._on_change()
        return preview

    @property
    def readers(self) -> int:
        """Number of open previews."""
        return len(self._previews)

    def due(self) -> frozenset[str]:
        """Return the views due with the next frame."""
        now_s = self._clock.now()
        if not self._previews or now_s - self._made_s < _EVERY_S:
            return frozenset()
        self._made_s = now_s
        with self._lock:
            return frozenset().union(*(preview.views for preview in self._previews))

    def _forget(self, preview: Preview) -> None:
        with self._lock:
            if preview in self._previews:
                self._previews.remove(preview)
        self._on_change()


class Preview:
    """Preview of one open page; `next` is called on one thread at a time."""

    def __init__(self, gate: Gate, forget: Callable[[Preview], None]) -> None:
        self._gate = gate
        self._forget = forget
        self._number = -1
        self._ended = False
        self.views: frozenset[str] = frozenset()
        """Names of the wanted views."""

    def want(self, views: frozenset[str]) -> None:
        """Set the wanted views.

        Raises
        ------
        SettingsError
            If there is no such view.
        """
        if unknown := views - VIEWS:
            message = f"views: expected some of {', '.join(sorted(VIEWS))}, not {min(unknown)!r}"
            raise SettingsError(message)
        self.views = views

    def next(self, timeout_s: float) -> dict[str, Frame] | None:
        """Return the newest views, or None if there are no new ones in time.

        During the cover, ``after`` is the cover and there are no other views.
        """
        shown = None if self._ended else self._gate.wait(self._number, timeout_s)
        if shown is None:
            return None
        self._number = shown.number
        if shown.showing is Showing.COVER:
            return {"after": _small(shown.frame)}
        return {name: view for name, view in shown.views.items() if name in self.views} or None

    def close(self) -> None:
        """Close the preview."""
        if not self._ended:
            self._ended = True
            self._forget(self)


def _small(frame: Frame) -> Frame:
    """Halve a frame as long as it stays wide enough."""
    width, height = frame.size
    scale = max(1, width // _WIDTH_PX)
    if scale == 1:
        return frame
    small = replace(frame.layout, width=width // scale, height=max(1, height // scale))
    return frame.converted(small)
