"""Backgrounds: what is put behind the person, from a one-line specification."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.backgrounds.base import COVER_RGB, Background, Scene
from greenroom.backgrounds.blur import Blur
from greenroom.backgrounds.css import rgb_of
from greenroom.backgrounds.pictures import Picture, Slideshow, unreadable
from greenroom.backgrounds.plain import Camera, Colour, Transparent
from greenroom.backgrounds.video import Video
from greenroom.decoding import PICTURE_SUFFIXES, why_unreadable
from greenroom.errors import SettingsError

if TYPE_CHECKING:
    from greenroom.settings import Settings

__all__ = ["COVER_RGB", "Background", "Scene", "create_background"]

DEFAULT_BLUR = 0.5


def create_background(settings: Settings) -> Background:
    """Make the background that ``settings.background`` specifies.

    Raises
    ------
    SettingsError
        If the specification is a word that says nothing.
    BackgroundError
        If a file or folder cannot be read.
    """
    spec = settings.background
    kind, _, value = spec.partition(":")
    if kind == "blur" and (value or spec == "blur"):
        return Blur(_strength(value) if value else DEFAULT_BLUR)
    if kind == "color" and value:
        return Colour(rgb_of(value))
    if spec == "transparent":
        return Transparent()
    if spec == "none":
        return Camera()
    return _from_path(Path(spec).expanduser(), settings)


def _strength(value: str) -> float:
    try:
        strength = float(value)
    except ValueError:
        strength = -1.0
    if not 0 < strength <= 1:
        message = (
            f"background 'blur:{value}': expected a strength above 0 and up to 1, as in blur:0.6"
        )
        raise SettingsError(message, "background")
    return strength


def _from_path(path: Path, settings: Settings) -> Background:
    if path.is_dir():
        return Slideshow(path, settings.fit, settings.slide_seconds)
    reason = why_unreadable(path)
    if reason is not None:
        raise unreadable(path, reason)
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return Picture(path, settings.fit)
    return Video(path, settings.fit)
