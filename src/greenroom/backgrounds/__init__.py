"""Backgrounds, created from the setting ``background``."""

from __future__ import annotations

import difflib
import re
from functools import partial
from typing import TYPE_CHECKING, Final

from greenroom.backgrounds.background import Background, Scene
from greenroom.backgrounds.blur import Blur
from greenroom.backgrounds.builtin import builtin_path
from greenroom.backgrounds.grayscale import Grayscale
from greenroom.backgrounds.images import (
    PictureBackground,
    Slideshow,
    pictures_of,
    read_picture,
    unreadable,
)
from greenroom.backgrounds.pixelate import Pixelate
from greenroom.backgrounds.plain import CameraBackground, ColourBackground, Transparent
from greenroom.backgrounds.softened import strength_of
from greenroom.backgrounds.video import Video
from greenroom.media.animation import moves
from greenroom.media.image_files import is_picture
from greenroom.media.limits import MAX_SIDE_PX
from greenroom.media.paths import is_folder, path_exists, unreadable_reason, user_path
from greenroom.specs import BACKGROUND_KINDS, BUILTIN, NAMES, Argument, BackgroundKind, rgb_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from greenroom.settings import Settings

__all__ = [
    "Background",
    "Scene",
    "check_background",
    "create_background",
]

# Classes of the kinds without a value, and of those whose value is a strength.
_WITHOUT_VALUE: Final[dict[str, Callable[[], Background]]] = {
    "transparent": Transparent,
    "grayscale": Grayscale,
    "none": CameraBackground,
}
_OF_STRENGTH: Final[dict[str, Callable[[float], Background]]] = {
    "blur": Blur,
    "pixelate": Pixelate,
}


def create_background(settings: Settings) -> Background:
    """Make the background that ``settings.background`` specifies.

    Raises
    ------
    SettingsError
        If the specification is invalid, such as an unknown colour.
    BackgroundError
        If a file or folder cannot be read.
    """
    return _maker(settings)()


def check_background(settings: Settings) -> None:
    """Check that `create_background` will succeed, before a model is loaded.

    Of a folder only the first picture is read.

    Raises
    ------
    SettingsError, BackgroundError
        As in `create_background`.
    """
    make = _maker(settings)
    path = user_path(settings.background)
    if not isinstance(make, partial) or make.func is not _from_path:
        return
    if is_folder(path):
        read_picture(pictures_of(path)[0])
    else:
        make().close()


def _maker(settings: Settings) -> Callable[[], Background]:
    """Validate the specification; return a function that makes the background."""
    spec = settings.background
    kind, _, value = spec.partition(":")
    if kind in _OF_STRENGTH and (value or spec == kind):
        return partial(_OF_STRENGTH[kind], strength_of(kind, value))
    if kind == "color" and value:
        return partial(ColourBackground, rgb_of(value))
    if spec in _WITHOUT_VALUE:
        return _WITHOUT_VALUE[spec]
    path = user_path(spec)
    if spec in BUILTIN and not path_exists(path):  # a file of that name has priority
        return partial(PictureBackground, builtin_path(spec), settings.fit)
    return partial(_from_path, path, settings)


def _from_path(path: Path, settings: Settings) -> Background:
    if is_folder(path):
        return Slideshow(path, settings.fit, settings.slide_seconds)
    reason = unreadable_reason(path)
    if reason is not None:
        raise unreadable(path, reason, _hint(settings.background))
    if is_picture(path) and not moves(path, MAX_SIDE_PX):
        return PictureBackground(path, settings.fit)
    return Video(path, settings.fit)


def _hint(spec: str) -> str:
    """Return a suggestion for an unknown word; empty if none is similar."""
    word, _, value = spec.partition(":")
    if spec.lower() in NAMES or re.fullmatch("#(?:[0-9a-fA-F]{3}){1,2}", spec):
        return f" Did you mean 'color:{spec}'?"
    words = (*BACKGROUND_KINDS, *BUILTIN)
    near = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.7)
    if not near:
        return ""
    kind = BACKGROUND_KINDS.get(near[0], BackgroundKind(""))
    takes_more = kind.argument is Argument.REQUIRED or (kind.is_strength and value)
    example = value or "#204060"
    return f" Did you mean '{near[0]}{f':{example}' if takes_more else ''}'?"
