"""Decoder that uses the GPU where that gives the pictures of the processor's decoder."""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np

from greenroom.media.colour import Colour
from greenroom.media.decoded_frames import flattened
from greenroom.media.decoders import Decoder, has_alpha, has_alpha_mode
from greenroom.media.decoding import MEDIA_ERRORS, reason_of
from greenroom.media.frame import colour_of, is_hdr
from greenroom.media.gpu_contexts import GpuError, ways_here
from greenroom.media.kept_packets import MAX_DELAY, KeptPackets
from greenroom.media.surface_frame import downloaded, planar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from av.video.stream import VideoStream

    from greenroom.media.deinterlacing import Deinterlacer
    from greenroom.media.gpu_contexts import Way

__all__ = ["GpuDecoder"]

logger = logging.getLogger(__name__)

# Codecs whose decoders all give the same samples, as their specifications say.
_CODECS: Final = ("h264", "hevc", "vp9", "av1")
# Their formats that NVIDIA's GPUs decode.
_FORMATS: Final = ("yuv420p", "yuvj420p", "yuv420p10le")
# Pictures that are compared, and packets in which they have to come.
_TRIAL_PICTURES: Final = 4
_MAX_TRIAL_PACKETS: Final = 128


class _Stage(Enum):
    WAITING = "for the first picture, which is the processor's"
    TRIAL = "both decode"
    GPU = "the GPU decodes"
    PROCESSOR = "the processor decodes"


class GpuDecoder(Decoder):
    """Decodes on the GPU, and on the processor what that cannot do.

    The first pictures are decoded by both. Only if the GPU's are equal, with their times, it goes
    on alone. Whenever it fails later, or comes to what it must not do (damage, alpha, interlaced
    or HDR pictures), the processor decodes again from a key frame on, gives what has not come out
    yet, and goes on. So pictures, times and errors are those of `Decoder`.

    State: the stage, the GPU's decoder, and the last packets.

    Parameters
    ----------
    stream : av.VideoStream
        As for `Decoder`.
    deinterlacer : Deinterlacer, optional
        As for `Decoder`; interlaced pictures are the processor's then.
    name : str
        The input, for the log.
    ways : iterable of Way, optional
        Ways to open the GPU's decoder, which are tried in this order; `ways_here` if not given.
    """

    def __init__(
        self,
        stream: VideoStream,
        deinterlacer: Deinterlacer | None,
        name: str,
        ways: Iterable[Way] | None = None,
    ) -> None:
        super().__init__(stream, deinterlacer)
        self._video = stream
        self._fields = deinterlacer
        self._name = name
        self._all_ways = tuple(ways_here() if ways is None else ways)
        self._stage = _Stage.WAITING
        self._kept = KeptPackets()
        self._was_on_gpu = False
        self._late: list[av.VideoFrame] = []  # pictures that an error came before
        self._given_before: set[int] = set()  # times of pictures that the processor decodes again
        self._delay = 0  # packets until the last of these
        self._begin()
        reason = _unsuitable(stream)
        if reason is not None:
            self._leave_to_processor(reason)

    @property
    def places(self) -> str:
        """See `Decoder.places`; what is decoded for comparison does not count."""
        if self._stage is _Stage.GPU:
            return "cuda"
        return "cuda, cpu" if self._was_on_gpu else "cpu"

    def decode(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """See `Decoder.decode`. Pictures of the GPU may be in its memory."""
        if self._stage is _Stage.PROCESSOR:
            pictures = self._new(super().decode(packet))
            late, self._late = self._late, []
            return late + pictures
        self._kept.add(packet)
        if self._stage is _Stage.GPU:
            return self._from_gpu(packet)
        return self._from_both(packet)

    def finish(self) -> list[av.VideoFrame]:
        """See `Decoder.finish`."""
        late, self._late = self._late, []
        return late + self._new(super().finish())

    def restart(self) -> None:
        """See `Decoder.restart`."""
        super().restart()
        self._late.clear()
        self._given_before.clear()
        self._kept.clear()
        if self._stage is _Stage.GPU:
            depth = self._gpu.reorder_depth
            self._gpu.flush_buffers()
            self._gpu.reorder_depth = depth
            self._ahead = 0
        elif self._stage is not _Stage.PROCESSOR:
            self._begin()

    def _begin(self) -> None:
        """Begin the trial at the next packet."""
        self._stage = _Stage.WAITING
        self._ways: Iterator[Way] = iter(self._all_ways)
        self._way: Way | None = None
        self._gpu: Any = None
        self._given = 0  # pictures of the processor's
        self._expected: list[av.VideoFrame] = []  # the first of them
        self._found: list[av.VideoFrame] = []  # the GPU's
        self._ahead = 0  # the processor's pictures that the GPU has not decoded yet
        self._faults: list[str] = []

    def _from_both(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """Decode on the processor, and on the GPU for comparison."""
        try:
            pictures = super().decode(packet)
        except av.error.FFmpegError:
            self._leave_to_processor("it is damaged")
            raise
        if packet is None or packet.size == 0:
            self._leave_to_processor("it is too short")
        elif self._fields is not None and self._fields.has_seen_fields:
            self._leave_to_processor("it is interlaced")
        elif any(picture.pts is None for picture in pictures):
            self._leave_to_processor("its pictures have no times")
        else:
            return pictures + self._compared(packet, pictures)
        return pictures

    def _compared(
        self, packet: av.Packet[Any], pictures: list[av.VideoFrame]
    ) -> list[av.VideoFrame]:
        """Have the GPU decode a packet, too; return what only that has decoded, if it goes on."""
        self._note(pictures)
        self._given += len(pictures)
        self._expected += pictures[: _TRIAL_PICTURES - len(self._expected)]
        if self._stage is _Stage.TRIAL:
            self._try([packet])
        elif self._given > len(pictures):  # someone goes on after the first picture
            self._try_next()
        if self._stage is not _Stage.GPU:
            return []
        ahead, self._found = self._found[self._given :], []
        self._note(ahead)
        return ahead

    def _note(self, pictures: list[av.VideoFrame]) -> None:
        """Record what comes out."""
        for picture in pictures:
            assert picture.pts is not None
            self._kept.gave(picture.pts)

    def _try_next(self) -> None:
        """Try the next way to open the GPU's decoder, with all packets so far."""
        self._stage, self._gpu, self._found = _Stage.TRIAL, None, []
        self._way = next(self._ways, None)
        if self._way is None:
            self._leave_to_processor("; ".join(self._faults) or "there is no way to do it")
            return
        try:
            self._gpu = self._way.open(self._video)
        except GpuError as error:
            self._faults.append(str(error))
            self._try_next()
            return
        self._try(self._kept)

    def _try(self, packets: Iterable[av.Packet[Any] | None]) -> None:
        """Decode packets on the GPU for comparison; decide when there is enough."""
        assert self._way is not None
        try:
            for packet in packets:
                self._found += self._asked(packet)
            is_decided = self._is_equal()
        except (GpuError, *MEDIA_ERRORS) as error:
            self._faults.append(f"{self._way.name}: {reason_of(error)}")
            self._try_next()
            return
        if is_decided:
            self._leave_to_gpu(self._way)
        elif len(self._kept) > _MAX_TRIAL_PACKETS:
            self._leave_to_processor("no pictures came to compare")

    def _is_equal(self) -> bool:
        """Whether enough pictures are there, and are equal; raise GpuError if one is not."""
        pairs = list(zip(self._expected, self._found, strict=False))
        if len(pairs) < _TRIAL_PICTURES:
            return False
        for expected, found in pairs:
            _check_equal(expected, found)
        return True

    def _leave_to_gpu(self, way: Way) -> None:
        self._stage, self._was_on_gpu = _Stage.GPU, True
        self._ahead = max(0, self._given - len(self._found))
        self._expected = []
        self.context.flush_buffers()  # of the processor's, which may have to go on
        where = "pictures stay in its memory" if way.stays else "pictures are downloaded"
        logger.info("input '%s' is decoded by the GPU: %s", self._name, where)
        for fault in self._faults:
            logger.info("input '%s' could not be opened with %s", self._name, fault)

    def _leave_to_processor(self, reason: str) -> None:
        self._stage, self._gpu = _Stage.PROCESSOR, None
        self._expected, self._found = [], []
        self._kept.clear()
        logger.info("input '%s' is decoded by the processor: %s", self._name, reason)

    def _from_gpu(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """Decode on the GPU alone."""
        try:
            came = self._asked(packet)
            pictures = came[self._ahead :]
            self._check(pictures)
        except (GpuError, *MEDIA_ERRORS) as error:
            return self._again(reason_of(error))
        self._ahead = max(0, self._ahead - len(came))
        self._note(pictures)
        return pictures

    def _asked(self, packet: av.Packet[Any] | None) -> list[av.VideoFrame]:
        """Return the GPU's pictures of a packet."""
        if packet is not None and (packet.is_corrupt or has_alpha(packet)):
            message = "a part of it is damaged, or can be seen through"
            raise GpuError(message)
        pictures = [planar(picture) for picture in self._gpu.decode(packet)]
        for picture in pictures:
            self.set_colours(picture)
            self._check_kind(picture)
        return pictures

    def _check_kind(self, picture: av.VideoFrame) -> None:
        """Raise GpuError for what is the processor's to decode."""
        reasons = {
            "a picture has no time": picture.pts is None,
            "a picture is damaged": picture.is_corrupt,
            "it is interlaced": self._fields is not None and picture.interlaced_frame,
            "it has a high dynamic range": is_hdr(colour_of(picture)),
        }
        for reason, is_so in reasons.items():
            if is_so:
                raise GpuError(reason)

    def _check(self, pictures: list[av.VideoFrame]) -> None:
        """Raise GpuError if a picture came before, or it could not be decoded again."""
        if self._kept.is_full:
            message = "its key frames are too far apart"
            raise GpuError(message)
        times = [picture.pts for picture in pictures]
        if len(set(times)) < len(times) or any(map(self._kept.has_given, times)):
            message = "two pictures have one time"
            raise GpuError(message)

    def _again(self, reason: str) -> list[av.VideoFrame]:
        """Have the processor decode the last packets, and go on.

        Raises
        ------
        av.error.FFmpegError
            The first of its errors; pictures after that come with the next packet.
        """
        pictures: list[av.VideoFrame] = []
        failure: av.error.FFmpegError | None = None
        self.context.reorder_depth = max(self.context.reorder_depth, self._gpu.reorder_depth)
        for packet in self._kept:
            try:
                pictures += super().decode(packet)
            except av.error.FFmpegError as error:
                failure = failure or error
        self._given_before, self._delay = self._kept.given, MAX_DELAY
        new = self._new(pictures)
        self._leave_to_processor(reason)
        if failure is not None:
            self._late = new
            raise failure
        return new

    def _new(self, pictures: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """Return those of the processor's pictures that did not come out before.

        Its threads hold pictures back, so some that did may still come.
        """
        if not self._given_before:
            return pictures
        new = [picture for picture in pictures if picture.pts not in self._given_before]
        self._delay -= 1
        if self._delay < 0:
            self._given_before.clear()
        return new


def _unsuitable(stream: VideoStream) -> str | None:
    """Return why a stream is not for the GPU, or None."""
    context: Any = stream.codec_context
    codec = context.codec.canonical_name
    if codec not in _CODECS:
        return f"{codec} is not a codec of which all decoders give the same pictures"
    if context.pix_fmt not in _FORMATS:
        return f"the GPU decodes no {context.pix_fmt}"
    if has_alpha_mode(stream):
        return "it can be seen through"
    if is_hdr(Colour(transfer=context.color_trc)):
        return "it has a high dynamic range"
    return None


def _check_equal(expected: av.VideoFrame, found: av.VideoFrame) -> None:
    """Raise GpuError if the GPU's picture is not the processor's."""
    times = [(one.pts, one.time_base, one.duration) for one in (expected, found)]
    if times[0] != times[1]:
        message = f"its pictures have other times, {times[1]} and not {times[0]}"
        raise GpuError(message)
    ours, theirs = (flattened(downloaded(one), "yuv420p") for one in (expected, found))
    if ours.layout != theirs.layout:
        message = f"its pictures are {theirs.layout}, not {ours.layout}"
        raise GpuError(message)
    for plane, other in zip(ours.planes, theirs.planes, strict=True):
        levels = int(np.abs(plane.astype(np.int16) - other).max())
        if levels:
            message = f"its pictures differ by {levels} levels"
            raise GpuError(message)
