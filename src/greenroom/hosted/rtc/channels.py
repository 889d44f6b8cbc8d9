"""Messages of one connection: data channels, and the limits of what may come over them."""

from __future__ import annotations

import functools
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from greenroom.hosted.rtc import internals
from greenroom.hosted.rtc.rates import Allowance
from greenroom.hosted.rtc.sctp_packets import chunk_cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiortc import RTCDataChannel, RTCSctpTransport

__all__ = ["Channels", "is_flooded", "send_text"]

_MOST_CHANNELS: Final = 4
_MESSAGE_SIZE: Final = 65_536  # bytes
_MESSAGES_PER_S: Final = 50
_MOST_BUFFERED: Final = 262_144  # bytes of messages that wait to be sent
_UNREAD_BYTES: Final = 1 << 20  # of messages that are not complete
# The longest message has 60 parts. Each of these numbers costs time with every part that comes.
_UNREAD_PARTS: Final = 256
_MISORDERED: Final = 256
_STREAMS: Final = 64
_CHUNKS_PER_S: Final = 1000


class Channels:
    """The data channels that the other side opens; used on the loop.

    Parameters
    ----------
    on_message : callable, optional
        Takes the text of each message.

    Attributes
    ----------
    dropped : Counter
        Channels and messages that were not taken, by reason.
    """

    def __init__(self, on_message: Callable[[str], None] | None) -> None:
        self.dropped: Counter[str] = Counter()
        self._on_message = on_message
        self._channels: list[RTCDataChannel] = []
        self._allowance = Allowance(_MESSAGES_PER_S)
        self._chunks = Allowance(_CHUNKS_PER_S)

    def guard(self, sctp: RTCSctpTransport) -> None:
        """Leave out packets that would hold up the loop; `is_flooded` says when to end."""
        internals.guard_messages(sctp, functools.partial(self._admit, sctp))

    def _admit(self, sctp: RTCSctpTransport, packet: bytes) -> bool:
        cost = chunk_cost(packet)
        now_s = time.monotonic()
        if cost is None or is_flooded(sctp):
            self.dropped["message packets"] += 1
            return False
        return all(self._chunks.take(now_s) for _ in range(cost))

    def add(self, channel: RTCDataChannel) -> None:
        """Take a channel that was opened."""
        if len(self._channels) >= _MOST_CHANNELS:
            self.dropped["channels"] += 1
            channel.close()
            return
        self._channels.append(channel)
        channel.on("message", self._take)
        channel.on("close", functools.partial(self._remove, channel))

    def open_one(self) -> RTCDataChannel | None:
        """Return the newest channel that can take a message, on any thread; None without any."""
        for channel in reversed(self._channels):
            if channel.readyState == "open" and channel.bufferedAmount < _MOST_BUFFERED:
                return channel
        return None

    def _remove(self, channel: RTCDataChannel) -> None:
        if channel in self._channels:
            self._channels.remove(channel)

    def _take(self, text: object) -> None:
        if not isinstance(text, str) or len(text.encode()) > _MESSAGE_SIZE:
            self.dropped["message size"] += 1
        elif not self._allowance.take(time.monotonic()):
            self.dropped["message rate"] += 1
        elif self._on_message is not None:
            self._on_message(text)


def is_flooded(sctp: RTCSctpTransport) -> bool:
    """Return whether parts of messages that are never complete pile up."""
    unread = internals.unread_messages(sctp)
    return (
        unread.bytes > _UNREAD_BYTES
        or unread.parts > _UNREAD_PARTS
        or unread.misordered > _MISORDERED
        or unread.streams > _STREAMS
    )


def send_text(channel: RTCDataChannel, text: str) -> None:
    """Send a message, if the channel is still open."""
    if channel.readyState == "open":
        channel.send(text)
