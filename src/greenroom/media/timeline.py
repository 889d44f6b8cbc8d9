"""Timestamps of media files: the start time, and discontinuities.

A recording need not begin at 0: a segment of a broadcast begins at the broadcast's time, and some
files begin before 0. The readers of pictures and of sound have to agree on the time that becomes 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from av.format import Flags

from greenroom.media.frame import fraction

if TYPE_CHECKING:
    from collections.abc import Iterator

    import av
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

__all__ = [
    "DecodingTimes",
    "Timeline",
    "browser_duration_s",
    "is_in_another_program",
    "may_be_discontinuous",
    "start_time_s",
    "with_browser_durations",
]

# These containers store decoding times only; FFmpeg guesses presentation times.
_WITHOUT_PTS: Final = frozenset({"avi"})
# Audio encoders add priming silence, before 0 if the picture begins at 0: 5186 samples of HE-AAC
# at 48 kHz, 1024 of AAC at 8 kHz.
_PRIMING_S: Final = Fraction(1, 5)

# Clocks of MPEG-2 systems count 33 bits at 90 kHz: ITU-T H.222.0, 2.4.3.6.
_CLOCK_S: Final = Fraction(2**33, 90_000)
# A larger step back, or a step forward by half the clock, is a discontinuity.
_MAX_STEP_BACK_S: Final = Fraction(1, 2)
# A clock that wrapped differs from a splice by less than this from a whole period; streams of one
# program begin no farther apart than this.
_MAX_GAP_S: Final = 3600
# Streams of a file are interleaved within this many seconds.
_INTERLEAVED_S: Final = 10

# Browsers replace durations below the minimum, which many animations have, by the default.
_MIN_DURATION_S: Final = Fraction(1, 50)
_DEFAULT_DURATION_S: Final = Fraction(1, 10)


def start_time_s(
    container: InputContainer, stream: VideoStream, first: av.VideoFrame, *, with_sound: bool
) -> Fraction:
    """Return the time in a file that becomes 0, in seconds.

    It is the start of the first picture or sound, rounded down to the picture's time base. A file
    whose pictures begin at 0 or later keeps its times if only an encoder's priming is before 0.

    Parameters
    ----------
    container : InputContainer
        The open file.
    stream : VideoStream
        Its video stream.
    first : av.VideoFrame
        The first picture that can be decoded.
    with_sound : bool
        Whether its sound may be copied.
    """
    if first.pts is None or not stream.time_base:
        return Fraction(0)
    tick_s = fraction(stream.time_base)
    picture_s = first.pts * tick_s
    sounds = container.streams.audio if with_sound else ()
    sounds_s = [
        _starts_s(sound)
        for sound in sounds
        if _is_known(sound) and not is_in_another_program(container, sound, picture_s)
    ]
    begin_s = min([picture_s, *sounds_s])
    if -_PRIMING_S <= begin_s < 0 <= picture_s:
        return Fraction(0)
    return begin_s // tick_s * tick_s


def is_in_another_program(container: InputContainer, stream: Stream, time_s: Fraction) -> bool:
    """Whether a stream belongs to another program than the pictures that begin at ``time_s``.

    A transport stream may contain several programs, each with a clock of its own.
    """
    if not (may_be_discontinuous(container) and _is_known(stream)):
        return False
    return abs(_starts_s(stream) - time_s) > _MAX_GAP_S


def _is_known(stream: Stream) -> bool:
    return stream.start_time is not None and bool(stream.time_base)


def _starts_s(stream: Stream) -> Fraction:
    return (stream.start_time or 0) * fraction(stream.time_base or 0)


def may_be_discontinuous(container: InputContainer) -> bool:
    """Whether the container format allows timestamps with discontinuities."""
    flags: Any = container.format.flags
    return bool(flags & Flags.ts_discont.value)


def browser_duration_s(duration_s: Fraction) -> Fraction:
    """Return how long browsers show an animation's picture of a given duration."""
    return duration_s if duration_s >= _MIN_DURATION_S else _DEFAULT_DURATION_S


def with_browser_durations(
    container: InputContainer, packets: Iterator[av.Packet[Any]]
) -> Iterator[av.Packet[Any]]:
    """Give the pictures of a GIF the durations that browsers use; other packets are unchanged."""
    if container.format.name != "gif":
        yield from packets
        return
    late = 0
    for packet in packets:
        if packet.size:
            tick_s = fraction(packet.time_base)
            asked = packet.duration or 0
            played = round(browser_duration_s(asked * tick_s) / tick_s)
            packet.pts = None if packet.pts is None else packet.pts + late
            packet.dts = None if packet.dts is None else packet.dts + late
            packet.duration = played
            late += played - asked
        yield packet


class DecodingTimes:
    """Derives presentation times for containers with decoding times only, such as AVI.

    If pictures are decoded in another order than they are shown, they get the decoding times in
    presentation order, from the first one on.

    Parameters
    ----------
    container : InputContainer
        A file of any kind; other kinds keep their times.
    """

    def __init__(self, container: InputContainer) -> None:
        self._is_needed = container.format.name in _WITHOUT_PTS
        self._first: int | None = None
        self._delay: int | None = None
        self._last: int | None = None
        self._step = 1

    def see(self, packet: av.Packet[Any]) -> None:
        """Record a packet before it is decoded."""
        if self._first is None:
            self._first = packet.dts

    def date(self, picture: av.VideoFrame) -> None:
        """Set a picture's presentation time; pictures come in that order."""
        if not self._is_needed or self._first is None:
            return
        if picture.dts is not None:
            self._delay = picture.dts - self._first if self._delay is None else self._delay
            picture.pts = picture.dts - self._delay
        elif self._last is not None:  # pictures flushed from the decoder after the last packet
            picture.pts = self._last + self._step
        if picture.pts is not None and self._last is not None:
            self._step = max(1, picture.pts - self._last)
        self._last = picture.pts


class Timeline:
    """Reads packets with continuous times across discontinuities of a file's clock.

    The clock of an MPEG stream wraps every 26.5 hours, and jumps where two recordings were joined.
    Both readers of a file see the same packets and thus compute the same times.

    Parameters
    ----------
    container : InputContainer
        A file at its beginning.
    """

    def __init__(self, container: InputContainer) -> None:
        self._container = container
        self._spans = [_Span(Fraction(0))]
        self._places: dict[int, _StreamState] = {}
        self._end_s = Fraction(0)

    def packets(self, *streams: Stream) -> Iterator[av.Packet[Any]]:
        """Yield the packets of some streams in file order."""
        if not may_be_discontinuous(self._container):
            yield from with_browser_durations(self._container, self._container.demux(streams))
            return
        wanted = {stream.index for stream in streams}
        for packet in self._container.demux():
            self._shift(packet)
            if packet.stream.index in wanted:
                yield packet

    def _shift(self, packet: av.Packet[Any]) -> None:
        """Shift a packet's times to the continuous clock."""
        time = packet.pts if packet.dts is None else packet.dts
        if time is None:
            return
        tick_s = fraction(packet.time_base)
        place = self._places.setdefault(packet.stream.index, _StreamState())
        time_s = time * tick_s
        if place.last_s is not None and _has_jumped(time_s - place.last_s):
            place.span = self._next_span(place, time_s, packet.stream.type)
        place.last_s = time_s
        span = self._spans[place.span]
        span.add(time_s)
        shift = round(span.shift_s / tick_s)
        self._end_s = max(self._end_s, time_s + span.shift_s + (packet.duration or 0) * tick_s)
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift

    def _next_span(self, place: _StreamState, time_s: Fraction, kind: str) -> int:
        """Return the span of a stream whose times jumped: another stream's, or a new one."""
        for number in range(place.span + 1, len(self._spans)):
            if self._spans[number].holds(time_s):
                return number
        if kind not in ("video", "audio"):
            return place.span
        shift_s = self._spans[place.span].shift_s
        jump_s = time_s - (place.last_s or 0)
        if abs(jump_s + _CLOCK_S) < _MAX_GAP_S:
            shift_s += _CLOCK_S  # the clock wrapped
        else:
            shift_s = self._end_s - time_s
        self._spans.append(_Span(shift_s))
        return len(self._spans) - 1


def _has_jumped(step_s: Fraction) -> bool:
    return step_s < -_MAX_STEP_BACK_S or step_s > _CLOCK_S / 2


class _Span:
    """A part of a file without discontinuities."""

    def __init__(self, shift_s: Fraction) -> None:
        self.shift_s = shift_s
        self._first_s: Fraction | None = None
        self._last_s = Fraction(0)

    def add(self, time_s: Fraction) -> None:
        """Add the time of a packet."""
        self._first_s = time_s if self._first_s is None else min(self._first_s, time_s)
        self._last_s = max(self._last_s, time_s)

    def holds(self, time_s: Fraction) -> bool:
        """Whether a packet's time may belong to this span."""
        first_s = time_s if self._first_s is None else self._first_s
        return first_s - _INTERLEAVED_S < time_s < self._last_s + _INTERLEAVED_S


@dataclass
class _StreamState:
    """State of a stream: its span, and its last time in the file's clock."""

    span: int = 0
    last_s: Fraction | None = None
