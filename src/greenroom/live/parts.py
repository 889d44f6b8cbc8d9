"""Parts of a live session, and checks of its settings before a camera is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from greenroom.errors import SettingsError
from greenroom.live.gate import DEFAULT_LAYOUT
from greenroom.media.clock import MonotonicClock
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from greenroom.engine.engine import VirtualBackground
    from greenroom.live.steering import Steering
    from greenroom.media.clock import Clock
    from greenroom.settings import Settings
    from greenroom.sinks.sink import LiveSink
    from greenroom.sources import Source

__all__ = ["DEFAULT_RATE", "SessionParts", "check_live", "wanted_layout", "wanted_rate"]

DEFAULT_RATE: Final = Fraction(30)
"""Frames a second of what is sent, where the camera is not asked for a rate."""


@dataclass(frozen=True)
class SessionParts:
    """Parts of a session.

    Attributes
    ----------
    engine : VirtualBackground
        Made with the session's settings. It is closed with the session.
    sinks : sequence of LiveSink
        Closed with the session, each on a thread of its own.
    open_source : callable
        Opens what settings name.
    has_page : bool
        Whether the page is one of the places where the picture goes.
    steering : Steering, optional
        Carries out what the governor chooses.
    clock : Clock
        Tells time.
    """

    engine: VirtualBackground
    sinks: Sequence[LiveSink]
    open_source: Callable[[Settings], Source]
    has_page: bool = False
    steering: Steering | None = None
    clock: Clock = field(default_factory=MonotonicClock)


def check_live(settings: Settings) -> None:
    """Reject settings that only files support.

    Raises
    ------
    SettingsError
        If the background is transparent.
    """
    if settings.background == "transparent":
        message = (
            "setting 'background': what is sent live cannot be transparent. Take a colour that the "
            "other program can key out, such as color:#00ff00."
        )
        raise SettingsError(message, "background")


def wanted_rate(settings: Settings) -> Fraction:
    """Return the frame rate of constant-rate sinks."""
    return (
        DEFAULT_RATE if settings.rate is None else Fraction(settings.rate).limit_denominator(1001)
    )


def wanted_layout(settings: Settings) -> Layout:
    """Return the frame layout assumed until the camera's is known."""
    return Layout(
        *(settings.width_height or DEFAULT_LAYOUT.size),
        DEFAULT_LAYOUT.format,
        DEFAULT_LAYOUT.colour,
    )
