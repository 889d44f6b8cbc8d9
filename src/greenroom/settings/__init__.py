"""Settings: the one declaration of every option."""

from greenroom.settings.choices import (
    CaptureLibrary,
    Device,
    Fit,
    Framing,
    OnFailure,
    People,
    Quality,
    View,
)
from greenroom.settings.declaration import Settings
from greenroom.settings.metadata import About, Group, PathKind, Stage

__all__ = [
    "About",
    "CaptureLibrary",
    "Device",
    "Fit",
    "Framing",
    "Group",
    "OnFailure",
    "PathKind",
    "People",
    "Quality",
    "Settings",
    "Stage",
    "View",
]
