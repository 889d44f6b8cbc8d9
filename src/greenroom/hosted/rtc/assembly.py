"""Reassembly of coded frames from RTP packets: in order, bounded, released at the marker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.hosted.rtc.packets import unwrapped

if TYPE_CHECKING:
    from greenroom.hosted.rtc.payloads import Payload

__all__ = ["Assembler", "EncodedFrame"]

_MOST_PACKETS: Final = 1024
_MOST_BYTES: Final = 4 << 20  # of one frame
# Longest wait for a lost packet: a few round trips of its retransmission.
_WAIT_S: Final = 0.25
_ASK_S: Final = 0.08  # interval at which a lost packet is asked for again
_ASKED_AT_MOST: Final = 64  # lost packets asked for at one time
_JUMP: Final = 3000  # a step back of the sequence number that is taken for a new start
# Packets that may be missing at one time: each costs time with every packet that comes.
_MOST_LOST: Final = 256


class EncodedFrame(NamedTuple):
    """One coded frame.

    Attributes
    ----------
    codec : str
        ``VP8`` or ``H264``.
    data : bytes
    timestamp : int
        In units of 1/90000 s from the stream's first; it does not wrap.
    arrived_s : float
        When its last packet came, by `time.monotonic`.
    key : bool
        Whether it begins a new sequence.
    """

    codec: str
    data: bytes
    timestamp: int
    arrived_s: float
    key: bool


class _Held(NamedTuple):
    timestamp: int
    marker: bool
    payload: Payload


@dataclass(slots=True)
class _Lost:
    since_s: float
    asked_s: float = 0.0


class Assembler:
    """Joins the packets of one video stream to frames; nothing in it grows without bound.

    A frame is released with the packet that completes it, which the marker bit tells. After a
    loss that no retransmission mended, frames up to the next key frame are left out, so that the
    decoder never sees a frame without those it refers to.

    State: packets after a gap, the parts of the present frame, and what is missing.

    Attributes
    ----------
    dropped : Counter
        Packets that were left out, by reason.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._held: dict[int, _Held] = {}
        self._lost: dict[int, _Lost] = {}
        self._highest: int | None = None
        self._next: int | None = None  # sequence number that continues; None: awaits a key frame
        self._parts: list[bytes] = []
        self._bytes = 0
        self._key = False
        self._timestamp = 0
        self._newest_timestamp: int | None = None
        self._origin = 0

    @property
    def needs_key(self) -> bool:
        """Whether nothing is released before the next key frame."""
        return self._next is None

    def restart(self) -> None:
        """Leave out everything up to the next key frame."""
        self.dropped["loss"] += len(self._held) + len(self._parts)
        self._held.clear()
        self._lost.clear()
        self._begin_frame()
        self._next = None

    def add(
        self,
        codec: str,
        numbers: tuple[int, int],
        payload: Payload,
        now_s: float,
        *,
        marker: bool,
    ) -> list[EncodedFrame]:
        """Take a packet; return the frames that it completes.

        Parameters
        ----------
        codec : str
        numbers : tuple of int
            Sequence number and timestamp.
        payload : Payload
        now_s : float
            By `time.monotonic`.
        marker : bool
            Whether it is the frame's last packet.

        Returns
        -------
        list of EncodedFrame
        """
        sequence = self._placed(numbers[0], now_s)
        if sequence is None:
            return []
        self._held[sequence] = _Held(self._unwrapped_time(numbers[1]), marker, payload)
        if self._next is None and payload.starts_key:
            self._start_at(sequence)
        frames = self._released(codec, now_s)
        if self._held and self._next is not None and self._too_late(now_s):
            self._give_up()
            frames += self._released(codec, now_s)
        elif self._next is None and len(self._held) > _MOST_PACKETS // 4:
            self.restart()
        return frames

    def missing(self, now_s: float) -> list[int]:
        """Return the sequence numbers to ask for now."""
        if not self._lost or self._next is None:
            return []
        due = []
        for sequence, lost in self._lost.items():
            if now_s - lost.asked_s >= _ASK_S:
                lost.asked_s = now_s
                due.append(sequence & 0xFFFF)
                if len(due) == _ASKED_AT_MOST:
                    break
        return due

    def _placed(self, number: int, now_s: float) -> int | None:
        """Return the unwrapped sequence number of a new packet; None if it comes too late."""
        if self._highest is None:
            self._highest = number - 1
        sequence = unwrapped(number, self._highest, 16)
        skips = max(0, sequence - self._highest - 1)
        if self._highest - sequence > _JUMP or len(self._lost) + skips > _MOST_LOST:
            self.restart()  # another stream, or too much of this one is lost
            self._highest = sequence - 1
        if sequence in self._held or (self._next is not None and sequence < self._next):
            self.dropped["late"] += 1
            return None
        self._lost.pop(sequence, None)
        for skipped in range(self._highest + 1, sequence):
            self._lost[skipped] = _Lost(now_s)
        self._highest = max(self._highest, sequence)
        return sequence

    def _unwrapped_time(self, timestamp: int) -> int:
        if self._newest_timestamp is None:
            self._newest_timestamp = self._origin = timestamp
        time = unwrapped(timestamp, self._newest_timestamp, 32)
        self._newest_timestamp = max(self._newest_timestamp, time)
        return time - self._origin

    def _start_at(self, sequence: int) -> None:
        """Begin with the key frame whose first packet this is."""
        for old in [number for number in self._held if number < sequence]:
            del self._held[old]
        for old in [number for number in self._lost if number < sequence]:
            del self._lost[old]
        self._next = sequence

    def _released(self, codec: str, now_s: float) -> list[EncodedFrame]:
        """Take the packets that continue, and return the frames that they complete."""
        frames: list[EncodedFrame] = []
        while self._next is not None and (held := self._held.pop(self._next, None)) is not None:
            if self._parts and held.timestamp != self._timestamp:
                frames.append(self._frame(codec, now_s))  # of a sender without markers
            self._next += 1
            self._timestamp = held.timestamp
            self._parts.append(held.payload.data)
            self._bytes += len(held.payload.data)
            self._key |= held.payload.starts_key
            if held.marker:
                frames.append(self._frame(codec, now_s))
            elif self._bytes > _MOST_BYTES:
                self.restart()
        return [frame for frame in frames if frame.data]

    def _frame(self, codec: str, now_s: float) -> EncodedFrame:
        frame = EncodedFrame(codec, b"".join(self._parts), self._timestamp, now_s, self._key)
        self._begin_frame()
        return frame

    def _begin_frame(self) -> None:
        self._parts = []
        self._bytes = 0
        self._key = False

    def _too_late(self, now_s: float) -> bool:
        """Return whether the gap before the held packets is not waited for any longer."""
        if len(self._held) > _MOST_PACKETS:
            return True
        lost = self._lost.get(self._next) if self._next is not None else None
        return lost is None or now_s - lost.since_s > _WAIT_S

    def _give_up(self) -> None:
        """Go on with the next key frame among the held packets, or await one."""
        keys = [number for number, held in self._held.items() if held.payload.starts_key]
        self.dropped["loss"] += len(self._parts)
        self._begin_frame()
        if keys:
            self._start_at(min(keys))
        else:
            self.restart()
