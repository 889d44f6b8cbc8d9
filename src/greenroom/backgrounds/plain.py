"""Backgrounds without a picture: one colour, nothing, or the camera's own picture."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from greenroom.backgrounds.background import Background, Scene
from greenroom.media.frame import Frame

if TYPE_CHECKING:
    from greenroom.media.layout import Layout
    from greenroom.media.matte import Matte

__all__ = ["CameraBackground", "ColourBackground", "Transparent"]


class ColourBackground(Scene):
    """One sRGB colour."""

    def __init__(self, rgb: tuple[int, int, int]) -> None:
        self.rgb = rgb
        self._filled = lru_cache(maxsize=1)(Frame.filled)

    def at(self, layout: Layout, time_s: float) -> Frame:
        """See `Scene.at`."""
        return self._filled(layout, self.rgb)


class Transparent(Scene):
    """No background: the result has alpha."""

    def __init__(self) -> None:
        self._filled = lru_cache(maxsize=1)(Frame.filled)

    def at(self, layout: Layout, time_s: float) -> Frame:
        """See `Scene.at`: black of no coverage."""
        return self._filled(layout, (0, 0, 0), alpha=0)


class CameraBackground(Background):
    """The camera's picture as it is: the background that shows the whole room."""

    needs_matte = False
    shows_room = True

    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:
        """See `Background.render`."""
        return frame
