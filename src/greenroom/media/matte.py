"""Mattes: coverage of the foreground, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.cuda import calls
from greenroom.errors import FormatError
from greenroom.media.pyramid import halved, reduced

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Device

    Plane = NDArray[np.uint8]

__all__ = ["NEGLIGIBLE_COVERAGE", "Matte"]

NEGLIGIBLE_COVERAGE: Final = 2.0**-20
"""Coverage below this is treated as zero.

It is invisible, and repeated multiplication would make it a denormal number, with which some
processors compute ten times slower.
"""


@dataclass(frozen=True, eq=False)
class Matte:
    """Coverage of the foreground for every sample of a frame.

    Attributes
    ----------
    values : (H, W) uint8, contiguous
        Coverage at frame resolution, 0 (background) to 255 (foreground). An array of NumPy's or,
        for a frame on a device, of that device: then it gives coverage on that device.
    """

    values: Plane

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frame."""
        return self.values.shape

    @property
    def device(self) -> Device | None:
        """The device that the coverage is on; None if it is NumPy's."""
        return calls.device_of(self.values)

    def downloaded(self) -> Matte:
        """Return the matte with its coverage in the host's memory; itself if it is there."""
        if self.device is None:
            return self
        values: Any = self.values
        return Matte(self.device.download(values)[0])

    def uploaded(self, device: Device) -> Matte:
        """Return the matte with its coverage on a device; itself if it is there."""
        if self.device is device:
            return self
        values: Any = device.upload(self.downloaded().values)[0]
        return Matte(values)

    @property
    def is_settled(self) -> bool:
        """Whether it can be read without the frame."""
        return True

    def settle(self) -> None:
        """Compute everything that needs the frame."""

    def again(self) -> Matte:
        """Return a copy of the coverage, for another frame."""
        if self.device is not None:
            return Matte(calls.copied(self.values))
        return Matte(self.values.copy())

    def sampled(self, shape: tuple[int, int]) -> Plane:
        """Return evenly spaced samples of the coverage, in new memory of the host."""
        if self.device is not None:
            samples: Plane = self.device.download(calls.picked(self.values, shape))[0]
            return samples
        height, width = shape
        down, across = self.shape[0] // height, self.shape[1] // width
        if self.shape == (down * height, across * width):  # as cv2.resize does, and faster
            return self.values[::down, ::across].copy()
        nearest = cv2.resize(self.values, shape[::-1], interpolation=cv2.INTER_NEAREST)
        return np.asarray(nearest, np.uint8)

    def for_plane(self, shape: tuple[int, int]) -> Plane:
        """Return the coverage at the resolution of one plane. Read only.

        Raises
        ------
        FormatError
            If the shape is neither the frame's nor that of its 4:2:0 chroma.
        """
        height, width = self.shape
        if shape == (height, width):
            return self.values
        if shape == ((height + 1) // 2, (width + 1) // 2):
            return self.quarter
        message = f"a matte of {self.shape} does not fit a plane of {shape}"
        raise FormatError(message)

    def reduced_to(self, shape: tuple[int, int]) -> Plane:
        """Return the coverage at the resolution of a small plane of the frame. Read only.

        It is halved if that gives the shape; otherwise samples are area means.

        Raises
        ------
        FormatError
            If the shape is larger.
        """
        height, width = shape
        if height > self.shape[0] or width > self.shape[1]:
            message = f"a matte of {self.shape} cannot be reduced to {shape}"
            raise FormatError(message)
        if shape == self.shape:
            return self.values
        # The half is also used for chroma, and computed once.
        half = (self.shape[0] + 1) // 2, (self.shape[1] + 1) // 2
        fits_quarter = height <= half[0] and width <= half[1]
        return reduced(self.quarter if fits_quarter else self.values, shape)

    @cached_property
    def quarter(self) -> Plane:
        """The mean of every 2x2 samples, for 4:2:0 chroma; odd edges repeat."""
        return halved((self.values,), 1)[0]
