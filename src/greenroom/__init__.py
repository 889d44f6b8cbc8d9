"""greenroom: be seen in front of another background, and keep your room private.

>>> import greenroom
>>> with greenroom.VirtualBackground(background="color:teal") as vb:  # doctest: +SKIP
...     out = vb.process(frame)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from greenroom.engine.engine import VirtualBackground
    from greenroom.errors import (
        BackgroundError,
        CameraBusyError,
        CameraError,
        CameraForbiddenError,
        CameraFormatError,
        CameraLostError,
        CameraMissingError,
        ExistsError,
        FormatError,
        GreenroomError,
        ImplausibleMatteError,
        IncompleteError,
        MissingExtraError,
        ModelError,
        ModelOutputError,
        ModelTimeoutError,
        ProcessingError,
        SettingsError,
        SinkError,
        SourceError,
        TruncatedError,
        VirtualCameraError,
    )
    from greenroom.files.convert import convert
    from greenroom.media.colour import Colour
    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.media.matte import Matte
    from greenroom.settings import Settings

__all__ = [
    "BackgroundError",
    "CameraBusyError",
    "CameraError",
    "CameraForbiddenError",
    "CameraFormatError",
    "CameraLostError",
    "CameraMissingError",
    "Colour",
    "ExistsError",
    "FormatError",
    "Frame",
    "GreenroomError",
    "ImplausibleMatteError",
    "IncompleteError",
    "Layout",
    "Matte",
    "MissingExtraError",
    "ModelError",
    "ModelOutputError",
    "ModelTimeoutError",
    "ProcessingError",
    "Settings",
    "SettingsError",
    "SinkError",
    "SourceError",
    "TruncatedError",
    "VirtualBackground",
    "VirtualCameraError",
    "convert",
]

# Modules of the public names, which are imported on first use.
_MODULES: Final = {
    "greenroom.files.convert": ("convert",),
    "greenroom.engine.engine": ("VirtualBackground",),
    "greenroom.media.colour": ("Colour",),
    "greenroom.media.frame": ("Frame",),
    "greenroom.media.layout": ("Layout",),
    "greenroom.media.matte": ("Matte",),
    "greenroom.settings": ("Settings",),
}
_HOMES: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("greenroom")
    if name not in __all__:
        message = f"module 'greenroom' has no attribute {name!r}"
        raise AttributeError(message)
    module = importlib.import_module(_HOMES.get(name, "greenroom.errors"))
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
