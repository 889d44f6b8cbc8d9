"""Metadata of a setting, besides its type, range and help."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["About", "Group", "PathKind", "Stage"]


class Group(StrEnum):
    """Topic of a setting, the heading of its group in the help."""

    BACKGROUND = "Background"
    MODEL = "Model"
    STAYS = "Who and what stays"
    EDGE = "Edge"
    SCENE = "Belonging to the scene"
    PICTURE = "Picture"
    CAMERA = "Camera"
    LIVE = "Live"
    FAILURE = "When something fails"
    OUTPUT = "Output"
    VIEW = "View"


class Stage(StrEnum):
    """Part of greenroom that is rebuilt when a setting changes."""

    SEGMENTER = "segmenter"
    MATTING = "matting"
    BACKGROUND = "background"
    OVERLAY = "overlay"
    CAMERA = "camera"
    GOVERNOR = "governor"


class PathKind(StrEnum):
    """Notation of a file in a setting, so that relative paths can be made absolute."""

    NONE = "none"
    FILE = "file"
    FILE_AT_PLACE = "file at place"
    """Such as ``logo.png@bottom-right``."""


@dataclass(frozen=True, slots=True)
class About:
    """Metadata of a setting, besides its type, range and help.

    Attributes
    ----------
    group : Group
        Heading in the help and on the page.
    stage : Stage or None
        Built anew when the setting changes; None where the value is read for every frame.
    live : bool
        Whether it can be changed while a session runs.
    on_page : bool
        Whether the page shows it.
    page_help : str
        Help on the page, where that differs from the flag's.
    unit : str
        Unit that the page shows: ``s``, ``ms``, ``%``.
    path : PathKind
        Whether it may name a file.
    metavar : str or None
        Placeholder for the flag's value in the help.
    hosted : bool
        Whether a client of a hosted service may change it: it cannot name files or addresses of
        the server. Of ``background`` only words and colours.
    saved : bool
        Whether the settings file gets it when a session is saved.
    planned : bool
        Whether the governor may replace the value by a cheaper one.
    replans : bool
        Whether the governor starts again from the user's choice when the setting changes.
    """

    group: Group
    stage: Stage | None = None
    live: bool = True
    on_page: bool = True
    page_help: str = ""
    unit: str = ""
    path: PathKind = PathKind.NONE
    metavar: str | None = None
    hosted: bool = False
    saved: bool = True
    planned: bool = False
    replans: bool = False
