"""Packets of a file's video in their order, and the check that none are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.media.timeline import Timeline, may_be_discontinuous
from greenroom.sources.truncation import EndTracker, is_short_of_its_header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

__all__ = ["PacketPlace", "VideoPackets"]

# Pictures skipped at most while waiting for a key frame; after that they are decoded anyway.
_MAX_BEFORE_KEY: Final = 600


class PacketPlace(NamedTuple):
    """A packet of a file's video, as it is recognised when the file is read again.

    Attributes
    ----------
    number : int
        Packets of the video before it, in decoding order.
    pts, dts : int or None
        Its times, in the stream's time base.
    size : int
        Its bytes.
    position : int or None
        Its offset in the file, if the container tells.
    """

    number: int
    pts: int | None
    dts: int | None
    size: int
    position: int | None

    @classmethod
    def of(cls, packet: av.Packet[Any], number: int) -> PacketPlace:
        """Return the place of a packet."""
        return cls(number, packet.pts, packet.dts, packet.size, packet.pos)

    def is_at(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet is the one at this place; decoding times are guessed after a seek."""
        return (packet.pts, packet.size, packet.pos) == (self.pts, self.size, self.position)


class VideoPackets:
    """Reads the packets of a video from a file's beginning, with continuous times.

    Pictures of a broadcast that depend on ones before the recording are skipped.

    Parameters
    ----------
    container : InputContainer
        A file at its beginning.
    stream : VideoStream
        Its video.
    path : Path or None
        Its path, if it can be opened a second time.
    on_damage : callable
        Called with a reason where data are missing. It may raise.
    on_joined : callable
        Called with the number of pictures skipped at the beginning of a broadcast.

    Attributes
    ----------
    extents : EndTracker
        Of the packets so far.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        path: Path | None,
        *,
        on_damage: Callable[[str], None],
        on_joined: Callable[[int], None],
    ) -> None:
        self._container = container
        self._stream = stream
        self._path = path
        self._on_damage = on_damage
        self._on_joined = on_joined
        self.extents = EndTracker(container, stream, path)

    def __iter__(self) -> Iterator[av.Packet[VideoStream]]:
        """Yield the packets of the video to the end of the file.

        Raises
        ------
        av.error.FFmpegError
            Where the file cannot be read on.
        """
        return self._watched(
            self._from_key_frame(Timeline(self._container).packets(*self.extents.streams))
        )

    def sought(self, place: PacketPlace) -> Iterator[av.Packet[VideoStream]] | None:
        """Seek to a packet, and return an iterator from it on.

        Returns
        -------
        iterator or None
            None if the container cannot seek, or not to that packet. Then it has to be opened
            anew.

        Raises
        ------
        av.error.FFmpegError
            If the file cannot be read there.
        """
        time = place.pts if place.dts is None else place.dts
        # Without an index times are searched for, and those of a clock that jumps are ambiguous.
        if may_be_discontinuous(self._container) or place.position is None or time is None:
            return None
        self._container.seek(time, stream=self._stream)
        packets = Timeline(self._container).packets(*self.extents.streams)
        found = self._found(packets, place, time)
        if found is None:
            return None
        self.extents.pass_over(place.number)
        return self._watched(_after(found, packets))

    def check_end(self) -> None:
        """Report if the file ends before its header says; after the last packet."""
        extents = self.extents
        declared_s = extents.missing_to_s()
        if declared_s is not None:
            self._on_damage(
                f"it ends after {float(extents.end_s):.2f} s, where its header says "
                f"{float(declared_s):.2f} s"
            )
        elif extents.is_known_by_size and self._path and is_short_of_its_header(self._path):
            self._on_damage("it is shorter than its header says")

    def _found(
        self, packets: Iterator[av.Packet[Any]], place: PacketPlace, time: int
    ) -> av.Packet[VideoStream] | None:
        """Return the packet at a place, if it follows before any packet of a later time."""
        for packet in packets:
            if packet.stream.index != self._stream.index:
                continue
            if place.is_at(packet):
                return packet
            passed = packet.pts if packet.dts is None else packet.dts
            if passed is not None and passed > time:
                break
        return None

    def _watched(self, packets: Iterator[av.Packet[Any]]) -> Iterator[av.Packet[VideoStream]]:
        """Yield the video's packets, and record all."""
        for packet in packets:
            self.extents.add(packet)
            if packet.stream.index != self._stream.index:
                continue
            if packet.is_corrupt:
                self._on_damage("some of its data is missing or wrong")
            yield packet

    def _from_key_frame(self, packets: Iterator[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
        """Skip pictures of a broadcast that depend on ones before the recording."""
        before = 0
        may_join = may_be_discontinuous(self._container)
        for packet in packets:
            if may_join and packet.size and packet.stream.index == self._stream.index:
                if not packet.is_keyframe and before < _MAX_BEFORE_KEY:
                    before += 1
                    continue
                may_join = False
                if before:
                    self._on_joined(before)
            yield packet


def _after(
    first: av.Packet[VideoStream], others: Iterator[av.Packet[Any]]
) -> Iterator[av.Packet[Any]]:
    yield first
    yield from others
