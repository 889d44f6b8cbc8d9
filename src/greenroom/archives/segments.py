"""Division of a long video into segments that are processed side by side.

Segments begin at key frames, and are planned from packets alone. Each is decoded from a key frame
before it, and its first frames, the warm-up, are processed without being written, so that what
the stages remember is what they would remember in the whole video. What would take longer than
any warm-up to learn is a reason not to divide a video (`whole_reason`).
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greenroom.errors import SettingsError
from greenroom.media.colour import FULL, Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.settings import Framing, People, View
from greenroom.sinks.codecs import CONTAINERS
from greenroom.sinks.frame_encoder import FrameEncoder
from greenroom.sources import VideoSource, create_source
from greenroom.sources.video_packets import PacketPlace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from fractions import Fraction

    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings

__all__ = ["WARM_UP_S", "Segment", "SegmentPlan", "plan_segments", "whole_reason"]

WARM_UP_S: Final = 4.0
"""Video processed before a segment without being written, in seconds (docs/archives.md)."""
# The model looks at every fourth frame of a video: a warm-up that begins at a multiple of it looks
# at the same ones.
_WARM_UP_STEP: Final = 4
# After a gap in the video of more seconds, a video as the background begins anew.
_LONGEST_JUMP_S: Final = 10
# Encoders whose streams can be appended to each other: each begins with a key frame that nothing
# before or after it depends on, and the parameter sets are the same (tests/archives).
_JOINABLE: Final = frozenset(("libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks", "ffv1"))
_WITHOUT_PTS: Final = ("avi", "gif")


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a video: plain data. Times are those of the frames, in the source's time base.

    Attributes
    ----------
    number, count : int
        From 0 on, and how many there are.
    start, end : int or None
        Time of the first frame that is written, and of the first one that is not any more; None
        at the beginning and the end of the video.
    warm_up : int or None
        Time of the first frame that is processed; None for the first of the video.
    place : PacketPlace or None
        The key frame from which to decode; None for the first packet.
    frames : int
        Expected number of frames that are written.
    warm_up_frames : int
        Expected number of those that are processed before.
    first_s : float
        Time of the video's first frame, in seconds.
    background_s : float
        Time since then at which a video as the background last began, in seconds.
    """

    number: int
    count: int
    start: int | None
    end: int | None
    warm_up: int | None
    place: PacketPlace | None
    frames: int
    warm_up_frames: int
    first_s: float
    background_s: float

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Segment:
        """Read what `to_json` returned."""
        values: dict[str, Any] = json.loads(text)
        return cls(**(values | {"place": values["place"] and PacketPlace(*values["place"])}))


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """How a video is divided: plain data.

    Attributes
    ----------
    segments : tuple of Segment
        In their order; empty if the video is not divided.
    reason : str
        Why it is not, as a part of a sentence.
    frames : int or None
        Expected number of frames of the whole video, if it was counted.
    """

    segments: tuple[Segment, ...] = ()
    reason: str = ""
    frames: int | None = None


def whole_reason(settings: Settings) -> str:
    """Return why videos are not divided under some settings; empty if they may be.

    These settings have stages remember something from the beginning of a video on, for as long as
    it lasts, or until the room or the light changes by enough.
    """
    reasons = {
        "the main person is chosen in the first frame": settings.people is People.MAIN,
        "what is kept of the room is learned from the beginning on": settings.keep_region
        is not None,
        "the crop rests where it is until the person leaves it": settings.framing is Framing.FOLLOW,
        "the brightening rests where it is until the light changes": settings.low_light > 0,
        "the screen's colour is detected in the first frames; name it (--key-color)": (
            settings.model == "chroma" and settings.key_color is None
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def plan_segments(
    source: str | Path,
    target: str | Path,
    settings: Settings,
    segment_s: float,
) -> SegmentPlan:
    """Divide a video into segments of about the same length.

    All packets are read, and only the first frame is decoded. A file that cannot be divided
    safely is left whole: it is no video, has no key frames where they are needed, its times are
    missing or not in order, or the settings or the output's codec do not allow it.

    Parameters
    ----------
    source, target : path
        As of `greenroom.files.convert`.
    settings : Settings
        Those that it is processed with.
    segment_s : float
        Length to aim at, in seconds; more than 0.

    Raises
    ------
    SourceError
        If the source cannot be opened.
    TruncatedError
        If it is cut off or damaged, unless ``allow_truncated``.
    SettingsError
        If the output cannot hold such a video, or the length is not positive.
    """
    if segment_s <= 0:
        message = f"segments last longer than 0 s, not {segment_s:g} s"
        raise SettingsError(message)
    reason = whole_reason(settings)
    if not reason and Path(target).suffix.lower() not in CONTAINERS:
        reason = "the output is no video file"
    if reason:
        return SegmentPlan(reason=reason)
    opened = create_source(source, settings)
    try:
        if not isinstance(opened, VideoSource) or opened.info.streams_from is None:
            return SegmentPlan(reason="the input is no video file")
        if opened.container_format in _WITHOUT_PTS:
            reason = f"files of the kind {opened.container_format} do not say when to show a frame"
            return SegmentPlan(reason=reason)
        encoder = _encoder(opened.layout, Path(target), settings, opened.info)
        if encoder not in _JOINABLE:
            return SegmentPlan(reason=f"what {encoder} encodes in parts is not joined")
        if opened.info.frames and opened.info.frames / opened.info.rate < segment_s:
            return SegmentPlan(reason="it is short")
        listing = _Listing(opened)
    finally:
        opened.close()
    return listing.divided(segment_s)


def _encoder(layout: Layout, target: Path, settings: Settings, info: SourceInfo) -> str:
    """Return FFmpeg's name of the encoder for frames of a layout."""
    is_matte = settings.view is View.MATTE
    if is_matte:
        layout = Layout(*layout.size, "gray", Colour(range=FULL))
    is_clear = settings.background == "transparent" and not is_matte
    encoder = FrameEncoder(target, settings, info)
    encoder.prepare(Frame.filled(layout, (0, 0, 0), alpha=255 if is_clear else None))
    assert encoder.codec is not None
    return encoder.codec.encoder


class _Listing:
    """Times of all packets of a video, and the key frames at which it may be divided."""

    def __init__(self, source: VideoSource) -> None:
        info = source.info
        self._time_base = info.time_base
        shift = round(info.begin_s / info.time_base)
        self.reason = ""
        self._times: list[int] = []
        self._keys: list[tuple[int, PacketPlace]] = []  # by the time of their frames
        highest: int | None = None
        for number, packet in enumerate(source.packets()):
            if not packet.size:
                continue
            if packet.pts is None:
                self.reason = "its times are not complete"
                continue
            if number and packet.has_sidedata("new_extradata"):
                self.reason = "its format changes on the way"
            time = packet.pts - shift
            is_next = highest is None or time > highest
            if is_next:
                highest = time
            if packet.is_discard:
                continue
            self._times.append(time)
            if packet.is_keyframe and is_next:
                self._keys.append((time, PacketPlace.of(packet, number)))
        self._times.sort()
        longest = _LONGEST_JUMP_S / self._time_base
        pairs = enumerate(pairwise(self._times), start=1)
        self._after_gaps = [number for number, (last, now) in pairs if now - last > longest]

    def divided(self, segment_s: float) -> SegmentPlan:
        """Return segments of about a length."""
        frames = len(self._times)
        if self.reason or not frames:
            return SegmentPlan(reason=self.reason or "there is nothing in it", frames=frames)
        borders = self._borders(segment_s)
        if not borders:
            return SegmentPlan(reason="it is short, or has no key frames on the way", frames=frames)
        starts, ends = [None, *borders], [*borders, None]
        segments = (
            self._segment(number, len(starts), start, end)
            for number, (start, end) in enumerate(zip(starts, ends, strict=True))
        )
        return SegmentPlan(tuple(segments), frames=frames)

    def _borders(self, segment_s: float) -> list[int]:
        """Choose the key frames nearest to equal distances."""
        first, last = self._times[0], self._times[-1]
        number = round(float((last - first) * self._time_base) / segment_s)
        keys = self._clean_keys()
        chosen = set()
        for index in range(1, number):
            wanted = first + (last - first) * index / number
            place = bisect_left(keys, wanted)
            chosen.update(
                sorted(keys[max(0, place - 1) : place + 1], key=lambda key: abs(key - wanted))[:1]
            )
        return sorted(chosen)

    def _clean_keys(self) -> list[int]:
        """Return the times of key frames before which no frame has to be shown later.

        Frames of the same time are written one tick later each, which may reach the key frame.
        """
        written = _written(self._times)
        return [
            key
            for key, _ in self._keys
            if (index := bisect_left(self._times, key)) and written[index - 1] < key
        ]

    def _segment(self, number: int, count: int, start: int | None, end: int | None) -> Segment:
        times = self._times
        tick_s = self._time_base
        begin = 0 if start is None else bisect_left(times, start)
        stop = len(times) if end is None else bisect_left(times, end)
        early = 0
        if start is not None:
            early = bisect_left(times, start - round(WARM_UP_S / float(tick_s)))
            early -= early % _WARM_UP_STEP
        place = None
        if early:
            place = next(
                (place for key, place in reversed(self._keys) if key <= times[early]), None
            )
        return Segment(
            number,
            count,
            start,
            end,
            warm_up=times[early] if early else None,
            place=place if place is not None and place.number else None,
            frames=stop - begin,
            warm_up_frames=begin - early,
            first_s=_seconds(times[0], tick_s),
            background_s=self._background_s(early),
        )

    def _background_s(self, index: int) -> float:
        """Return the time of the first frame after the last gap up to a frame."""
        since = self._times[max((one for one in self._after_gaps if one <= index), default=0)]
        first = self._times[0]
        return _seconds(since, self._time_base) - _seconds(first, self._time_base)


def _written(times: Iterable[int]) -> list[int]:
    """Return increasing times, as they are written."""
    written: list[int] = []
    for time in times:
        written.append(max(time, written[-1] + 1) if written else time)
    return written


def _seconds(time: int, tick_s: Fraction) -> float:
    """Return a time as `Frame.time_s` counts it."""
    return time * tick_s.numerator / tick_s.denominator
