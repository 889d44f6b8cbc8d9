"""Video that arrives while it is read: cameras, streams and screens, by FFmpeg."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import av

from greenroom.devices.descriptors import FrameReadiness
from greenroom.media.colour import BT601, UNSPECIFIED
from greenroom.media.decoded_frames import flattened
from greenroom.media.decoders import Decoder
from greenroom.media.decoding import reason_of, stream_choice, video_stream
from greenroom.media.deinterlacing import Deinterlacer
from greenroom.media.frame import Frame, fraction
from greenroom.media.source_info import SourceInfo
from greenroom.sources.camera_errors import lost_error
from greenroom.sources.realtime import MICROSECOND, FrameNormalizer, stamped
from greenroom.sources.source import Source
from greenroom.sources.strict_decoder import StrictDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from av.container import InputContainer
    from av.video.stream import VideoStream

    from greenroom.errors import CameraError
    from greenroom.media.clock import Clock

__all__ = ["CAMERA_MATRIX", "FRESH_S", "LiveDecoder", "LiveInput", "video_text"]

logger = logging.getLogger(__name__)

# A device's own time stamp is taken if the frame was captured at most so long ago.
FRESH_S: Final = 0.5
# How long one look for the next frame takes, at most, and where it cannot be waited for.
_LOOK_S: Final = 0.1
_NAP_S: Final = 0.002
# What a source is taken to give if it does not say.
_USUAL_RATE: Final = Fraction(30)
# As people know them.
_CODEC_NAMES: Final = {"mjpeg": "MJPEG", "h264": "H.264", "hevc": "HEVC", "yuyv422": "YUYV"}
# What webcams mean if they do not say, at any size (USB video class 1.5, 3.9.2.6).
CAMERA_MATRIX: Final = BT601[0]
_ENDED: Final = "it has ended"


@dataclass(frozen=True, slots=True)
class LiveInput:
    """What FFmpeg is asked to open.

    Attributes
    ----------
    name : str
        The source, as people read it; without passwords.
    address : str
        What FFmpeg opens.
    format : str or None
        FFmpeg's name of the device or format, if it is not to be guessed.
    options : mapping
        FFmpeg's, for opening.
    open_s : float
        How long opening may take, where FFmpeg can stop it.
    silence_s : float
        After how long without a frame it is lost.
    size : (int, int), optional
        Width and height that frames are scaled to.
    device : str
        The device file, where its descriptor tells that a frame is there.
    keeps_interlaced : bool
        Whether interlaced frames stay so.
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


class LiveDecoder(Source):
    """Gives frames as they arrive, each at once, and none that is half decoded.

    Parameters
    ----------
    asked : LiveInput
        What to open.
    clock : Clock
        Tells time.
    explain : callable
        Makes the error of what FFmpeg raised at opening.
    keeps_time : bool
        Leave the frames the time stamps that they came with, to be paced by these.

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
        self._asked = asked
        self._clock = clock
        self._keeps_time = keeps_time
        self._closing = threading.Event()
        self._reading = threading.Lock()
        self._readiness = FrameReadiness(asked.device)
        try:
            self._container = _opened(asked, keeps_all=keeps_time)
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
        self._whole = StrictDecoder(decoder.context, asked.name)
        rate = self._stream.average_rate or self._decoder.framerate or self._stream.guessed_rate
        self.info = SourceInfo(
            name=asked.name,
            rate=fraction(rate) if rate else _USUAL_RATE,
            time_base=MICROSECOND,
            negotiated=video_text(
                (self._stream.width, self._stream.height), self._kind, rate and fraction(rate)
            ),
        )

    @property
    def damaged(self) -> int:
        """How many frames were left out because they could not be decoded as a whole."""
        return self._whole.damaged

    @property
    def is_finite(self) -> bool:
        """Whether it has an end that is known, so is stored somewhere rather than live."""
        return self._duration > 0

    @property
    def comes_in_parts(self) -> bool:
        """Whether seconds of it arrive at once, as files in a list."""
        return any(name in self._container.format.name for name in ("hls", "dash"))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of what arrives."""
        return self._stream.width, self._stream.height

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`.

        Raises
        ------
        CameraLostError
            If it ends, breaks, or gives no frame for a while.
        """
        with self._reading:
            try:
                yield from self._frames()
            finally:
                self._closing.set()
                self._container.close()

    def close(self) -> None:
        """See `Source.close`; a thread that reads does it itself as soon as it may."""
        self._closing.set()
        if self._reading.acquire(blocking=False):
            try:
                self._container.close()
            finally:
                self._reading.release()

    def _frames(self) -> Iterator[Frame]:
        steady = FrameNormalizer(self._asked.name, self._asked.size)
        for picture in self._pictures():
            if self._asked.device and picture.colorspace == UNSPECIFIED:
                picture.colorspace = CAMERA_MATRIX
            # Devices have nothing to be seen through, whatever their fourth byte says.
            taken = flattened if self._asked.format in (None, "lavfi") else Frame.from_av
            try:
                frame = steady(taken(picture, "yuv420p"))
            except (ValueError, OSError) as error:
                raise self._lost(reason_of(error)) from error
            yield frame if self._keeps_time else stamped(frame, self._captured_s(frame))
            self._seen_s = self._clock.now()

    def _pictures(self) -> Iterator[av.VideoFrame]:
        if self._asked.keeps_interlaced:
            yield from self._decoded()
            return
        deinterlacer = Deinterlacer(
            lambda: logger.warning("%s is interlaced: it is deinterlaced", self._asked.name)
        )
        for picture in self._decoded():
            yield from deinterlacer.push(picture)
        yield from deinterlacer.finish()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            yield from self._whole.decode(packet)
        if not self._closing.is_set():  # it is a file that has ended
            yield from self._whole.finish()

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        """Read what arrives, looking up now and then."""
        self._seen_s = self._clock.now()
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
                self._look()
            except (av.error.FFmpegError, OSError) as error:
                if self._closing.is_set():
                    return
                raise self._lost(_reading_reason(error, self._asked.silence_s)) from error

    def _check_silence(self) -> None:
        if self._clock.now() - self._seen_s > self._asked.silence_s:
            reason = f"no whole frame came for {self._asked.silence_s:g} s"
            raise self._lost(reason)

    def _look(self) -> None:
        """Wait until a frame may be there."""
        if not self._readiness.wait(_LOOK_S):
            self._closing.wait(_NAP_S)

    def _captured_s(self, frame: Frame) -> float:
        """Return when a frame was captured: the driver's word if it is by the same clock."""
        now_s = self._clock.now()
        told_s = frame.time_s
        if self._asked.device and told_s is not None and 0 <= now_s - told_s < FRESH_S:
            return told_s
        return now_s

    @property
    def _kind(self) -> str:
        """Return what a frame is before it is decoded."""
        is_raw = self._decoder.name in ("rawvideo", "wrapped_avframe")
        return str(self._decoder.pix_fmt if is_raw else self._decoder.name)

    def _lost(self, reason: str) -> CameraError:
        return lost_error(self._asked.name, reason, self._asked.device)


def video_text(size: tuple[int, int], kind: str, rate: Fraction | None) -> str:
    """Say what a source gives, such as ``1280x720 MJPEG, 30 frames/s``."""
    said = f"{size[0]}x{size[1]} {_CODEC_NAMES.get(kind, kind.upper())}"
    return f"{said}, {float(rate):.4g} frames/s" if rate else said


def _opened(asked: LiveInput, *, keeps_all: bool) -> InputContainer:
    lenient: Any = {"metadata_errors": "replace"} if _before_av_19(av.__version__) else {}
    container: InputContainer = av.open(
        asked.address,
        "r",
        format=asked.format,
        # Without a buffer, what FFmpeg looked at to know the format is not shown: it is old.
        options={"fflags": "discardcorrupt" if keeps_all else "nobuffer+discardcorrupt"}
        | dict(asked.options),
        timeout=(asked.open_s, asked.silence_s),
        **lenient,
    )
    return container


def _before_av_19(version: str) -> bool:
    return int(version.partition(".")[0]) < 19


def _reading_reason(error: Exception, silence_s: float) -> str:
    if isinstance(error, av.error.ExitError):  # what PyAV's own deadline looks like
        return f"nothing came for {silence_s:g} s"
    if isinstance(error, EOFError):
        return _ENDED
    return reason_of(error)
