"""Encoders of a GPU: whether they work here, and when they take the place of the processor's."""

from __future__ import annotations

import errno
import logging
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import av
from av.codec.hwaccel import HWAccel

from greenroom.errors import SettingsError
from greenroom.media.decoding import MEDIA_ERRORS, reason_of
from greenroom.settings import Device
from greenroom.sinks.codecs import CODECS, named_codec

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.media.layout import Layout
    from greenroom.settings import Settings
    from greenroom.sinks.codecs import Codec

__all__ = ["accelerator", "check_encoder", "choose_encoder", "takes_surfaces", "trial"]

logger = logging.getLogger(__name__)

# Pictures that a trial encodes: more than B-frames need.
_TRIAL_FRAMES: Final = 6
# Size of the trial before there is a frame; every encoder takes it.
_USUAL_SIZE: Final = 640, 360
# FFmpeg's name of the format of surfaces.
_SURFACES: Final = "nv12"
_NO_DRIVER: Final = (
    "NVIDIA's driver with its library of encoders (libcuda, libnvidia-encode) is not there: "
    "install the driver, and in a container pass the GPU on with the capability 'video'"
)
_NOT_THERE: Final = (
    "the GPU has no such encoder (as those for data centres), not for this size, or its driver "
    "is too old for this FFmpeg"
)
# What FFmpeg's encoders of NVIDIA's return, by what that means.
_MEANINGS: Final = {
    errno.EPERM: _NO_DRIVER,
    errno.ENOSYS: _NOT_THERE,
    errno.ENOTSUP: _NOT_THERE,
    errno.EINVAL: _NOT_THERE,
    errno.ENODEV: "there is no NVIDIA GPU",
    errno.ENOENT: "there is no NVIDIA GPU that encodes",
    errno.ENOMEM: "the GPU is out of memory, or encodes as many videos as it may",
}


def check_encoder(settings: Settings) -> None:
    """Check that a codec of a GPU, named in the settings, works on this machine.

    Raises
    ------
    SettingsError
        If it does not; the message says what is missing.
    """
    if settings.codec is not None:
        _check(named_codec(settings.codec), settings, _USUAL_SIZE, "yuv420p")


def choose_encoder(
    codec: Codec, settings: Settings, size: tuple[int, int], layout: Layout, path: Path
) -> Codec:
    """Choose a GPU's encoder in place of a codec, where no codec was named and it works.

    That is tried, once for each size, as FFmpeg's list says nothing of the machine.

    Parameters
    ----------
    codec : Codec
        The usual one, or the one that was named.
    settings : Settings
        A GPU's encoder is taken with ``device`` ``cuda`` or ``tensorrt``, if ``preset`` is its.
    size : (int, int)
        Width and height of the video.
    layout : Layout
        Of its frames.
    path : Path
        The output, for the log.

    Raises
    ------
    SettingsError
        If the named codec is a GPU's, and does not encode this video.
    """
    if codec.even:
        size = size[0] + size[0] % 2, size[1] + size[1] % 2
    pixel_format = codec.pixel_format(layout, alpha=False)
    if settings.codec is not None or codec.on_gpu is None or not settings.device.is_nvidia:
        if codec.is_hardware:
            _check(codec, settings, size, pixel_format)
        return codec
    other = CODECS[codec.on_gpu]
    if settings.preset is not None and settings.preset not in other.presets:
        fault: str | None = f"it has no preset {settings.preset!r}"
    else:
        fault = _fault(other, settings, size, pixel_format)
    if fault is None:
        logger.info("output '%s' is encoded by the GPU, with %s", path, other.name)
        return other
    logger.info("output '%s' is encoded by %s, not %s: %s", path, codec.encoder, other.name, fault)
    return codec


def accelerator() -> HWAccel | None:
    """Return FFmpeg's way to the GPU for an encoder that reads surfaces in its memory.

    It is the context in which the engine works there.
    """
    return HWAccel("cuda", options={"primary_ctx": "1"})


def takes_surfaces(
    codec: Codec, settings: Settings, size: tuple[int, int], layout: Layout, path: Path
) -> bool:
    """Whether an encoder of a GPU reads frames of a layout in its memory; that is tried, too.

    Parameters
    ----------
    codec : Codec
        Which works here.
    settings, size, layout, path
        See `choose_encoder`.
    """
    is_fit = layout.format == "yuv420p" and size == layout.size and not (size[0] % 2 or size[1] % 2)
    may_be_there = settings.device.is_nvidia or settings.device is Device.AUTO
    if not codec.is_hardware or not may_be_there or not is_fit:
        return False
    options = tuple(sorted(codec.all_options(settings).items()))
    fault = trial(codec.encoder, options, size, _SURFACES, on_surfaces=True)
    if fault is not None:
        logger.info("output '%s': frames are downloaded to be encoded: %s", path, fault)
    return fault is None


def _check(codec: Codec, settings: Settings, size: tuple[int, int], pixel_format: str) -> None:
    fault = _fault(codec, settings, size, pixel_format) if codec.is_hardware else None
    if fault is not None:
        message = (
            f"codec {codec.name} does not work here, at {size[0]}x{size[1]}: {fault}. Leave the "
            f"codec out for one of the processor's."
        )
        raise SettingsError(message, "codec")


def _fault(
    codec: Codec, settings: Settings, size: tuple[int, int], pixel_format: str
) -> str | None:
    """Return why an encoder does not work, or None if it does."""
    options = codec.all_options(settings)
    return trial(codec.encoder, tuple(sorted(options.items())), size, pixel_format)


@lru_cache(maxsize=64)
def trial(
    encoder: str,
    options: tuple[tuple[str, str], ...],
    size: tuple[int, int],
    pixel_format: str,
    *,
    on_surfaces: bool = False,
) -> str | None:
    """Encode a few pictures with one of FFmpeg's encoders; remembered for the process.

    Parameters
    ----------
    encoder : str
        FFmpeg's name.
    options : tuple of pairs
        Its options.
    size : (int, int)
        Width and height.
    pixel_format : str
        FFmpeg's name.
    on_surfaces : bool
        Whether the encoder reads the pictures in a GPU's memory, where FFmpeg puts them.

    Returns
    -------
    str or None
        Why it does not work here; None if it does.
    """
    width, height = size
    try:
        hardware = accelerator() if on_surfaces else None
        context: Any = av.CodecContext.create(encoder, "w", hardware)
        context.width, context.height, context.pix_fmt = width, height, pixel_format
        context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
        context.options = dict(options)
        packets = 0
        for number in range(_TRIAL_FRAMES):
            frame = av.VideoFrame(width, height, pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            packets += len(context.encode(frame))
        packets += len(context.encode(None))
    except (*MEDIA_ERRORS, NotImplementedError) as error:
        number = getattr(error, "errno", None) or 0
        return f"{_MEANINGS.get(number, 'FFmpeg cannot use it')} ({reason_of(error)})"
    if packets != _TRIAL_FRAMES:
        return f"of {_TRIAL_FRAMES} pictures it gave {packets}"
    return None
