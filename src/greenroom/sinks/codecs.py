"""The containers and codecs that can be written, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from greenroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greenroom.frames import Layout
    from greenroom.settings import Settings

__all__ = ["CONTAINERS", "Codec", "Container", "choose_codec"]

Options = dict[str, str]


def _crf(worst: int, best: int) -> Callable[[int], Options]:
    """Map quality 0 to 100 linearly to a constant rate factor."""
    return lambda quality: {"crf": str(round(worst + (best - worst) * quality / 100))}


def _lossless(quality: int) -> Options:  # noqa: ARG001 - there is nothing to choose
    return {}


@dataclass(frozen=True, slots=True)
class Codec:
    """How frames are encoded.

    Attributes
    ----------
    encoder : str
        FFmpeg's name of the encoder.
    pixel_formats : tuple of str
        What it takes, best first; the frame's own is used where it is among them.
    alpha_formats : tuple of str
        The same for frames with alpha; empty if it cannot carry alpha.
    even : bool
        Whether width and height must be even.
    options : callable
        Encoder options for a quality of 0 to 100.
    fixed : dict
        Further options.
    preset : str or None
        The encoder's speed preset when none is named; None if it has no such option.
    """

    encoder: str
    pixel_formats: tuple[str, ...] = ("yuv420p",)
    alpha_formats: tuple[str, ...] = ()
    even: bool = False
    options: Callable[[int], Options] = _lossless
    fixed: tuple[tuple[str, str], ...] = ()
    preset: str | None = None

    def pixel_format(self, layout: Layout, *, alpha: bool) -> str:
        """Choose what frames of a layout are encoded as."""
        if alpha:
            return self.alpha_formats[0]
        return layout.format if layout.format in self.pixel_formats else self.pixel_formats[0]

    def all_options(self, settings: Settings) -> Options:
        """Return the encoder's options for these settings."""
        options = dict(self.fixed) | self.options(settings.quality)
        preset = settings.preset or self.preset
        return options | ({"preset": preset} if preset else {})


# The fast presets keep a file job several times faster than real time on two cores; at the
# same rate factor they cost size, not quality.
CODECS: Final = {
    "h264": Codec("libx264", even=True, options=_crf(50, 10), preset="veryfast"),
    "hevc": Codec(
        "libx265",
        even=True,
        options=_crf(51, 12),
        fixed=(("x265-params", "log-level=error"),),
        preset="fast",
    ),
    "av1": Codec("libsvtav1", options=_crf(63, 20), preset="8"),
    "vp9": Codec(
        "libvpx-vp9",
        alpha_formats=("yuva420p",),
        options=lambda quality: _crf(63, 12)(quality) | {"b": "0"},
        fixed=(("deadline", "good"), ("cpu-used", "5"), ("row-mt", "1")),
    ),
    "prores": Codec(
        "prores_ks",
        pixel_formats=("yuv422p10le",),
        alpha_formats=("yuva444p10le",),
        fixed=(("vendor", "apl0"),),
    ),
    "ffv1": Codec(
        "ffv1", pixel_formats=("yuv420p", "yuv444p", "gbrp", "gray"), alpha_formats=("yuva420p",)
    ),
}


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of video file.

    Attributes
    ----------
    format : str
        FFmpeg's name of the muxer.
    codec, alpha_codec, matte_codec : str or None
        What is used when no codec is named; None if it cannot be.
    options : tuple of pairs
        Options of the muxer.
    """

    format: str
    codec: str
    alpha_codec: str | None
    matte_codec: str
    options: tuple[tuple[str, str], ...] = ()


_FAST_START = (("movflags", "+faststart+use_metadata_tags"),)

CONTAINERS: Final = {
    ".mp4": Container("mp4", "h264", None, "h264", _FAST_START),
    ".m4v": Container("mp4", "h264", None, "h264", _FAST_START),
    ".mov": Container("mov", "h264", "prores", "h264", _FAST_START),
    ".mkv": Container("matroska", "h264", "ffv1", "ffv1"),
    ".webm": Container("webm", "vp9", "vp9", "vp9"),
}


def choose_codec(path: Path, settings: Settings, layout: Layout, *, alpha: bool) -> Codec:
    """Choose the codec for a video file.

    Raises
    ------
    SettingsError
        If FFmpeg has no such encoder, or it cannot carry the alpha that is wanted.
    """
    container = CONTAINERS[path.suffix.lower()]
    default = container.matte_codec if layout.format == "gray" else container.codec
    name = settings.codec or (container.alpha_codec if alpha else default)
    codec = CODECS.get(name) if name else None
    if name and codec is None:
        codec = _by_encoder(name)
    if codec is None or (alpha and not codec.alpha_formats):
        message = (
            f"'{path.name}' cannot carry transparency{f' with codec {name}' if name else ''}. "
            f"Write a .mov (ProRes 4444), a .webm (VP9), an .mkv (FFV1) or PNG pictures."
        )
        raise SettingsError(message, "codec")
    return codec


def _by_encoder(name: str) -> Codec:
    """Describe any encoder of FFmpeg by its name."""
    import av  # noqa: PLC0415 - importing greenroom stays light

    try:
        codec = av.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        codec = None
    if codec is None or codec.type != "video":
        message = f"unknown codec '{name}': expected {', '.join(CODECS)} or an encoder of FFmpeg."
        raise SettingsError(message, "codec")
    formats = tuple(given.name for given in codec.video_formats or ()) or ("yuv420p",)
    return Codec(
        name,
        pixel_formats=tuple(
            given for given in formats if not given.startswith(("yuva", "rgba", "gbrap"))
        ),
        alpha_formats=tuple(
            given for given in formats if given.startswith(("yuva", "rgba", "gbrap"))
        ),
        even="264" in name or "265" in name or "hevc" in name,
    )
