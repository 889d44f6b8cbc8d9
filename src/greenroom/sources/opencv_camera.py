"""Cameras by OpenCV's VideoCapture."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import cv2
import numpy as np

from greenroom.devices.v4l2 import open_device
from greenroom.errors import CameraError
from greenroom.media.frame import Frame
from greenroom.media.source_info import SourceInfo
from greenroom.sources.camera import MJPEG, CameraRequest, best_format, warn_of_differences
from greenroom.sources.camera_errors import lost_error, opening_error
from greenroom.sources.live_decoder import CAMERA_MATRIX, MAX_TIMESTAMP_AGE_S, video_text
from greenroom.sources.realtime import MICROSECOND, FrameNormalizer, stamped
from greenroom.sources.source import Source
from greenroom.sources.strict_decoder import StrictDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from greenroom.devices.cameras import CameraInfo
    from greenroom.media.clock import Clock
    from greenroom.settings import Settings

__all__ = ["OpenCvCamera"]

logger = logging.getLogger(__name__)

# What OpenCV hands over as it came from the camera, by V4L2's four letters.
_RAW: Final = (MJPEG, "YUYV")
_USUAL_RATE: Final = Fraction(30)
# As long as frames fail one after the other, the camera is asked again; then it is lost.
_SILENCE_S: Final = 2.0
_NAP_S: Final = 0.01


class OpenCvCamera(Source):
    """Reads a camera by OpenCV, planar where OpenCV leaves frames as they came.

    Parameters
    ----------
    camera : CameraInfo
        The camera.
    settings : Settings
        ``size`` and ``rate`` are asked for.
    clock : Clock
        Tells time.
    platform : str
        As `sys.platform`.
    open_capture : callable, optional
        ``cv2.VideoCapture`` unless a test has its own.

    Raises
    ------
    CameraError
        Of the kind that says why it cannot be opened.
    """

    def __init__(
        self,
        camera: CameraInfo,
        settings: Settings,
        clock: Clock,
        platform: str = sys.platform,
        open_capture: Callable[..., Any] | None = None,
    ) -> None:
        _silence_opencv()
        self._camera = camera
        self._name = f"camera '{camera.name}'"
        self._clock = clock
        self._platform = platform
        self._closing = threading.Event()
        self._reading = threading.Lock()
        self._whole = StrictDecoder(av.CodecContext.create("mjpeg", "r"), self._name)
        wanted = CameraRequest(settings)
        chosen = best_format(camera, wanted)
        is_linux = platform.startswith("linux")
        backends = {"darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_DSHOW}
        target = camera.path if is_linux else camera.number
        backend = cv2.CAP_V4L2 if is_linux else backends.get(platform, cv2.CAP_ANY)
        self._capture = (open_capture or cv2.VideoCapture)(target, backend)
        if not self._capture.isOpened():
            self._capture.release()
            raise self._why_not(str(wanted))
        fourcc = chosen.fourcc if chosen else MJPEG if wanted.size else None
        self._negotiate(wanted, fourcc)
        self.info = self._described(wanted)

    @property
    def damaged(self) -> int:
        """How many frames were left out because they could not be decoded as a whole."""
        return self._whole.damaged

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`.

        Raises
        ------
        CameraLostError
            If it gives no frame any more.
        """
        with self._reading:
            try:
                yield from self._frames()
            finally:
                self._closing.set()
                self._capture.release()

    def close(self) -> None:
        """See `Source.close`; a thread that reads does it itself as soon as it may."""
        self._closing.set()
        if self._reading.acquire(blocking=False):
            try:
                self._capture.release()
            finally:
                self._reading.release()

    def _frames(self) -> Iterator[Frame]:
        steady = FrameNormalizer(self._name)
        seen_s = self._clock.now()
        while not self._closing.is_set():
            read, samples = self._capture.read()
            now_s = self._clock.now()
            picture = self._picture(samples) if read and samples is not None else None
            if picture is not None:
                seen_s = now_s
                frame = steady(Frame.from_av(picture, "yuv420p"))
                yield stamped(frame, self._captured_s(now_s))
            elif self._is_gone():
                raise lost_error(self._name, "its device has gone", self._camera.path)
            elif now_s - seen_s > _SILENCE_S:
                reason = f"no whole frame came for {_SILENCE_S:g} s"
                raise lost_error(self._name, reason, self._camera.path)
            elif not read:
                self._clock.wait(self._closing, _NAP_S)

    def _captured_s(self, now_s: float) -> float:
        """Return when a frame was captured: the driver's word if it is by the same clock."""
        told_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return float(told_s) if 0 <= now_s - told_s < MAX_TIMESTAMP_AGE_S else now_s

    def _is_gone(self) -> bool:
        return self._platform.startswith("linux") and not Path(self._camera.path).exists()

    def _picture(self, samples: NDArray[Any]) -> av.VideoFrame | None:
        """Make FFmpeg's frame of what OpenCV gave, or None of what is damaged."""
        height, width = samples.shape[:2]
        if samples.ndim == 2 and (height == 1 or width == 1):
            pictures = self._whole.decode(av.Packet(samples.tobytes()))
            return pictures[0] if pictures else None
        if samples.ndim == 3 and samples.shape[2] == 2:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(samples), "yuyv422")
            picture.colorspace = CAMERA_MATRIX
            return picture
        if samples.ndim == 3 and samples.shape[2] == 3:
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(samples), "bgr24")
        if samples.ndim == 2:
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(samples), "gray")
        message = (
            f"{self._name}: OpenCV gives frames of shape {samples.shape}, which are not known. Use "
            "--capture ffmpeg"
        )
        raise CameraError(message, self._camera.path)

    def _negotiate(self, wanted: CameraRequest, fourcc: str | None) -> None:
        """Ask for format, size and rate, in the order that drivers need."""
        capture = self._capture
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if fourcc is not None:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
        if wanted.size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.size[1])
        if wanted.rate is not None:
            capture.set(cv2.CAP_PROP_FPS, float(wanted.rate))
        if self._platform.startswith("linux") and _fourcc(capture.get(cv2.CAP_PROP_FOURCC)) in _RAW:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)

    def _described(self, wanted: CameraRequest) -> SourceInfo:
        capture = self._capture
        size = (
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
        told = capture.get(cv2.CAP_PROP_FPS)
        rate = Fraction(told).limit_denominator(1001) if told and told > 0 else None
        warn_of_differences(self._camera.name, wanted, size, rate)
        fourcc = _fourcc(capture.get(cv2.CAP_PROP_FOURCC))
        kind = "mjpeg" if fourcc == MJPEG else fourcc or "by OpenCV"
        return SourceInfo(
            name=self._name,
            rate=rate or _USUAL_RATE,
            time_base=MICROSECOND,
            negotiated=video_text(size, kind, rate),
        )

    def _why_not(self, asked: str) -> CameraError:
        """Find out why a camera did not open: OpenCV does not say."""
        number = errno.EIO
        if self._platform.startswith("linux"):
            try:
                with open_device(self._camera.path) as device:
                    device.capability()
                    if device.is_busy():
                        number = errno.EBUSY
            except OSError as error:
                number = error.errno or errno.EIO
        reason = OSError(number, os.strerror(number))
        return opening_error(reason, self._camera, asked, self._platform)


def _silence_opencv() -> None:
    """Keep OpenCV from writing to standard error what is told as an error here."""
    with suppress(AttributeError):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _fourcc(value: float) -> str:
    """Read four letters out of OpenCV's number."""
    data = (int(value) & 0xFFFFFFFF).to_bytes(4, "little")
    return data.decode("ascii", "replace").strip("\0 ") if all(data) else ""
