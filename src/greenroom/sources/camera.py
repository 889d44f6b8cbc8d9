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
# FFmpeg's names of what cameras give, by the driver's four letters; what is not here (grey,
# infrared, depth, H.264 with seconds between its whole pictures) is not asked for.
INPUT_FORMATS: Final = {
    "YU12": "yuv420p",
    "NV12": "nv12",
    "YV12": "yuv420p",
    "YUYV": "yuyv422",
    "UYVY": "uyvy422",
    "MJPG": "mjpeg",
    "JPEG": "mjpeg",
}
# Planar or nearly so first: nothing to convert, then little, then half of the chroma to drop.
_PREFERENCE: Final = tuple(INPUT_FORMATS)
# More is not needed, and costs, unless it is asked for.
_USUAL_RATE: Final = Fraction(30)
# What is taken where nothing is asked for: the largest up to this, in pixels, that has so many
# frames a second. Calls show no more, and a default of the camera's own is often 640x480.
_USUAL_AREA: Final = 1280 * 720
_LEAST_RATE: Final = Fraction(24)
# What is not compressed is preferred, unless it is slower than so much of what could be had.
_NEARLY: Final = Fraction(3, 4)
# Windows keeps frames that nobody has fetched in here: a few of 1080p.
_DSHOW_BUFFER_BYTES: Final = 2**25
_MACOS_RATE: Final = "30"


class CameraRequest:
    """What the user asks a camera for.

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
        Of the kind that says why it cannot be opened.
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
    """Choose among a camera's formats; None where they are not known.

    What is not compressed is taken unless it would bring fewer frames.

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
    if wanted.size is None:  # the largest that is fast enough, and not larger than calls show
        quick_enough = wanted.rate or _LEAST_RATE
        enough = [one for one in fit if _best_rate(one, wanted) >= quick_enough] or fit
        if wanted.rate is None:
            enough = [one for one in enough if _area(one) <= _USUAL_AREA] or enough
        largest = max(_area(one) for one in enough)
        fit = [one for one in enough if _area(one) == largest]
    fastest = max(_best_rate(one, wanted) for one in fit)
    quick = [one for one in fit if _best_rate(one, wanted) >= fastest * _NEARLY]
    return min(quick, key=lambda one: _PREFERENCE.index(one.fourcc))


def input_options(
    camera: CameraInfo, wanted: CameraRequest, chosen: CameraFormat | None, platform: str
) -> tuple[str, str, dict[str, str]]:
    """Return the address, FFmpeg's name of the device's kind, and its options."""
    options: dict[str, str] = {}
    size = wanted.size if chosen is None else wanted.size or chosen.size
    if size is not None:
        options["video_size"] = f"{size[0]}x{size[1]}"
    if wanted.rate is not None:
        options["framerate"] = str(wanted.rate)
    if platform == "darwin":
        # The default, 29.97, is none that most Macs have. NV12 is what their cameras give.
        options = {"framerate": _MACOS_RATE, "pixel_format": "nv12", **options}
        return f"{camera.path}:none", "avfoundation", options
    if platform == "win32":
        if size is not None:
            # DirectShow takes the first type that fits: with a rate, MJPEG where raw is slower.
            options.setdefault("framerate", str(_USUAL_RATE))
        options["rtbufsize"] = str(_DSHOW_BUFFER_BYTES)
        return f"video={camera.path}", "dshow", options
    if chosen is not None:
        options["input_format"] = INPUT_FORMATS[chosen.fourcc]
    return camera.path, "v4l2", options


def warn_of_differences(
    name: str, wanted: CameraRequest, size: tuple[int, int], rate: Fraction | None
) -> None:
    """Log where a camera gives something else than it was asked for."""
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
    """Return the best rate of a format that is of use; a driver that does not say has it."""
    most = wanted.rate or _USUAL_RATE
    return min(max(one.rates, default=most), most)


def _area(one: CameraFormat) -> int:
    return one.size[0] * one.size[1]
