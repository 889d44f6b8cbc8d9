"""Admission: how many sessions this machine holds, measured at the start and while they run."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.backgrounds.builtin import builtin_path
from greenroom.engine.engine import VirtualBackground
from greenroom.hosted.rtc import VideoEncoder
from greenroom.live.plans import ladder
from greenroom.matting.inference import WARM_UP_FRAMES
from greenroom.media.image_files import decode_picture
from greenroom.media.layout import Layout
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.settings import OnFailure
from greenroom.sources.realtime import MICROSECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from greenroom.live.status import Status
    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

__all__ = ["Load", "RateLimit", "measure_capacity", "request_limit"]

# What is measured: the size and rate that calls mostly have.
_SIZE: Final = (640, 480)
_RATE: Final = 30.0
# The model looks at each of the first frames.
_WARM_UP_FRAMES: Final = WARM_UP_FRAMES + 2
_FRAMES: Final = 16
# Share of the processors that frames may take; the rest is for packets, sound and signalling.
_USABLE: Final = 0.8
# Encoding and decoding take this many times as long as encoding alone, ...
_TRANSPORT: Final = 1.4
# ... and a frame's packets and hand-overs this long.
_PACKETS_S: Final = 0.002
_BITRATE: Final = 1_000_000
# Share of its frames that a session has to make; below, the machine is taken to be overloaded.
_HELD: Final = 0.85
_BUSY: Final = 0.95
# Overload has to last this long, in looks of one a second.
_LOOKS: Final = 2
# Requests for sessions of one client: each takes CPU time of all.
_REQUESTS_PER_S: Final = 5.0
_REQUESTS_AT_ONCE: Final = 20
# Clients that a limit remembers.
_MAX_CLIENTS: Final = 4096


def measure_capacity(settings: Settings, cores: float) -> int:
    """Return how many sessions of 640x480 at 30 frames/s some processors hold, at least one.

    Frames of a moving picture are made and encoded as the governor has it done when the machine is
    full, but still with every frame. It takes less than a second.
    """
    plan = [plan for plan in ladder(settings) if not plan.half_rate][-1]
    cheapest = settings.changed(on_failure=OnFailure.COVER, **plan.apply(settings))
    encoder = VideoEncoder("VP8")
    engine_s = encoding_s = 0.0
    with VirtualBackground(cheapest) as engine:
        engine.cadence = plan.cadence
        for number, frame in enumerate(_moving_picture(_WARM_UP_FRAMES + _FRAMES)):
            began_s = time.process_time()
            made = engine.render(frame).frame.to_av()
            made_s = time.process_time()
            encoder.encode(made, key=number == 0, bitrate=_BITRATE)
            if number >= _WARM_UP_FRAMES:
                engine_s += made_s - began_s
                encoding_s += time.process_time() - made_s
    encoder.close()
    a_frame_s = (engine_s + _TRANSPORT * encoding_s) / _FRAMES + _PACKETS_S
    return max(1, int(_USABLE * cores / (_RATE * a_frame_s)))


def _moving_picture(count: int) -> Iterator[Frame]:
    """Yield frames of a wall that moves sideways, on which a model finds as much as in a call."""
    layout = Layout(*_SIZE, "yuv420p")
    picture = decode_picture(builtin_path("office"), MAX_SIDE_PX).converted(layout)
    for number in range(count):
        frame = picture.copy()
        for plane in frame.planes:
            plane[:] = np.roll(plane, 2 * number * plane.shape[1] // layout.width, axis=1)
        yield frame.shown_at(round(number / _RATE / MICROSECOND), MICROSECOND)


class Load:
    """Whether the sessions that run lose frames because there are too many.

    Parameters
    ----------
    cores : float
        Processors that this process may take.
    cpu_s : callable
        Returns the CPU time of this process so far, in seconds.

    State: the CPU time at the last look, and how the last looks went.
    """

    def __init__(self, cores: float, cpu_s: Callable[[], float] = time.process_time) -> None:
        self._cores = cores
        self._read_cpu_s = cpu_s
        self._looked_s = time.monotonic()
        self._cpu_s = cpu_s()
        self._short: deque[bool] = deque(maxlen=_LOOKS)
        self.cores_used = 0.0
        """Processors that this process took between the last two looks."""

    def look(self, statuses: Iterable[Status]) -> None:
        """Take a look, at intervals of about a second."""
        now_s, cpu_s = time.monotonic(), self._read_cpu_s()
        passed_s = max(1e-3, now_s - self._looked_s)
        self.cores_used = (cpu_s - self._cpu_s) / passed_s
        self._looked_s, self._cpu_s = now_s, cpu_s
        running = [one for one in statuses if one.rate_in > 0 and not one.covered]
        lose = [one for one in running if one.rate_out < _HELD * one.rate_in]
        self._short.append(self.cores_used > _BUSY * self._cores or 2 * len(lose) > len(running))

    @property
    def is_high(self) -> bool:
        """Whether another session would be at the cost of those that run."""
        return len(self._short) == _LOOKS and all(self._short)


class RateLimit:
    """A token bucket for each client: so many requests a second, and a few more at once.

    Parameters
    ----------
    rate : float
        Requests a second.
    burst : int
        Requests at once.
    now_s : callable
        Returns monotonic seconds.

    State: the clients of the last seconds.
    """

    def __init__(
        self, rate: float, burst: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._now_s = now_s
        self._pruned_s = now_s()
        self._rate = rate
        self._burst = burst
        self._clients: dict[str, tuple[float, float]] = {}

    def allows(self, client: str) -> bool:
        """Count a request; return whether it may be served."""
        now_s = self._now_s()
        full_s = self._burst / self._rate
        if now_s - self._pruned_s > full_s:  # whose bucket is full again is forgotten
            self._pruned_s = now_s
            kept = {one: (n, s) for one, (n, s) in self._clients.items() if now_s - s < full_s}
            self._clients = kept
        if client not in self._clients and len(self._clients) >= _MAX_CLIENTS:
            return False
        left, since_s = self._clients.get(client, (float(self._burst), now_s))
        left = min(self._burst, left + self._rate * (now_s - since_s))
        allowed = left >= 1
        self._clients[client] = (left - allowed, now_s)
        return allowed


def request_limit() -> RateLimit:
    """Return the limit of requests for sessions."""
    return RateLimit(_REQUESTS_PER_S, _REQUESTS_AT_ONCE)
