"""Audio is passed through as it came: Opus payloads, delayed to fit the video."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["AUDIO_RATE", "AudioPacket", "DelayLine"]

AUDIO_RATE: Final = 48_000
"""Rate of Opus' RTP clock, in Hz."""

_MOST_WAITING: Final = 250  # packets: five seconds of 20 ms each
_LONGEST_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """One RTP packet of audio, still coded.

    Attributes
    ----------
    payload : bytes
        Opus.
    sequence, timestamp : int
        As they came: gaps tell of losses and of silence.
    marker : bool
        Whether speech begins.
    ssrc : int
        Of the one who sent it.
    arrived_s : float
        By `time.monotonic`.
    """

    payload: bytes
    sequence: int
    timestamp: int
    marker: bool
    ssrc: int
    arrived_s: float


class DelayLine:
    """Holds audio back until the video of the same moment is sent; used on the loop.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
    send : callable
        Takes packets in their order when they are due.

    Attributes
    ----------
    delay_s : float
        From a packet's arrival to its sending. May change at any time.
    dropped : int
        Packets that were more than could be held.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, send: Callable[[AudioPacket], None]
    ) -> None:
        self.delay_s = 0.0
        self.dropped = 0
        self._loop = loop
        self._send = send
        self._waiting: deque[AudioPacket] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, packet: AudioPacket) -> None:
        """Take a packet, and send it when it is due."""
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(packet)
        if self._timer is None:
            self._flush()

    def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        self._timer = None
        while self._waiting:
            delay_s = min(max(self.delay_s, 0.0), _LONGEST_S)
            left_s = self._waiting[0].arrived_s + delay_s - time.monotonic()
            if left_s > 0.001:
                self._timer = self._loop.call_later(left_s, self._flush)
                return
            self._send(self._waiting.popleft())
