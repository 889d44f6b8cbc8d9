"""The camera's own background, without colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.backgrounds.background import Background
from greenroom.media.frame import Frame

if TYPE_CHECKING:
    from greenroom.media.matte import Matte

__all__ = ["Grayscale"]

# Chroma of a sample without colour.
_NEUTRAL: Final = 128


class Grayscale(Background):
    """The camera's background in shades of grey, which shows the room at the user's request.

    Its cover is still a plain colour: a frame without a valid matte is not shown.
    """

    shows_room = True

    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:
        """See `Background.render`. It may share memory with the frame."""
        if frame.format != "gbrp":
            luma, *chroma = frame.planes
            neutral = (np.full_like(plane, _NEUTRAL) for plane in chroma)
            return Frame((luma, *neutral), frame.layout).at(frame)
        k_r, k_b = frame.layout.colour.luma_coefficients(frame.size)
        green, blue, red = (plane.astype(np.float32) for plane in frame.planes)
        luma = np.rint(k_r * red + (1 - k_r - k_b) * green + k_b * blue).astype(np.uint8)
        return Frame((luma, luma, luma), frame.layout).at(frame)
