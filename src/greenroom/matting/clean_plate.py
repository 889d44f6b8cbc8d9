"""The clean plate: the room behind the person, averaged where it is visible.

A camera that stands still shows every part of the room at some time. Samples of background are
averaged; later samples that look like them are the room, and others are not. The plate never
leaves the engine but in a file that the user asks for.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, Self

import cv2
import numpy as np

from greenroom.cuda import calls, grid_calls
from greenroom.matting.evidence_kernels import SURE, TRUSTED
from greenroom.media.colour import FULL_RANGE_RGB
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Device

__all__ = ["MEMORY", "CleanPlate"]

MEMORY: Final = 25.0
"""Number of frames over which a sample is averaged at most."""
# Share of background samples that differ from the plate, and number of frames in a row in which
# they do, from which the plate is dropped: the camera has moved, or the light has changed.
_MAX_MISFITS: Final = 0.3
_MAX_MISFIT_FRAMES: Final = 3
# Share of the frame that must be known background to decide that.
_MIN_KNOWN: Final = 0.05


class CleanPlate:
    """The room's samples and their confidence.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the half grid.
    planes : int
        Number of planes of a frame.

    Attributes
    ----------
    planes : (planes, h, w) float32
        Samples of every plane, 0 to 255, at the brightness of the last frame.
    seen : (h, w) float32
        Number of frames in which a sample was learned, up to 25.

    Both may be arrays of a device, for frames there.

    State: these, and the number of frames in a row that did not fit.
    """

    def __init__(self, shape: tuple[int, int], planes: int) -> None:
        self.planes = np.zeros((planes, *shape), np.float32)
        self.seen = np.zeros(shape, np.float32)
        self._misfits = 0

    def uploaded(self, device: Device) -> Self:
        """Return a copy on a device; itself if it is there."""
        if calls.device_of(self.seen) is device:
            return self
        there: Any = device.upload(*calls.on_host(self.planes, self.seen))
        return self._placed(*there)

    def downloaded(self) -> Self:
        """Return a copy in the host's memory; itself if it is there."""
        if calls.device_of(self.seen) is None:
            return self
        planes: Any = self.planes
        return self._placed(*planes.device.download(planes, self.seen))

    def _placed(self, planes: NDArray[np.float32], seen: NDArray[np.float32]) -> Self:
        plate = copy(self)
        plate.planes, plate.seen = planes, seen
        return plate

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Confidence of each sample, 0 to 1; new memory."""
        return np.where(self.seen >= TRUSTED, np.minimum(self.seen / SURE, 1), 0).astype(
            np.float32, copy=False
        )

    @classmethod
    def from_picture(cls, rgba: NDArray[np.uint8], layout: Layout) -> Self:
        """Make a plate of a picture of the room, certain where its alpha is 255.

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
        """Return the plate as (H, W, 4) uint8 RGBA of a layout's size; alpha 255 where known."""
        frame = Frame.empty(layout)
        for plane, room in zip(frame.planes, self.planes, strict=True):
            samples = np.clip(np.rint(room), 0, 255).astype(np.uint8)
            plane[...] = cv2.resize(samples, plane.shape[::-1], interpolation=cv2.INTER_LINEAR)
        known = np.greater(self.confidence, 0).view(np.uint8) * np.uint8(255)
        alpha = cv2.resize(known, layout.size, interpolation=cv2.INTER_NEAREST)
        rgb = frame.converted(Layout(*layout.size, "gbrp", FULL_RANGE_RGB)).to_rgb()
        return np.dstack([rgb, np.asarray(alpha, np.uint8)])

    def check(self, known: float, misfits: float, brighter: float) -> None:
        """Follow the brightness, and drop a plate that no longer fits.

        Parameters
        ----------
        known, misfits : float
            Number of known background samples of a frame, and of those of them that differ from
            the plate.
        brighter : float
            Mean difference of the others from the plate, in 8-bit levels.
        """
        if known > _MIN_KNOWN * self.seen.size and misfits > _MAX_MISFITS * known:
            self._misfits += 1
            if self._misfits >= _MAX_MISFIT_FRAMES:
                self.forget()
        else:
            self._misfits = 0
            if calls.on_device(self.planes):
                grid_calls.brighten(self.planes[0], brighter / 2)
            else:
                self.planes[0] += np.float32(brighter / 2)

    def forget(self) -> None:
        """Drop the plate: the camera has moved, or another scene has begun."""
        self.seen = calls.zeros(self.seen.shape, self.seen, np.float32)
        self._misfits = 0
