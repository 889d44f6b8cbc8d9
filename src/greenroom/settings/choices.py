"""Choices: the values of settings that are one of a few words."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["CaptureLibrary", "Device", "Fit", "Framing", "OnFailure", "People", "Quality"]


class Fit(StrEnum):
    """How a background fills the frame."""

    COVER = "cover"
    CONTAIN = "contain"
    STRETCH = "stretch"
    TILE = "tile"


class OnFailure(StrEnum):
    """What to do with a frame for which there is no valid matte. It is never shown."""

    STOP = "stop"
    COVER = "cover"


class People(StrEnum):
    """Who stays of the people in a frame."""

    ALL = "all"
    MAIN = "main"


class CaptureLibrary(StrEnum):
    """By which library a camera is read."""

    FFMPEG = "ffmpeg"
    OPENCV = "opencv"


class Framing(StrEnum):
    """What part of the camera's picture is shown."""

    OFF = "off"
    FOLLOW = "follow"


class Device(StrEnum):
    """Where a model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    OPENVINO = "openvino"
    COREML = "coreml"
    DIRECTML = "directml"


class Quality(StrEnum):
    """How much is done for a good matte."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"
