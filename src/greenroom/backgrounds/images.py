"""Backgrounds from picture files: one picture, or the pictures of a folder in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.backgrounds.background import Scene
from greenroom.backgrounds.fitting import fitted
from greenroom.errors import BackgroundError
from greenroom.media.image_files import decode_picture, pictures_in
from greenroom.media.limits import MAX_SIDE_PX

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.media.frame import Frame
    from greenroom.media.layout import Layout
    from greenroom.settings import Fit

__all__ = ["PictureBackground", "Slideshow", "read_picture", "unreadable"]


def read_picture(path: Path) -> Frame:
    """Decode a picture, upright, in front of black where it has alpha.

    Raises
    ------
    BackgroundError
        If it cannot be read or is wider or higher than 16384 pixels.
    """
    try:
        return decode_picture(path, MAX_SIDE_PX)
    except ValueError as error:
        raise unreadable(path, error) from error


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures of a folder in order of their names.

    Raises
    ------
    BackgroundError
        If there are none.
    """
    paths = pictures_in(folder)
    if not paths:
        raise unreadable(folder, "it is a folder without pictures")
    return paths


def unreadable(path: Path, reason: object, hint: str = "") -> BackgroundError:
    """Make the error for a background that cannot be read."""
    message = (
        f"background '{path}' cannot be read: {reason}.{hint} Give a picture, a video, a folder of "
        f"pictures, blur, or a colour such as color:#204060."
    )
    return BackgroundError(message, path)


class PictureBackground(Scene):
    """A picture in a file, decoded when it is opened, and fitted once for each layout."""

    def __init__(self, path: Path, fit: Fit) -> None:
        self._picture = read_picture(path)
        self._fit = fit
        self._last: Frame | None = None

    def at(self, layout: Layout, time_s: float) -> Frame:
        """See `Scene.at`."""
        last = self._last
        if last is None or last.layout != layout:
            self._last = last = fitted(self._picture, layout, self._fit)
        return last


class Slideshow(Scene):
    """Slideshow of a folder: its pictures by name, each for the same time, repeated.

    A picture is decoded and fitted when it is first shown.
    """

    def __init__(self, folder: Path, fit: Fit, slide_seconds: float) -> None:
        self._paths = pictures_of(folder)
        self._fit = fit
        self._slide_seconds = slide_seconds
        for path in self._paths:  # report unreadable pictures now, not when they are shown
            read_picture(path)
        self._last: tuple[Path, Frame] | None = None

    def at(self, layout: Layout, time_s: float) -> Frame:
        """See `Scene.at`."""
        path = self._paths[int(time_s / self._slide_seconds) % len(self._paths)]
        last = self._last
        if last is None or last[0] != path or last[1].layout != layout:
            self._last = last = path, fitted(read_picture(path), layout, self._fit)
        return last[1]
