"""Enumerations of the values that a setting may have."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["CaptureLibrary", "Device", "Fit", "Framing", "OnFailure", "People", "Quality", "View"]


class Fit(StrEnum):
    """Scaling of a background to the frame."""

    COVER = "cover"
    CONTAIN = "contain"
    STRETCH = "stretch"
    TILE = "tile"


class View(StrEnum):
    """What is written of each frame of a file."""

    PICTURE = "picture"
    MATTE = "matte"
    SIDE_BY_SIDE = "side-by-side"


class OnFailure(StrEnum):
    """Behaviour for a frame without a valid matte. The frame itself is never shown."""

    STOP = "stop"
    COVER = "cover"


class People(StrEnum):
    """Selection of the people who are shown."""

    ALL = "all"
    MAIN = "main"


class CaptureLibrary(StrEnum):
    """Library that reads the camera."""

    FFMPEG = "ffmpeg"
    OPENCV = "opencv"


class Framing(StrEnum):
    """Framing of the camera's picture: all of it, or a crop that follows the person."""

    OFF = "off"
    FOLLOW = "follow"


class Device(StrEnum):
    """Compute device of the model, and on a GPU of NVIDIA's of the other work, too."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    OPENVINO = "openvino"
    COREML = "coreml"
    DIRECTML = "directml"

    @property
    def is_nvidia(self) -> bool:
        """Whether it is a GPU of NVIDIA's, asked for by name."""
        return self in (Device.CUDA, Device.TENSORRT)


class Quality(StrEnum):
    """Quality preset of the matting."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"
