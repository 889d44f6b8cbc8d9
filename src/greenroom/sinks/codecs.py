"""Tables of the containers and codecs that can be written."""

from __future__ import annotations

import difflib
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import av

from greenroom.errors import SettingsError
from greenroom.media.colour import FULL, LIMITED, RGB, UNSPECIFIED, Colour
from greenroom.media.layout import WITH_ALPHA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from av.container import OutputContainer

    from greenroom.media.layout import Layout
    from greenroom.settings import Settings

__all__ = [
    "CODECS",
    "CONTAINERS",
    "Codec",
    "Container",
    "check_choice",
    "check_fits",
    "choose_codec",
    "named_codec",
]

Options = dict[str, str]

BT601: Final = 6


def _crf(worst: int, best: int) -> Callable[[int], Options]:
    """Map quality 0 to 100 linearly to a constant rate factor."""
    return lambda quality: {"crf": _scaled(worst, best, quality)}


def _cq(worst: int, best: int) -> Callable[[int], Options]:
    """Map quality 0 to 100 linearly to NVENC's constant quality, which has no bit rate."""
    return lambda quality: {"rc": "vbr", "cq": _scaled(worst, best, quality), "b": "0"}


def _scaled(worst: int, best: int, quality: int) -> str:
    return str(round(worst + (best - worst) * quality / 100))


def _lossless(_quality: int) -> Options:
    return {}


@dataclass(frozen=True, slots=True)
class Codec:
    """A video codec, and how greenroom uses its encoder.

    Attributes
    ----------
    name : str
        Name for users.
    encoder : str
        FFmpeg's name of the encoder.
    pixel_formats : tuple of str
        Accepted formats, best first; the frame's own is used if it is among them.
    alpha_formats : tuple of str
        The same for frames with alpha; empty if it cannot carry alpha.
    even : bool
        Whether width and height must be even.
    says_range : bool
        Whether files can declare full range; if not, samples are converted to limited range.
    says_aspect : bool
        Whether its bitstream declares the pixel aspect ratio.
    options : callable
        Encoder options for a quality of 0 to 100.
    fixed : tuple of pairs
        Further options.
    presets : tuple of str
        Names of its speed presets, if any.
    preset : str or None
        Default preset.
    environment : tuple of pairs
        Environment variables for the encoder; those already set stay.
    is_hardware : bool
        Whether a GPU encodes, which not every machine has.
    on_gpu : str or None
        Name of the codec that writes the same kind of stream on a GPU, if there is one.
    """

    name: str
    encoder: str
    pixel_formats: tuple[str, ...] = ("yuv420p",)
    alpha_formats: tuple[str, ...] = ()
    even: bool = False
    says_range: bool = True
    says_aspect: bool = False
    options: Callable[[int], Options] = _lossless
    fixed: tuple[tuple[str, str], ...] = ()
    presets: tuple[str, ...] = ()
    preset: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    is_hardware: bool = False
    on_gpu: str | None = None

    def pixel_format(self, layout: Layout, *, alpha: bool) -> str:
        """Choose the pixel format in which frames of a layout are encoded."""
        offered = self.alpha_formats if alpha else self.pixel_formats
        own = WITH_ALPHA.get(layout.format, layout.format) if alpha else layout.format
        if own in offered:
            return own
        if layout.format == "gbrp":
            return next((name for name in offered if _is_rgb(name)), offered[0])
        return offered[0]

    def colour(self, layout: Layout, pixel_format: str) -> Colour:
        """Return the colour description of encoded frames of a layout."""
        colour = layout.colour
        if _is_rgb(pixel_format):
            return replace(colour, matrix=RGB, range=FULL)
        if pixel_format.startswith("yuvj"):  # JPEG has only this matrix
            return replace(colour, matrix=BT601, range=FULL)
        if layout.format == "gbrp":
            return replace(colour, matrix=UNSPECIFIED, range=LIMITED).named(layout.size)
        if colour.is_full_range and not self.says_range:
            return replace(colour, range=LIMITED)
        return colour

    def all_options(self, settings: Settings) -> Options:
        """Return the encoder's options for these settings.

        Raises
        ------
        SettingsError
            If it has no such preset.
        """
        preset = settings.preset
        if preset is not None and preset not in self.presets:
            expected = (
                f"expected one of {', '.join(self.presets)}" if self.presets else "it has none"
            )
            message = f"preset: codec {self.name} has no preset {preset!r}: {expected}."
            raise SettingsError(message, "preset")
        options = dict(self.fixed) | self.options(settings.output_quality)
        preset = preset or self.preset
        return options | ({"preset": preset} if preset else {})


# x264 and x265 share these.
_PRESETS: Final = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
# NVENC's, from the fastest to the best. It is far from being the slowest stage with any of them.
_NVENC_PRESETS: Final = tuple(f"p{number}" for number in range(1, 8))
_NVENC: Final = (("tune", "hq"), ("spatial-aq", "1"))

# The fast presets make file conversion several times faster than real time on two cores; at the
# same rate factor they cost size, not quality.
CODECS: Final = {
    codec.name: codec
    for codec in (
        Codec(
            "h264",
            "libx264",
            even=True,
            says_aspect=True,
            options=_crf(50, 10),
            presets=_PRESETS,
            preset="veryfast",
            on_gpu="h264_nvenc",
        ),
        Codec(
            "hevc",
            "libx265",
            even=True,
            says_aspect=True,
            options=_crf(51, 12),
            fixed=(("x265-params", "log-level=error"),),
            presets=_PRESETS,
            preset="fast",
        ),
        Codec(
            "av1",
            "libsvtav1",
            options=_crf(63, 20),
            presets=tuple(str(number) for number in range(14)),
            preset="8",
            environment=(("SVT_LOG", "1"),),  # errors only
        ),
        Codec(
            "vp9",
            "libvpx-vp9",
            alpha_formats=("yuva420p",),
            options=lambda quality: _crf(63, 12)(quality) | {"b": "0"},
            fixed=(("deadline", "good"), ("cpu-used", "5"), ("row-mt", "1")),
        ),
        Codec(
            "prores",
            "prores_ks",
            pixel_formats=("yuv422p10le",),
            alpha_formats=("yuva444p10le",),
            says_range=False,
            fixed=(("vendor", "apl0"),),
        ),
        Codec(
            "ffv1",
            "ffv1",
            pixel_formats=("yuv420p", "yuv444p", "bgr0", "gray"),
            alpha_formats=("yuva420p", "yuva444p", "bgra"),
        ),
        # Encoders of NVIDIA's GPUs, on the scales of the ones above. As many B-frames as x264's
        # presets have; which the others may have depends on the GPU.
        Codec(
            "h264_nvenc",
            "h264_nvenc",
            even=True,
            says_aspect=True,
            options=_cq(50, 10),
            fixed=(*_NVENC, ("bf", "3")),
            presets=_NVENC_PRESETS,
            preset="p5",
            is_hardware=True,
        ),
        Codec(
            "hevc_nvenc",
            "hevc_nvenc",
            even=True,
            says_aspect=True,
            options=_cq(51, 12),
            fixed=_NVENC,
            presets=_NVENC_PRESETS,
            preset="p5",
            is_hardware=True,
        ),
        Codec(
            "av1_nvenc",
            "av1_nvenc",
            even=True,
            options=_cq(63, 20),
            fixed=_NVENC,
            presets=_NVENC_PRESETS,
            preset="p5",
            is_hardware=True,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Container:
    """A container format, and how greenroom writes it.

    Attributes
    ----------
    format : str
        FFmpeg's name of the muxer.
    codec, alpha_codec, matte_codec : str or None
        Default codec; None if there is none.
    options : tuple of pairs
        Options of the muxer.
    live_options : tuple of pairs
        Options for a live recording, which stays playable when it is cut off.
    refused : tuple of str
        Encoders whose output it cannot hold, although FFmpeg's muxer accepts them at first.
    says_aspect : bool
        Whether it declares the pixel aspect ratio. Matroska could, but PyAV (18.1) cannot
        request it.
    """

    format: str
    codec: str
    alpha_codec: str | None
    matte_codec: str
    options: tuple[tuple[str, str], ...] = ()
    live_options: tuple[tuple[str, str], ...] = ()
    refused: tuple[str, ...] = ()
    says_aspect: bool = True


_FAST_START: Final = (("movflags", "+faststart+write_colr"),)
# Fragments of two seconds, which are joined at the end.
_FRAGMENTED: Final = (
    ("movflags", "+hybrid_fragmented+negative_cts_offsets+write_colr"),
    ("frag_duration", "2000000"),
)
_SHORT_CLUSTERS: Final = (("cluster_time_limit", "2000"),)

CONTAINERS: Final = {
    ".mp4": Container("mp4", "h264", None, "h264", _FAST_START, _FRAGMENTED),
    ".m4v": Container("mp4", "h264", None, "h264", _FAST_START, _FRAGMENTED),
    ".mov": Container(
        "mov",
        "h264",
        "prores",
        "h264",
        _FAST_START,
        _FRAGMENTED,
        refused=("libvpx-vp9", "libsvtav1"),
    ),
    ".mkv": Container(
        "matroska", "h264", "ffv1", "ffv1", live_options=_SHORT_CLUSTERS, says_aspect=False
    ),
    ".webm": Container(
        "webm", "vp9", "vp9", "vp9", live_options=_SHORT_CLUSTERS, says_aspect=False
    ),
}


def choose_codec(path: Path, settings: Settings, layout: Layout, *, alpha: bool) -> Codec:
    """Choose the codec for a video file.

    Raises
    ------
    SettingsError
        If FFmpeg has no such encoder, the file cannot hold its output, or the requested alpha
        is not supported.
    """
    container = CONTAINERS[path.suffix.lower()]
    default = container.matte_codec if layout.format == "gray" else container.codec
    name = settings.codec or (container.alpha_codec if alpha else default)
    codec = named_codec(name) if name else None
    if codec is None or (alpha and not codec.alpha_formats):
        message = (
            f"'{path.name}' cannot carry transparency{f' with codec {name}' if name else ''}. "
            f"Write a .mov (ProRes 4444), a .webm (VP9), an .mkv (FFV1) or PNG pictures."
        )
        raise SettingsError(message, "codec")
    return codec


def check_choice(path: Path, settings: Settings) -> None:
    """Check the requested codec, before there is a frame for it.

    Raises
    ------
    SettingsError
        If FFmpeg has no such encoder, it has no such preset, or the file cannot hold it.
    """
    if settings.codec is None:
        return
    codec = named_codec(settings.codec)
    codec.all_options(settings)
    with av.open(io.BytesIO(), "w", format=CONTAINERS[path.suffix.lower()].format) as container:
        check_fits(codec, path, container)


def check_fits(codec: Codec, path: Path, container: OutputContainer) -> None:
    """Check that a container can hold a codec.

    Raises
    ------
    SettingsError
        If FFmpeg's muxer does not accept it.
    """
    kind = CONTAINERS[path.suffix.lower()]
    canonical = av.Codec(codec.encoder, "w").canonical_name
    if canonical not in container.supported_codecs or codec.encoder in kind.refused:
        message = (
            f"a {path.suffix.lower()} file cannot hold codec {codec.name}. Leave the codec out "
            f"for the usual one, or write an .mkv, which holds all."
        )
        raise SettingsError(message, "codec")


def named_codec(name: str) -> Codec:
    """Return the codec of a name, which may be that of any of FFmpeg's encoders.

    Raises
    ------
    SettingsError
        If FFmpeg has no such encoder.
    """
    known = CODECS | {codec.encoder: codec for codec in CODECS.values()}
    return known.get(name) or _by_encoder(name)


# Other names of codecs, and of programs that encode them.
_ALIASES: Final = {
    "h265": "hevc",
    "h.265": "hevc",
    "x265": "hevc",
    "x264": "h264",
    "avc": "h264",
    "vp09": "vp9",
    "av01": "av1",
}


def _by_encoder(name: str) -> Codec:
    """Return a codec for any of FFmpeg's encoders."""
    try:
        codec = av.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        codec = None
    if codec is None or codec.type != "video":
        word = name.lower()
        near = difflib.get_close_matches(_ALIASES.get(word, word), CODECS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        message = (
            f"unknown codec '{name}': expected {', '.join(CODECS)} or an encoder of FFmpeg.{hint}"
        )
        raise SettingsError(message, "codec")
    formats = tuple(given.name for given in codec.video_formats or ()) or ("yuv420p",)
    opaque = tuple(given for given in formats if not _has_alpha(given))
    if opaque and opaque[0].startswith("yuvj"):  # it accepts others only when forced
        opaque = tuple(given for given in opaque if given.startswith("yuvj"))
    is_like_h264 = "264" in name or "265" in name or "hevc" in name
    return Codec(
        name,
        name,
        pixel_formats=opaque or formats,
        alpha_formats=tuple(given for given in formats if _has_alpha(given)),
        even=is_like_h264,
        says_range=False,
        says_aspect=is_like_h264,
    )


def _is_rgb(pixel_format: str) -> bool:
    return any(part in pixel_format for part in ("rgb", "bgr", "gbr"))


def _has_alpha(pixel_format: str) -> bool:
    return any(part in pixel_format for part in ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap"))
