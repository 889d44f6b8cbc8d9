"""The exceptions that greenroom raises.

::

    GreenroomError
    ├── SettingsError (ValueError)      a setting, or a combination of settings, is wrong
    ├── FormatError (ValueError)        an array or frame has the wrong shape, type or format
    ├── SourceError                     an input cannot be read
    │   ├── TruncatedError              it is cut off or damaged
    │   └── CameraError                 a camera or stream cannot be used
    │       ├── CameraMissingError      there is no camera of that name
    │       ├── CameraBusyError         another program uses it
    │       ├── CameraForbiddenError    the user or program may not use it
    │       ├── CameraFormatError       it lacks the size, rate or format
    │       └── CameraLostError         it disconnected during use
    ├── BackgroundError                 a background cannot be read
    ├── ModelError                      a model is missing, wrong, or failed
    │   ├── ModelTimeoutError           it did not answer in time
    │   └── ModelOutputError            its answer is not a matte
    │       └── ImplausibleMatteError   its answer cannot be right
    ├── IncompleteError                 some of several inputs were not converted
    ├── DeviceError                     a GPU failed, is lost or has no memory left
    ├── ProcessingError                 a frame could not be processed and is not shown
    ├── SeamError                       parts of a video do not fit together
    ├── SinkError                       an output cannot be written
    │   ├── ExistsError                 it exists already
    │   └── VirtualCameraError          there is no virtual camera, or it cannot be used
    └── MissingExtraError (ImportError) an optional dependency is not installed

Every message says what was expected, what came, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BackgroundError",
    "CameraBusyError",
    "CameraError",
    "CameraForbiddenError",
    "CameraFormatError",
    "CameraLostError",
    "CameraMissingError",
    "DeviceError",
    "ExistsError",
    "FormatError",
    "GreenroomError",
    "ImplausibleMatteError",
    "IncompleteError",
    "MissingExtraError",
    "ModelError",
    "ModelOutputError",
    "ModelTimeoutError",
    "ProcessingError",
    "SeamError",
    "SettingsError",
    "SinkError",
    "SourceError",
    "TruncatedError",
    "VirtualCameraError",
]


class GreenroomError(Exception):
    """Root of every error that greenroom raises on purpose."""


class SettingsError(GreenroomError, ValueError):
    """A setting, or a combination of settings, is wrong.

    Attributes
    ----------
    name : str or None
        Name of the setting in `Settings`.
    """

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class FormatError(GreenroomError, ValueError):
    """An array or a frame has the wrong shape, type or format."""


class _PathError(GreenroomError):
    """An error about one file or device.

    Attributes
    ----------
    path : str or None
        The file or device.
    """

    def __init__(self, message: str, path: object = None) -> None:
        super().__init__(message)
        self.path = None if path is None else str(path)


class SourceError(_PathError):
    """An input cannot be read."""


class TruncatedError(SourceError):
    """An input is cut off or damaged before its end."""


class CameraError(SourceError):
    """A camera or a stream cannot be used."""


class CameraMissingError(CameraError):
    """There is no camera of that name."""


class CameraBusyError(CameraError):
    """Another program uses the camera."""


class CameraForbiddenError(CameraError):
    """The user, or the program, may not use the camera."""


class CameraFormatError(CameraError):
    """The camera lacks the requested size, rate or format."""


class CameraLostError(CameraError):
    """A camera or stream disconnected during use."""


class BackgroundError(_PathError):
    """A background cannot be read.

    Attributes
    ----------
    name : str
        The setting that names it.
    """

    name = "background"


class ModelError(_PathError):
    """A model is missing, wrong, or failed.

    Attributes
    ----------
    name : str
        The setting that names it.
    """

    name = "model"


class ModelTimeoutError(ModelError):
    """A model did not answer in time."""


class ModelOutputError(ModelError):
    """A model's output is not a matte."""


class ImplausibleMatteError(ModelOutputError):
    """A model's output is a matte, but cannot be one of people in this picture."""


class DeviceError(GreenroomError):
    """A GPU failed, is lost, or has no memory left."""


class ProcessingError(GreenroomError):
    """A frame could not be processed and is not shown.

    The cause is in ``__cause__``.
    """


class SeamError(_PathError):
    """Parts of a video do not fit together: it has to be processed as a whole."""


class IncompleteError(GreenroomError):
    """Some of several inputs were not converted; the others were.

    Attributes
    ----------
    failures : tuple of GreenroomError
        One error for each input that was not converted.
    summary : object
        Results of the conversion; see `greenroom.files.convert.Summary`. None for several.
    """

    def __init__(
        self, failures: Iterable[GreenroomError], inputs: int, summary: object = None
    ) -> None:
        self.failures = tuple(failures)
        self.summary = summary
        reasons = "".join(f"\n  {error}" for error in self.failures)
        others = ", the others are done" if len(self.failures) < inputs else ""
        super().__init__(
            f"{len(self.failures)} of {inputs} inputs could not be converted{others}:{reasons}"
        )


class SinkError(_PathError):
    """An output cannot be written."""


class ExistsError(SinkError):
    """An output exists already and may not be replaced."""


class VirtualCameraError(SinkError):
    """There is no virtual camera, or it cannot be used."""


class MissingExtraError(GreenroomError, ImportError):
    """An optional dependency is not installed."""
