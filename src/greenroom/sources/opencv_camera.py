"""Cameras by OpenCV's VideoCapture."""

from __future__ import annotations

import errno
import logging
import os
import sys
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
from greenroom.sources.camera_errors import opening_error
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
    from collections.abc import Callable, Generator

    from numpy.typing import NDArray

    from greenroom.devices.cameras import CameraInfo
    from greenroom.media.clock import Clock
    from greenroom.settings import Settings

__all__ = ["OpenCvCamera"]

logger = logging.getLogger(__name__)

# Formats that OpenCV can pass on undecoded, by V4L2's FourCC.
_RAW: Final = (MJPEG, "YUYV")
# Reading is retried for this long without a frame; then the camera counts as lost.
_SILENCE_S: Final = 2.0
_RETRY_S: Final = 0.01


class OpenCvCamera(LiveSource):
    """Reads a camera by OpenCV, undecoded where OpenCV allows it.

    Parameters
    ----------
    camera : CameraInfo
        The camera.
    settings : Settings
        ``size`` and ``rate`` are requested.
    clock : Clock
        Source of the time.
    platform : str
        As `sys.platform`.
    open_capture : callable, optional
        Replaces ``cv2.VideoCapture``, for tests.

    Raises
    ------
    CameraError
        The subclass says why it cannot be opened.
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
        super().__init__(f"camera '{camera.name}'", camera.path, clock, _SILENCE_S)
        self._camera = camera
        self._platform = platform
        self._strict = StrictDecoder(av.CodecContext.create("mjpeg", "r"), self._name)
        wanted = CameraRequest(settings)
        chosen = best_format(camera, wanted)
        is_linux = platform.startswith("linux")
        backends = {"darwin": cv2.CAP_AVFOUNDATION, "win32": cv2.CAP_DSHOW}
        target = camera.path if is_linux else camera.number
        backend = cv2.CAP_V4L2 if is_linux else backends.get(platform, cv2.CAP_ANY)
        self._capture = (open_capture or cv2.VideoCapture)(target, backend)
        if not self._capture.isOpened():
            self._capture.release()
            raise self._opening_error(str(wanted))
        fourcc = chosen.fourcc if chosen else MJPEG if wanted.size else None
        self._negotiate(wanted, fourcc)
        self.info = self._described(wanted)

    @property
    def damaged(self) -> int:
        """See `Source.damaged`."""
        return self._strict.damaged

    def _release(self) -> None:
        self._capture.release()

    def _frames(self) -> Generator[Frame]:
        normalize = FrameNormalizer(self._name)
        while not self._closing.is_set():
            read, samples = self._capture.read()
            now_s = self._clock.now()
            picture = self._picture(samples) if read and samples is not None else None
            if picture is not None:
                frame = normalize(Frame.from_av(picture, "yuv420p"))
                stamp_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
                yield stamped(frame, captured_s(stamp_s, now_s))
                continue
            if self._is_gone():
                reason = "its device has gone"
                raise self._lost(reason)
            self._check_silence()
            if not read:
                self._clock.wait(self._closing, _RETRY_S)

    def _is_gone(self) -> bool:
        return self._platform.startswith("linux") and not Path(self._camera.path).exists()

    def _picture(self, samples: NDArray[Any]) -> av.VideoFrame | None:
        """Convert OpenCV's array to an FFmpeg frame; None if it is damaged."""
        height, width = samples.shape[:2]
        if samples.ndim == 2 and (height == 1 or width == 1):
            pictures = self._strict.decode(av.Packet(samples.tobytes()))
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
        """Request format, size and rate, in the order that drivers need."""
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
            rate=rate or DEFAULT_RATE,
            time_base=MICROSECOND,
            negotiated=video_text(size, kind, rate),
        )

    def _opening_error(self, asked: str) -> CameraError:
        """Find out why a camera did not open, which OpenCV does not report."""
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
    """Keep OpenCV from also writing errors to standard error."""
    with suppress(AttributeError):
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _fourcc(value: float) -> str:
    """Decode a FourCC from OpenCV's number; empty if it is none."""
    data = (int(value) & 0xFFFFFFFF).to_bytes(4, "little")
    return data.decode("ascii", "replace").strip("\0 ") if all(data) else ""
