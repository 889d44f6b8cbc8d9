"""The camera's own background, blurred."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from greenroom.backgrounds.background import Background
from greenroom.backgrounds.softened import Softened
from greenroom.cuda import calls
from greenroom.media.frame import Frame
from greenroom.media.resampling import upsample

if TYPE_CHECKING:
    from greenroom.media.matte import Matte

__all__ = ["Blur"]


class Blur(Background):
    """The camera's background, blurred without the person's colours.

    Its cover is a plain colour: a blurred room is made from the camera's pixels.

    Parameters
    ----------
    strength : float
        Of `Softened`.
    """

    takes_device_frames = True

    def __init__(self, strength: float) -> None:
        self._softened = Softened(strength)

    def render(self, frame: Frame, matte: Matte, time_s: float) -> Frame:
        """See `Background.render`."""
        grids = self._softened.grids(frame, matte)
        result = Frame.empty(frame.layout, device=frame.device)
        if frame.device is not None:
            uploaded = frame.device.upload(*(grid / np.float32(255) for grid in grids))
            for grid_there, target in zip(uploaded, result.planes, strict=True):
                calls.upsample(grid_there, target)
            return result
        for grid, target in zip(grids, result.planes, strict=True):
            enlarged = np.empty(target.shape, np.uint8)
            upsample(grid / np.float32(255), enlarged)
            target[:] = enlarged
        return result

    def reset(self) -> None:
        """See `Background.reset`."""
        self._softened.reset()
