"""The last packets of a stream, from which another decoder can go on."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av

__all__ = ["MAX_DELAY", "KeptPackets"]

MAX_DELAY: Final = 64
"""More packets than any decoder, with all its threads, holds pictures back."""

# Groups of pictures, each from a key frame on: pictures before a key frame in time, but after it in
# the stream, need the group before.
_GROUPS: Final = 2
_MAX_PACKETS: Final = 1500
_MAX_BYTES: Final = 1 << 28


class KeptPackets:
    """Packets from a key frame on, with the times of the pictures that came out meanwhile.

    Packets are kept until a later key frame replaces them and every picture of theirs has come out.
    """

    def __init__(self) -> None:
        self._groups: deque[_Group] = deque()

    def add(self, packet: av.Packet[Any] | None) -> None:
        """Keep a packet before it is decoded; None is the end of the stream."""
        if not self._groups or (packet is not None and packet.is_keyframe):
            self._groups.append(_Group())
        self._groups[-1].add(packet)
        count = len(self)
        while len(self._groups) > _GROUPS:
            count -= len(self._groups[0].packets)
            if count < MAX_DELAY:
                break
            self._groups.popleft()

    def gave(self, pts: int) -> None:
        """Record the time of a picture that came out."""
        self._groups[-1].times.add(pts)

    @property
    def given(self) -> set[int]:
        """The times of pictures that came out since the first of these packets."""
        return set[int]().union(*(group.times for group in self._groups))

    def has_given(self, pts: int | None) -> bool:
        """Whether the picture of a time is among those."""
        return any(pts in group.times for group in self._groups)

    def clear(self) -> None:
        """Forget all."""
        self._groups.clear()

    @property
    def is_full(self) -> bool:
        """Whether it is too much to be kept: key frames are too far apart."""
        return len(self) > _MAX_PACKETS or sum(one.bytes for one in self._groups) > _MAX_BYTES

    def __len__(self) -> int:
        return sum(len(group.packets) for group in self._groups)

    def __iter__(self) -> Iterator[av.Packet[Any] | None]:
        for group in self._groups:
            yield from group.packets


class _Group:
    def __init__(self) -> None:
        self.packets: list[av.Packet[Any] | None] = []
        self.times: set[int] = set()
        self.bytes = 0

    def add(self, packet: av.Packet[Any] | None) -> None:
        self.packets.append(packet)
        self.bytes += 0 if packet is None else packet.size
