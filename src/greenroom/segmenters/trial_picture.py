"""A picture to try models with: a person drawn before stripes.

Networks that look for people answer with nothing where nobody is, as a device does that computes
nothing: only a person tells them apart. The stripes have edges everywhere, and every brightness.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout

__all__ = ["trial_frame"]

_LAYOUT: Final = Layout(1280, 720, "yuv420p", Colour(1, 1))  # a common size
# Ellipses: centre and radii in pixels, and Y, Cb and Cr. They stand left of the middle, so that a
# mirrored answer is another.
_PERSON: Final = (
    ((512, 720), (320, 288), (70, 150, 110)),  # shoulders
    ((512, 248), (130, 180), (40, 125, 132)),  # hair
    ((512, 288), (102, 144), (170, 110, 152)),  # face
    ((467, 273), (12, 8), (30, 128, 128)),  # eyes
    ((557, 273), (12, 8), (30, 128, 128)),
    ((512, 358), (38, 12), (100, 118, 165)),  # mouth
)


def trial_frame() -> Frame:
    """Return a new frame, 1280x720, of a drawn person."""
    frame = Frame.filled(_LAYOUT, (128, 128, 128))
    luma = frame.planes[0]
    luma[...] = np.add.outer(*map(np.arange, luma.shape)) % 256
    for centre, radii, colour in _PERSON:
        for plane, value, scale in zip(frame.planes, colour, (1, 2, 2), strict=True):
            x, y = (place // scale for place in centre)
            axes = tuple(radius // scale for radius in radii)
            cv2.ellipse(plane, (x, y), axes, 0, 0, 360, value, cv2.FILLED)
    return frame
