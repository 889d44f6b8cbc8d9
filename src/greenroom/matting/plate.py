"""The clean plate: the room behind the person, learned while it is seen.

A camera that stands still shows every part of the room at some time. Where and when nobody is,
its samples are averaged; what looks like them later is the room, and what does not is not. The
plate never leaves the engine but in a file that the user asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import cv2
import numpy as np

from greenroom.matting.evidence_kernels import SURE, TRUSTED
from greenroom.media.colour import FULL_RANGE_RGB
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MEMORY", "CleanPlate"]

MEMORY: Final = 25.0
"""Over how many frames a sample is averaged at most."""
# When so large a share of what should be the room differs from it in so many frames in a row, the
# camera has moved, or the light is another, and the plate is dropped.
_MOVED: Final = 0.3
_MOVED_FRAMES: Final = 3
# Below this share of the frame too little of the room is seen to judge that.
_JUDGED: Final = 0.05


class CleanPlate:
    """The room's samples, and how sure they are.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the half grid.
    planes : int
        How many planes frames have.

    Attributes
    ----------
    planes : (planes, h, w) float32
        Samples of every plane, 0 to 255, in the light of the last frame.
    seen : (h, w) float32
        In how many frames a sample was learned, up to 25.

    State: these, and in how many frames they did not fit.
    """

    def __init__(self, shape: tuple[int, int], planes: int) -> None:
        self.planes = np.zeros((planes, *shape), np.float32)
        self.seen = np.zeros(shape, np.float32)
        self._misfits = 0

    @property
    def confidence(self) -> NDArray[np.float32]:
        """How sure each sample is, 0 to 1; new memory."""
        return np.where(self.seen >= TRUSTED, np.minimum(self.seen / SURE, 1), 0).astype(
            np.float32, copy=False
        )

    @classmethod
    def from_picture(cls, rgba: NDArray[np.uint8], layout: Layout) -> Self:
        """Take a picture of the room for certain where its alpha is not zero.

        Parameters
        ----------
        rgba : (H, W, 4) uint8
            Of the size of frames, straight. Read only.
        layout : Layout
            That of the frames.
        """
        frame = Frame.from_rgb(np.ascontiguousarray(rgba[..., :3])).converted(layout)
        planes = frame.half_planes
        plate = cls(planes.shape[1:], len(planes))
        plate.planes[...] = planes
        shape = plate.seen.shape
        known = cv2.resize(rgba[..., 3], shape[::-1], interpolation=cv2.INTER_AREA)
        plate.seen[np.asarray(known) == 255] = MEMORY
        return plate

    def to_picture(self, layout: Layout) -> NDArray[np.uint8]:
        """Return the room as (H, W, 4) uint8 RGBA of a layout's size; alpha 255 where known."""
        frame = Frame.empty(layout)
        for plane, room in zip(frame.planes, self.planes, strict=True):
            samples = np.clip(np.rint(room), 0, 255).astype(np.uint8)
            plane[...] = cv2.resize(samples, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
        known = np.greater(self.confidence, 0).view(np.uint8) * np.uint8(255)
        alpha = cv2.resize(known, layout.size, interpolation=cv2.INTER_NEAREST)
        rgb = frame.converted(Layout(*layout.size, "gbrp", FULL_RANGE_RGB)).to_rgb()
        return np.dstack([rgb, np.asarray(alpha, np.uint8)])

    def check(self, known: float, misfits: float, brighter: float) -> None:
        """Follow the light, and forget a room that is no longer there.

        Parameters
        ----------
        known, misfits : float
            How many samples of a frame are known and should be the room, and how many of these
            are not like it.
        brighter : float
            By how much those that are like it are brighter than the plate, on average.
        """
        if known > _JUDGED * self.seen.size and misfits > _MOVED * known:
            self._misfits += 1
            if self._misfits >= _MOVED_FRAMES:
                self.forget()
        else:
            self._misfits = 0
            self.planes[0] += np.float32(brighter / 2)

    def forget(self) -> None:
        """Begin anew: the camera has moved, or another scene has begun."""
        self.seen[...] = 0
        self._misfits = 0
