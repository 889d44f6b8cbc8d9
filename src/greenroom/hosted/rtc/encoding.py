"""Encoding of video for RTP: VP8 and H.264, in real time on one thread."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

import av
from av.video.frame import PictureType

from greenroom.errors import FormatError
from greenroom.hosted.rtc import payloads

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

__all__ = ["VIDEO_RATE", "CodedFrame", "VideoEncoder"]

logger = logging.getLogger(__name__)

VIDEO_RATE: Final = 90_000
"""Rate of the RTP clock of all video, in Hz."""

_TIME_BASE: Final = Fraction(1, VIDEO_RATE)
_STEP: Final = VIDEO_RATE // 1000  # least time between two frames

# A change of the bit rate rebuilds libvpx' encoder, which costs a key frame: FFmpeg cannot change
# it while it runs. A fall is urgent, as packets are being lost; a rise can wait.
_FALL: Final = 0.8
_FALL_INTERVAL_S: Final = 1.0
_RISE: Final = 1.3
_RISE_INTERVAL_S: Final = 5.0

# Frames between key frames where nobody asks for one: a minute.
_KEY_INTERVAL_S: Final = 60


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One frame, encoded and cut into the payloads of RTP packets.

    Attributes
    ----------
    codec : str
        ``VP8`` or ``H264``.
    payloads : tuple of bytes
        One for each RTP packet.
    timestamp : int
        In units of 1/90000 s, from an arbitrary start.
    key : bool
        Whether it can be decoded without any frame before it.
    size : tuple of int
        (width, height).
    """

    codec: str
    payloads: tuple[bytes, ...]
    timestamp: int
    key: bool
    size: tuple[int, int] = (0, 0)


class VideoEncoder:
    """Encodes a stream of frames for any number of peers; used on one thread.

    Parameters
    ----------
    codec : str
        ``VP8`` or ``H264``.
    rate : int
        Expected frames in a second, for the rate control.
    bitrate : int
        The first bit rate, in bits/s.
    """

    def __init__(self, codec: str, rate: int = 30, bitrate: int = 1_000_000) -> None:
        if codec not in _CODECS:
            message = f"video codec {codec!r} is not known: expected one of {', '.join(_CODECS)}"
            raise FormatError(message)
        self.codec = codec
        self._rate = rate
        self._bitrate = bitrate  # of the running encoder
        self._built_s = 0.0
        self._context: VideoCodecContext | None = None
        self._last: int | None = None  # time of the last frame
        self._shift = 0
        self._picture_id = random.randrange(1 << 15)  # noqa: S311 - no secret

    def encode(self, planes: av.VideoFrame, *, key: bool, bitrate: int) -> CodedFrame:
        """Encode one frame.

        Parameters
        ----------
        planes : av.VideoFrame
            With ``pts`` and ``time_base``. Anything but ``yuv420p`` is converted. Not changed.
            Times that do not grow are moved on.
        key : bool
            Whether it has to be a key frame.
        bitrate : int
            Target, in bits/s. Small changes are followed when the encoder is rebuilt anyway.

        Returns
        -------
        CodedFrame

        Raises
        ------
        av.FFmpegError
            If the encoder refuses the frame, and a new encoder does so, too.
        """
        frame = _in_420(planes)
        size = (frame.width, frame.height)
        context = self._context_for(size, bitrate, key=key)
        before = frame.pts, frame.time_base
        timestamp = self._placed(*before)
        frame.pts, frame.time_base = timestamp, _TIME_BASE
        frame.pict_type = PictureType.I if key else PictureType.NONE
        try:
            try:
                packets = context.encode(frame)
            except av.FFmpegError as error:
                logger.warning("the %s encoder is built anew: %s", self.codec, error)
                packets = self._build(size, bitrate).encode(frame)
        finally:
            # The frame may be the caller's, and is encoded elsewhere, too.
            frame.pict_type = PictureType.NONE
            frame.pts, frame.time_base = before
        data = b"".join(bytes(packet) for packet in packets)
        return CodedFrame(
            self.codec,
            tuple(self._cut(data)),
            timestamp,
            any(packet.is_keyframe for packet in packets),
            size,
        )

    def close(self) -> None:
        """Release the encoder."""
        self._context = None

    def _placed(self, pts: int | None, time_base: Fraction | None) -> int:
        """Return a frame's time, later than that of the last one, as encoders refuse any other.

        A frame that was on its way for longer than the picture before it comes out a moment
        later; a clock that begins anew goes on from there.
        """
        time = 0 if pts is None or time_base is None else round(pts * time_base * VIDEO_RATE)
        time += self._shift
        if self._last is not None and time <= self._last:
            later = self._last + _STEP
            if self._last - time > VIDEO_RATE:
                self._shift += later - time
            time = later
        self._last = time
        return time

    def _cut(self, data: bytes) -> list[bytes]:
        if self.codec == "H264":
            return payloads.cut_h264(data)
        self._picture_id = (self._picture_id + 1) % (1 << 15)
        return payloads.cut_vp8(data, self._picture_id)

    def _context_for(self, size: tuple[int, int], bitrate: int, *, key: bool) -> VideoCodecContext:
        """Return the encoder for a size, rebuilt where the bit rate has moved far away."""
        context = self._context
        if context is None or (context.width, context.height) != size:
            return self._build(size, bitrate)
        if bitrate == self._bitrate:
            return context
        if self.codec == "H264":  # changes it while it runs
            context.bit_rate = self._bitrate = bitrate
            return context
        ratio = bitrate / self._bitrate
        age_s = time.monotonic() - self._built_s
        if (
            (ratio <= _FALL and age_s >= _FALL_INTERVAL_S)
            or (ratio >= _RISE and age_s >= _RISE_INTERVAL_S)
            or (key and age_s >= _FALL_INTERVAL_S)
        ):
            return self._build(size, bitrate)
        return context

    def _build(self, size: tuple[int, int], bitrate: int) -> VideoCodecContext:
        self._built_s = time.monotonic()
        self._bitrate = bitrate
        self._context = _CODECS[self.codec](size, self._rate, bitrate)
        return self._context


def _in_420(planes: av.VideoFrame) -> av.VideoFrame:
    """Return a frame as the encoders take it: planar 4:2:0 with even sides."""
    width, height = planes.width & ~1, planes.height & ~1
    if not width or not height:
        message = f"a frame of {planes.width}x{planes.height} cannot be encoded: at least 2x2"
        raise FormatError(message)
    if planes.format.name == "yuv420p" and (width, height) == (planes.width, planes.height):
        return planes
    return planes.reformat(width, height, "yuv420p")


def _vp8(size: tuple[int, int], rate: int, bitrate: int) -> VideoCodecContext:
    context = _context("libvpx", size, rate, bitrate)
    context.qmin, context.qmax = 4, 63
    context.options = {
        "deadline": "realtime",
        # At 640x480 half of the time of -6 with denoising, and 1 to 2 dB closer to the original.
        "cpu-used": "-14",
        "noise-sensitivity": "0",
        "lag-in-frames": "0",
        "static-thresh": "300",  # noise of a camera before a still wall is not coded
        # A constant bit rate, with a buffer of a second.
        "minrate": str(bitrate),
        "maxrate": str(bitrate),
        "bufsize": str(bitrate),
        "overshoot-pct": "15",
        "undershoot-pct": "100",
        "max-intra-rate": "300",
    }
    context.open()
    return context


def _h264(size: tuple[int, int], rate: int, bitrate: int) -> VideoCodecContext:
    context = _context("libx264", size, rate, bitrate)
    context.profile = "Baseline"  # has no B-frames; the level follows from size and rate
    context.max_b_frames = 0
    context.options = {
        "preset": "superfast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "sc_threshold": "0",  # a cut costs bits enough without a key frame
        "maxrate": str(bitrate),
        "bufsize": str(bitrate // 2),
    }
    context.open()
    return context


def _context(name: str, size: tuple[int, int], rate: int, bitrate: int) -> VideoCodecContext:
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base = _TIME_BASE
    context.framerate = Fraction(rate)
    context.bit_rate = bitrate
    context.gop_size = rate * _KEY_INTERVAL_S
    context.thread_count = 1  # sessions share the cores, and each has its threads already
    return context


_CODECS: Final = {"VP8": _vp8, "H264": _h264}
