"""A live session fed by a peer's video, its output encoded and sent to all that look."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from greenroom.engine.engine import VirtualBackground
from greenroom.hosted.backgrounds import Uploads
from greenroom.hosted.broadcast import Broadcast
from greenroom.hosted.feed import Feed
from greenroom.live.governor import Governor
from greenroom.live.parts import SessionParts, wanted_rate
from greenroom.live.session import Session
from greenroom.live.steering import Steering
from greenroom.media.clock import MonotonicClock
from greenroom.settings import OnFailure, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from greenroom.hosted.backgrounds import OperatorBackgrounds
    from greenroom.hosted.segmenter_loans import SegmenterLoans
    from greenroom.live.measures import Measured
    from greenroom.live.status import Status

__all__ = ["HostedSession", "SessionContext", "hosted_settings"]

# Frames whose latency counts for the delay of sound.
_RECENT: Final = 15
# Longest delay of sound, in seconds.
_MAX_DELAY_S: Final = 0.5
# What a cover has before the first frame.
_FIRST_SIZE: Final = "640x480"
# What the client is told in place of advice on cameras and models of this machine.
_MESSAGES: Final = {
    "asleep": "Nobody is watching.",
    "camera": "Covered: no video comes from you.",
    "late": "Covered: the server did not finish a frame in time.",
}
# A frame that takes longer is covered.
_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True)
class SessionContext:
    """What the sessions of a service share.

    Attributes
    ----------
    settings : Settings
        What they begin with.
    loans : SegmenterLoans
    backgrounds : OperatorBackgrounds
    observe_frame : callable
        Told of the milliseconds of each stage, and of the whole frame, of every frame.
    """

    settings: Settings
    loans: SegmenterLoans
    backgrounds: OperatorBackgrounds
    observe_frame: Callable[[Mapping[str, float], float], None] = lambda _stages, _frame_ms: None


def hosted_settings(settings: Settings) -> Settings:
    """Return an operator's settings as a hosted session needs them."""
    return settings.changed(
        on_failure=OnFailure.COVER,
        on_demand=True,
        reconnect_seconds=None,
        size=settings.size or _FIRST_SIZE,
        timeout_s=min(settings.timeout_s, _TIMEOUT_S),
    )


class HostedSession(Session):
    """One client's session.

    Parameters
    ----------
    name : str
        Names its source in messages.
    context : SessionContext
        What it shares with others.
    values : mapping
        What its client asks to begin with.
    share : float
        Its share of all processors, in %.

    Raises
    ------
    GreenroomError
        If a value is refused, or the model cannot be loaded.
    """

    def __init__(
        self, name: str, context: SessionContext, values: Mapping[str, Any], share: float
    ) -> None:
        clock = MonotonicClock()
        self.feed = Feed(name, clock.now())
        self.broadcast = Broadcast()
        self.uploads = Uploads(context.backgrounds)
        self._observe_frame = context.observe_frame
        self._stages_seen: dict[str, int] = {}
        settings = context.settings.changed(**self.uploads.resolve(values), budget_cpu=share)
        engine = VirtualBackground(settings, load=context.loans.take)
        try:
            rate, cores = float(wanted_rate(settings)), os.cpu_count() or 1
            steering = Steering(Governor(settings, rate=rate, cores=cores, is_alone=False))
            parts = SessionParts(
                engine, [self.broadcast], self.feed.open, steering=steering, clock=clock
            )
            super().__init__(settings, parts)
        except BaseException:
            engine.close()
            raise

    def change(self, values: Mapping[str, Any]) -> None:
        """Change settings as a client names them. May take as long as a background to load.

        Raises
        ------
        GreenroomError
            If one is refused; nothing is changed then.
        """
        self.update(**self.uploads.resolve(values))

    @property
    def told_settings(self) -> Settings:
        """The settings in force, with the background as clients name it."""
        settings = self.settings
        return settings.changed(background=self.uploads.shown(settings.background))

    def give_share(self, share: float) -> None:
        """Set the share of all processors, in %, without touching a frame."""
        with self._updating:
            if self._settings.budget_cpu == share:
                return
            self._settings = self._settings.changed(budget_cpu=share)
            if self._steering is not None:
                self._steering.follow(self._settings, self._steered_rate)

    def status(self) -> Status:
        """See `Session.status`; what is wrong is said as the client can understand it."""
        status = super().status()
        message = _MESSAGES.get(status.reason)
        return status if message is None else replace(status, message=message)

    @property
    def delay_s(self) -> float:
        """How long a frame takes from its arrival to its sending now, in seconds."""
        latencies_s = self.outlets[0].latencies_s
        recent = list(islice(reversed(latencies_s), _RECENT)) if latencies_s else []
        return min(_MAX_DELAY_S, statistics.median(recent)) if recent else 0.0

    def stop(self) -> None:
        """See `Session.stop`; the uploads are deleted."""
        self.feed.end()
        super().stop()
        self.uploads.close()

    def _note_frame(self, measured: Measured) -> None:
        self._observe_frame(self._engine.timings.since(self._stages_seen), measured.frame_ms)
