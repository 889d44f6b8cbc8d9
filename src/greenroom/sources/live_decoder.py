"""Decoding of live video by FFmpeg: cameras, streams and screens."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import av

from greenroom.devices.descriptors import FrameReadiness
from greenroom.media.colour import UNSPECIFIED
from greenroom.media.decoded_frames import flattened
from greenroom.media.decoders import Decoder
from greenroom.media.decoding import reason_of, stream_choice, video_stream
from greenroom.media.deinterlacing import Deinterlacer
from greenroom.media.frame import Frame, fraction
from greenroom.media.source_info import SourceInfo
from greenroom.sources.live_source import (
    CAMERA_MATRIX,
    DEFAULT_RATE,
    LiveSource,
    captured_s,
    video_text,
)
from greenroom.sources.realtime import MICROSECOND, FrameNormalizer, stamped
from greenroom.sources.strict_decoder import StrictDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from greenroom.errors import CameraError
    from greenroom.media.clock import Clock

__all__ = ["LiveDecoder", "LiveInput"]

logger = logging.getLogger(__name__)

# Longest wait for the device, and pause between attempts where it cannot be waited for.
_POLL_S: Final = 0.1
_PAUSE_S: Final = 0.002
_ENDED: Final = "it has ended"


@dataclass(frozen=True, slots=True)
class LiveInput:
    """Address and options of a live input for FFmpeg.

    Attributes
    ----------
    name : str
        Name for messages, without passwords.
    address : str
        FFmpeg's URL or device name.
    format : str or None
        FFmpeg's input format; None lets FFmpeg detect it.
    options : mapping
        FFmpeg's options for opening.
    open_s : float
        Timeout for opening, where FFmpeg can stop it.
    silence_s : float
        Time without a frame after which the source counts as lost.
    size : (int, int), optional
        Width and height to which frames are scaled.
    device : str
        Device file, if its descriptor can be polled for frames.
    keeps_interlaced : bool
        Whether interlaced frames are left as they are.
    """

    name: str
    address: str
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    open_s: float = 10.0
    silence_s: float = 2.0
    size: tuple[int, int] | None = None
    device: str = ""
    keeps_interlaced: bool = False


class LiveDecoder(LiveSource):
    """Decodes each frame as it arrives, and skips incomplete ones.

    Parameters
    ----------
    asked : LiveInput
        The input to open.
    clock : Clock
        Source of the time.
    explain : callable
        Turns FFmpeg's error at opening into the one that is raised.
    keeps_time : bool
        Whether frames keep their own time stamps, for pacing.

    Raises
    ------
    CameraError
        If it cannot be opened.
    """

    def __init__(
        self,
        asked: LiveInput,
        clock: Clock,
        explain: Callable[[Exception], CameraError],
        *,
        keeps_time: bool = False,
    ) -> None:
        super().__init__(asked.name, asked.device, clock, asked.silence_s)
        self._asked = asked
        self._keeps_time = keeps_time
        self._readiness = FrameReadiness(asked.device)
        try:
            self._container = _opened(asked, keeps_probed=keeps_time)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise explain(error) from error
        try:
            self._stream = video_stream(self._container)
            decoder = Decoder(self._stream)
        except ValueError as error:
            self._container.close()
            raise explain(error) from error
        choice = stream_choice(self._container, self._stream)
        if choice is not None:
            logger.warning("%s: %s", asked.name, choice)
        self._readiness.find()
        self._duration = self._container.duration or 0
        self._decoder: Any = self._stream.codec_context
        self._strict = StrictDecoder(decoder.context, asked.name)
        rate = self._stream.average_rate or self._decoder.framerate or self._stream.guessed_rate
        self.info = SourceInfo(
            name=asked.name,
            rate=fraction(rate) if rate else DEFAULT_RATE,
            time_base=MICROSECOND,
            negotiated=video_text(
                (self._stream.width, self._stream.height), self._kind, rate and fraction(rate)
            ),
        )

    @property
    def damaged(self) -> int:
        """See `Source.damaged`."""
        return self._strict.damaged

    @property
    def is_finite(self) -> bool:
        """Whether its duration is known, so that it is a stored video rather than live."""
        return self._duration > 0

    @property
    def is_segmented(self) -> bool:
        """Whether it arrives in segments of several seconds (HLS, DASH)."""
        return any(name in self._container.format.name for name in ("hls", "dash"))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the arriving frames."""
        return self._stream.width, self._stream.height

    def _release(self) -> None:
        self._container.close()

    def _frames(self) -> Generator[Frame]:
        normalize = FrameNormalizer(self._name, self._asked.size)
        for picture in self._pictures():
            if self._device and picture.colorspace == UNSPECIFIED:
                picture.colorspace = CAMERA_MATRIX
            # Devices have no transparency, whatever their fourth byte holds.
            convert = flattened if self._asked.format in (None, "lavfi") else Frame.from_av
            try:
                frame = normalize(convert(picture, "yuv420p"))
            except (ValueError, OSError) as error:
                raise self._lost(reason_of(error)) from error
            if not self._keeps_time:
                # Only a device tells when it took a frame.
                stamp_s = frame.time_s if self._device else None
                frame = stamped(frame, captured_s(stamp_s, self._clock.now()))
            yield frame

    def _pictures(self) -> Iterator[av.VideoFrame]:
        if self._asked.keeps_interlaced:
            yield from self._decoded()
            return
        deinterlacer = Deinterlacer(
            lambda: logger.warning("%s is interlaced: it is deinterlaced", self._name)
        )
        for picture in self._decoded():
            yield from deinterlacer.push(picture)
        yield from deinterlacer.finish()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            yield from self._strict.decode(packet)
        if not self._closing.is_set():  # a file has ended
            yield from self._strict.finish()

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        """Read packets as they arrive, and check for closing and silence in between."""
        while not self._closing.is_set():
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size == 0 and packet.pts is None:
                        break  # after the last one
                    yield packet
                    if self._closing.is_set():
                        return
                    self._check_silence()
                if self._keeps_time and self.is_finite:
                    return
                raise self._lost(_ENDED)
            except BlockingIOError:  # nothing has arrived yet
                self._check_silence()
                self._wait_for_frame()
            except (av.error.FFmpegError, OSError) as error:
                if self._closing.is_set():
                    return
                raise self._lost(_reading_reason(error, self._silence_s)) from error

    def _wait_for_frame(self) -> None:
        """Wait until a frame may have arrived."""
        if not self._readiness.wait(_POLL_S):
            self._closing.wait(_PAUSE_S)

    @property
    def _kind(self) -> str:
        """Codec of the stream, or pixel format of raw video."""
        is_raw = self._decoder.name in ("rawvideo", "wrapped_avframe")
        return str(self._decoder.pix_fmt if is_raw else self._decoder.name)


def _opened(asked: LiveInput, *, keeps_probed: bool) -> InputContainer:
    lenient: Any = {"metadata_errors": "replace"} if _before_av_19(av.__version__) else {}
    container: InputContainer = av.open(
        asked.address,
        "r",
        format=asked.format,
        # Without a buffer: the frames that FFmpeg probed are old and are not shown.
        options={"fflags": "discardcorrupt" if keeps_probed else "nobuffer+discardcorrupt"}
        | dict(asked.options),
        timeout=(asked.open_s, asked.silence_s),
        **lenient,
    )
    return container


def _before_av_19(version: str) -> bool:
    return int(version.partition(".")[0]) < 19


def _reading_reason(error: Exception, silence_s: float) -> str:
    if isinstance(error, av.error.ExitError):  # PyAV's own timeout
        return f"nothing came for {silence_s:g} s"
    if isinstance(error, EOFError):
        return _ENDED
    return reason_of(error)
