"""The gate: the one place that decides what leaves a live session.

Everything that goes out, to a virtual camera, a window, a file or the page, is taken from here.
What is taken is the last frame that the engine made through a valid matte, as long as it is
fresh and nobody asked for the cover, or else the cover, which is made without any frame of the
camera's. There is no queue behind the gate in which something older could wait.

::

                     a valid frame                      a valid frame
      ┌───────────────────────────────▶ PERSON ◀─────────────────────────────┐
      │                                  │  ▲                                 │
    COVER: start                 a fault │  │ a valid frame                   │
      ▲                                  ▼  │                                 │
      │                 COVER: failure, late, camera, settings, asleep ───────┘
      │                                  │
      │  uncover,         the cover key  ▼  (in every state)
      │  or what else is wrong
      └───────────────────────────── COVER: key
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.errors import ModelTimeoutError
from greenroom.live.status import Showing
from greenroom.media.colour import COVER_RGB, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.sinks.packing import over_cover_colour
from greenroom.sources.realtime import MICROSECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greenroom.engine.engine import Rendered
    from greenroom.media.clock import Clock

__all__ = ["DEFAULT_LAYOUT", "Gate", "Shown", "Ticket"]

logger = logging.getLogger(__name__)

DEFAULT_LAYOUT: Final = Layout(1280, 720, "yuv420p", Colour(1, 1, 1, 1))
"""Layout that is sent until the camera's is known."""

# Longest age of a frame that is shown: a fixed time or a multiple of the recent frame interval,
# whichever is longer, up to a limit. A frame that took longer to make is not shown at all.
_FRESH_S: Final = 1.0
_FRESH_INTERVALS: Final = 4.0
_MAX_FRESH_S: Final = 3.0
# Smoothing factor of the frame interval.
_INTERVAL_SMOOTHING: Final = 0.1
# Time-out for a cover that another thread is rendering.
_COVER_TIMEOUT_S: Final = 0.2
# Interval at which a cover is rendered anew: backgrounds may move.
_COVER_INTERVAL_S: Final = 0.1

_MESSAGES: Final = {
    "start": "Covered until you have been found in a frame.",
    "key": "Covered, because you asked for it.",
    "late": "Covered: no frame was finished in time. Choose a smaller model or a lower quality.",
    "settings": "Covered until a frame is made with the new settings.",
    "asleep": "The camera is closed: nobody is looking.",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """Output of one moment.

    Attributes
    ----------
    frame : Frame
        Read only.
    number : int
        Sequence number; it changes when the picture does.
    showing : Showing
        Kind of output.
    reason, message : str
        Reason for the cover; see `greenroom.live.status.Status`.
    views : mapping of str to Frame
        Views for the page, if they were made for this frame. See
        `greenroom.engine.engine.Rendered`.
    since_s : float
        Time of the clock from which it was the output.
    passed : int
        Number of frames let through until then.
    shows_room : bool
        Whether the room is visible in it, as it is or in grey.
    """

    frame: Frame
    number: int
    showing: Showing
    reason: str = ""
    message: str = ""
    views: Mapping[str, Frame] = field(default_factory=dict)
    since_s: float = 0.0
    passed: int = 0
    shows_room: bool = False


class Ticket(NamedTuple):
    """Ticket of a frame: states of the gate when its processing began."""

    epoch: int
    begun_s: float


class Gate:
    """Decides the output of a session. All methods may be called on any thread.

    Parameters
    ----------
    make_cover : callable
        Makes the cover for a layout and a time of the clock, in seconds. When it raises, a plain
        dark grey is shown.
    clock : Clock
        Tells how old a frame is.

    State: the last valid frame, whether the cover was asked for, and why else there is a cover.
    """

    def __init__(self, make_cover: Callable[[Layout, float], Frame], clock: Clock) -> None:
        self._make_cover = make_cover
        self._clock = clock
        self._changed = threading.Condition()
        self._making = threading.Lock()  # serialises the rendering of covers
        self._number = 0
        self._covered = False
        self._closed = False
        self._room_allowed = True  # whether pictures that show the room may leave
        self._epoch = 0  # frames that were begun in an earlier one never leave
        self._last: Shown | None = None
        self._passed = 0
        self._interval_s = 0.0
        self._accepted_s: float | None = None  # when the last frame was, until a fall
        self._reason = "start"
        self._message = _MESSAGES["start"]
        self._besides = self._reason, self._message  # reason for a cover besides the user's request
        self._layout = DEFAULT_LAYOUT
        self._cover: Shown | None = None
        self._cover_error = ""
        self.refused: Counter[str] = Counter()
        """Number of refused frames, by reason."""

    @property
    def covered(self) -> bool:
        """Whether the user asked for the cover."""
        return self._covered

    @property
    def layout(self) -> Layout:
        """The layout of what is shown."""
        return self._layout

    def expect(self, layout: Layout) -> None:
        """Set the layout of future frames, which covers get too."""
        with self._changed:
            if layout != self._layout:
                self._layout = layout
                self._number += 1  # a cover that is being made has another one
                self._cover = None

    def ticket(self) -> Ticket | None:
        """Return the ticket for a frame whose processing begins now; None while covered."""
        with self._changed:
            return None if self._covered else Ticket(self._epoch, self._clock.now())

    def offer(self, rendered: Rendered, ticket: Ticket) -> bool:
        """Accept a result of the engine; return whether it is shown.

        It is refused if it has no valid matte, if the cover was asked for since it was begun, if
        settings or camera changed since, or if that is too long ago.
        """
        with self._changed:
            now_s = self._clock.now()
            reason = self._reason_against(rendered, ticket, now_s)
            if reason:
                self.refused[reason] += 1
                if reason == "failure":
                    self._fall("failure", f"Covered: {rendered.error}")
                return False
            if self._accepted_s is not None:
                # Longer ones are no interval, but a pause.
                interval_s = min(now_s - self._accepted_s, _MAX_FRESH_S)
                self._interval_s += _INTERVAL_SMOOTHING * (interval_s - self._interval_s)
            self._accepted_s = now_s
            self._number += 1
            self._layout = rendered.frame.layout
            showing = Showing.CAMERA if rendered.is_camera else Showing.PERSON
            # Without its alpha, soft edges would show the room; callers need not handle that.
            views = {name: over_cover_colour(view) for name, view in rendered.views.items()}
            self._passed += 1
            self._besides = "start", ""
            self._last = Shown(
                over_cover_colour(rendered.frame),
                self._number,
                showing,
                views=views,
                since_s=now_s,
                passed=self._passed,
                shows_room=rendered.shows_room,
            )
            self._changed.notify_all()
            return True

    def _reason_against(self, rendered: Rendered, ticket: Ticket, now_s: float) -> str:
        """Return the reason to refuse a result; empty if it may be shown."""
        if self._covered:
            return "cover"
        if ticket.epoch != self._epoch:
            return "settings"
        if not rendered.valid:
            return "failure"
        if rendered.shows_room and not self._room_allowed:
            return "settings"
        return "late" if now_s - ticket.begun_s > _MAX_FRESH_S else ""

    def cover(self, *, on: bool) -> None:
        """Show the cover, or end it; frames begun before the end are never shown."""
        with self._changed:
            self._covered = on or self._closed
            self._epoch += 1
            self._fall(*(("key",) if on else self._besides))

    def shut(self, reason: str, message: str = "") -> None:
        """Show the cover until a valid frame whose processing begins from now on.

        Parameters
        ----------
        reason : str
            ``start``, ``camera``, ``settings`` or ``asleep``.
        message : str
            A sentence for people; there is one for most reasons.
        """
        with self._changed:
            self._epoch += 1
            self._fall(reason, message)

    def recover(self) -> None:
        """Report that the camera is back and only its first frame is missing."""
        with self._changed:
            if self._besides[0] in ("camera", "asleep"):
                self._besides = "start", ""
                if self._last is None and not self._covered:
                    self._fall("start")

    def allow_room(self, *, allowed: bool) -> None:
        """Allow or forbid results that show the room.

        Another background may take long to load, and until then frames still show the room.
        """
        with self._changed:
            self._room_allowed = allowed
            if not allowed and self._last is not None and self._last.shows_room:
                self._epoch += 1
                self._fall("settings")

    def renew(self) -> None:
        """Invalidate all tickets; the current frame may stay unless it shows the room."""
        with self._changed:
            self._epoch += 1
            if self._last is not None and self._last.shows_room:
                self._fall("settings")

    def current(self) -> Shown:
        """Return the output of this moment."""
        with self._changed:
            shown = self._fresh()
        return self._covering() if shown is None else shown

    def wait(self, after: int, timeout_s: float) -> Shown | None:
        """Wait for output newer than a sequence number, and return it.

        None if there is nothing new in time, or after `close`.
        """
        end_s = self._clock.now() + timeout_s
        while not self._closed:
            shown = self.current()
            if shown.number != after:
                return shown
            left_s = end_s - self._clock.now()
            if left_s <= 0:
                return None
            with self._changed:
                if self._number == after and not self._closed:
                    last = self._last
                    old_s = _COVER_INTERVAL_S if last is None else max(0.0, self._left_s(last))
                    self._changed.wait(min(left_s, old_s))
        return None

    def hold(self, timeout_s: float) -> None:
        """Wait up to a time-out; a cover that replaces a frame ends the wait at once."""
        with self._changed:
            was_covered = self._last is None
            self._changed.wait_for(
                lambda: self._closed or (self._last is None and not was_covered),
                max(0.0, timeout_s),
            )

    def rest(self, timeout_s: float) -> None:
        """Wait up to a time-out while the camera is closed because nobody is watching."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._last is not None or self._reason != "asleep",
                timeout_s,
            )

    def state(self) -> tuple[Showing, str, str]:
        """Return the kind of output, the reason, and the reason as a sentence."""
        with self._changed:
            shown = self._fresh()
            if shown is not None:
                return shown.showing, "", ""
            return Showing.COVER, self._reason, self._message

    def close(self) -> None:
        """Release all waiting threads; from now on only the cover is shown."""
        with self._changed:
            self._closed = True
            self._covered = True
            self._epoch += 1
            self._fall("key")

    def _fall(self, reason: str, message: str = "") -> None:
        """Drop the last frame, so that only the cover is left. Called with the lock."""
        if reason != "key":
            self._besides = reason, message
        if self._covered:
            reason, message = "key", ""
        self._last = None
        if reason != "late":  # slow frames are late until their interval is known
            self._interval_s, self._accepted_s = 0.0, None
        self._reason = reason
        self._message = message or _MESSAGES.get(reason, "Covered.")
        self._number += 1
        self._cover = None
        self._changed.notify_all()

    def _fresh(self) -> Shown | None:
        """Return the last valid frame, or None if that is too old. Called with the lock."""
        if self._last is not None and self._left_s(self._last) <= 0:
            self.refused["late"] += 1
            self._fall("late")
        return self._last

    def _left_s(self, last: Shown) -> float:
        """Remaining time that the last frame may be shown. Called with the lock."""
        most_s = min(max(_FRESH_S, _FRESH_INTERVALS * self._interval_s), _MAX_FRESH_S)
        return last.since_s + most_s - self._clock.now()

    def _covering(self) -> Shown:
        """Return the cover, rendered anew when it is old; it never depends on a frame."""
        if not self._making.acquire(
            timeout=_COVER_TIMEOUT_S
        ):  # another thread hangs while rendering it
            with self._changed:
                plain = Frame.filled(self._layout, COVER_RGB)
                return self._shown_cover(plain, self._number, self._clock.now())
        try:
            with self._changed:
                cover, layout, number = self._cover, self._layout, self._number
            now_s = self._clock.now()
            if cover is not None and now_s - cover.since_s < _COVER_INTERVAL_S:
                return cover
            frame = self._made(layout, now_s)
            with self._changed:
                # Still a cover, whatever changed meanwhile.
                if number != self._number:
                    return self._shown_cover(frame, number, now_s)
                self._number += 1
                self._cover = self._shown_cover(frame, self._number, now_s)
                return self._cover
        finally:
            self._making.release()

    def _shown_cover(self, frame: Frame, number: int, now_s: float) -> Shown:
        """Return the reason for the cover. Called with the lock."""
        return Shown(
            frame,
            number,
            Showing.COVER,
            self._reason,
            self._message,
            since_s=now_s,
            passed=self._passed,
        )

    def _made(self, layout: Layout, now_s: float) -> Frame:
        try:
            cover = self._make_cover(layout, now_s)
        except ModelTimeoutError:
            logger.debug("the background takes long: the cover is a plain colour")
            cover = Frame.filled(layout, COVER_RGB)
        except Exception as error:  # there must always be a cover
            if str(error) != self._cover_error:  # logged once
                self._cover_error = str(error)
                logger.warning("the cover is a plain colour: %s", error)
                logger.debug("the background failed", exc_info=True)
            cover = Frame.filled(layout, COVER_RGB)
        return cover.shown_at(round(now_s * 1_000_000), MICROSECOND)
