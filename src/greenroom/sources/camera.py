"""Cameras by FFmpeg: Video4Linux2, AVFoundation and DirectShow."""

from __future__ import annotations

import logging
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from greenroom.sources.camera_errors import format_error, opening_error
from greenroom.sources.live_decoder import LiveDecoder, LiveInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from greenroom.devices.cameras import CameraFormat, CameraInfo
    from greenroom.media.clock import Clock
    from greenroom.settings import Settings

__all__ = [
    "CameraRequest",
    "best_format",
    "camera_source",
    "input_options",
    "warn_of_differences",
]

logger = logging.getLogger(__name__)

MJPEG: Final = "MJPG"
# FFmpeg's names of camera formats, by FourCC. Other formats (grey, infrared, depth, H.264 with
# seconds between key frames) are not requested.
INPUT_FORMATS: Final = {
    "YU12": "yuv420p",
    "NV12": "nv12",
    "YV12": "yuv420p",
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
}
# In order of conversion cost: none, then little, then half of the chroma to drop.
_PREFERENCE: Final = tuple(INPUT_FORMATS)
# Higher rates cost more and are used only on request, in frames/s.
_DEFAULT_RATE: Final = Fraction(30)
# By default the largest format up to this many pixels with at least this rate in frames/s: calls
# show no more, and a camera's own default is often 640x480.
_DEFAULT_AREA_PX: Final = 1280 * 720
_MIN_RATE: Final = Fraction(24)
# An uncompressed format is preferred if it reaches this share of the fastest format's rate.
_RATE_TOLERANCE: Final = Fraction(3, 4)
# Windows keeps unread frames in this buffer: a few of 1080p.
_DSHOW_BUFFER_BYTES: Final = 2**25
_MACOS_RATE: Final = "30"


class CameraRequest:
    """Size and rate that the user requests from a camera.

    Parameters
    ----------
    settings : Settings
        Their ``size`` and ``rate``.
    """

    def __init__(self, settings: Settings) -> None:
        self.size = settings.width_height
        self.rate = None if settings.rate is None else Fraction(settings.rate).limit_denominator()

    def __str__(self) -> str:
        size = "" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        rate = "" if self.rate is None else f"{float(self.rate):.4g} frames/s"
        return ", ".join(part for part in (size, rate) if part)


def camera_source(
    camera: CameraInfo, settings: Settings, clock: Clock, platform: str = sys.platform
) -> LiveDecoder:
    """Open a camera by FFmpeg.

    Raises
    ------
    CameraError
        The subclass says why it cannot be opened.
    """
    wanted = CameraRequest(settings)
    chosen = best_format(camera, wanted)
    address, backend, options = input_options(camera, wanted, chosen, platform)
    asked = LiveInput(
        name=f"camera '{camera.name}'",
        address=address,
        format=backend,
        options={"fpsprobesize": "0", **options},
        device=camera.path if backend == "v4l2" else "",
        keeps_interlaced=settings.keep_interlaced,
    )
    source = LiveDecoder(
        asked, clock, lambda error: opening_error(error, camera, str(wanted), platform)
    )
    warn_of_differences(camera.name, wanted, source.size, source.info.rate)
    return source


def best_format(camera: CameraInfo, wanted: CameraRequest) -> CameraFormat | None:
    """Choose among a camera's formats; None if they are unknown.

    An uncompressed format is preferred unless its rate is much lower.

    Raises
    ------
    CameraFormatError
        If it has no such size.
    """
    known = [one for one in camera.formats if one.fourcc in INPUT_FORMATS]
    asks = wanted.size is not None or wanted.rate is not None
    if not camera.formats or (not known and not asks):
        return None
    fit = [one for one in known if wanted.size is None or _has_size(one, wanted.size)]
    if not fit:
        raise format_error(camera, str(wanted))
    if wanted.size is None:  # the largest that is fast enough and not larger than calls show
        min_rate = wanted.rate or _MIN_RATE
        candidates = [one for one in fit if _best_rate(one, wanted) >= min_rate] or fit
        if wanted.rate is None:
            candidates = [one for one in candidates if _area(one) <= _DEFAULT_AREA_PX] or candidates
        largest = max(_area(one) for one in candidates)
        fit = [one for one in candidates if _area(one) == largest]
    fastest = max(_best_rate(one, wanted) for one in fit)
    quick = [one for one in fit if _best_rate(one, wanted) >= fastest * _RATE_TOLERANCE]
    return min(quick, key=lambda one: _PREFERENCE.index(one.fourcc))


def input_options(
    camera: CameraInfo, wanted: CameraRequest, chosen: CameraFormat | None, platform: str
) -> tuple[str, str, dict[str, str]]:
    """Return the address, FFmpeg's input format, and its options."""
    options: dict[str, str] = {}
    size = wanted.size if chosen is None else wanted.size or chosen.size
    if size is not None:
        options["video_size"] = f"{size[0]}x{size[1]}"
    if wanted.rate is not None:
        options["framerate"] = str(wanted.rate)
    if platform == "darwin":
        # Most Macs do not have FFmpeg's default of 29.97. Their cameras give NV12.
        options = {"framerate": _MACOS_RATE, "pixel_format": "nv12", **options}
        return f"{camera.path}:none", "avfoundation", options
    if platform == "win32":
        if size is not None:
            # DirectShow takes the first type that fits: with a rate, MJPEG where raw is slower.
            options.setdefault("framerate", str(_DEFAULT_RATE))
        options["rtbufsize"] = str(_DSHOW_BUFFER_BYTES)
        return f"video={camera.path}", "dshow", options
    if chosen is not None:
        options["input_format"] = INPUT_FORMATS[chosen.fourcc]
    return camera.path, "v4l2", options


def warn_of_differences(
    name: str, wanted: CameraRequest, size: tuple[int, int], rate: Fraction | None
) -> None:
    """Log a warning if a camera's size or rate differs from the request."""
    if wanted.size is not None and size != wanted.size:
        logger.warning("camera '%s' gives %dx%d, not %dx%d as asked for", name, *size, *wanted.size)
    if wanted.rate is not None and rate is not None and abs(rate - wanted.rate) > Fraction(1, 2):
        logger.warning(
            "camera '%s' gives %.4g frames/s, not %.4g as asked for",
            name,
            float(rate),
            float(wanted.rate),
        )


def _has_size(one: CameraFormat, size: tuple[int, int]) -> bool:
    if one.smallest is None:
        return one.size == size
    limits: Iterable[tuple[int, int, int]] = zip(one.smallest, size, one.size, strict=True)
    return all(least <= length <= most for least, length, most in limits)


def _best_rate(one: CameraFormat, wanted: CameraRequest) -> Fraction:
    """Return the highest useful rate of a format; an unknown rate counts as the highest."""
    most = wanted.rate or _DEFAULT_RATE
    return min(max(one.rates, default=most), most)


def _area(one: CameraFormat) -> int:
    return one.size[0] * one.size[1]
