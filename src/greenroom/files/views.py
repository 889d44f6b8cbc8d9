"""What is written of a frame: the picture, its matte, or the input beside the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.engine.engine import VirtualBackground
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.shapes import padded_to_even
from greenroom.settings import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.settings import Settings

    Process = Callable[[VirtualBackground, Frame], Frame]

__all__ = ["beside", "process_for"]


def process_for(settings: Settings) -> Process:
    """Return the function that makes what is written of a frame, with an engine."""
    return {
        View.PICTURE: VirtualBackground.process,
        View.MATTE: VirtualBackground.process_matte,
        View.SIDE_BY_SIDE: _side_by_side,
    }[settings.view]


def beside(left: Frame, right: Frame) -> Frame:
    """Return two frames of one layout side by side, in new memory, at the time of the second.

    The last column is repeated where the width is odd. If one has alpha, so has the result.
    """
    if right.size[0] % 2:
        left, right = padded_to_even(left), padded_to_even(right)
    width, height = right.size
    has_alpha = left.alpha is not None or right.alpha is not None
    layout = right.layout
    colour = layout.colour.named(layout.size)  # which may depend on the width
    result = Frame.empty(Layout(2 * width, height, layout.format, colour), alpha=has_alpha)
    for planes in zip(result.planes, left.planes, right.planes, strict=True):
        np.concatenate(planes[1:], axis=1, out=planes[0])
    if result.alpha is not None:
        for side, frame in ((result.alpha[:, :width], left), (result.alpha[:, width:], right)):
            side[...] = 255 if frame.alpha is None else frame.alpha
    return result.at(right)


def _side_by_side(engine: VirtualBackground, frame: Frame) -> Frame:
    """Return the input beside the picture; a frame without a valid matte is on neither side."""
    failures = engine.failures
    made = engine.process(frame)
    return beside(made if engine.failures > failures else frame, made)
