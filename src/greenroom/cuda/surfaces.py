"""Pictures that a decoder left in the memory of a device, as planes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from greenroom.cuda.device import Device, DeviceArray

__all__ = ["SURFACE_FORMATS", "Surface"]

SURFACE_FORMATS: Final[dict[str, np.dtype[Any]]] = {
    "nv12": np.dtype("u1"),
    "p010le": np.dtype("<u2"),
}
"""Formats of surfaces, by FFmpeg's names, and the type of a sample. They have a plane of luma, and
one of chroma in pairs; 10 bits are the upper ones of 16."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A picture in memory of a decoder, which writes to it no more while its owner is there.

    Attributes
    ----------
    place : (str, int)
        Kind and number of the device, as `Device.place`.
    format : str
        One of `SURFACE_FORMATS`.
    size : (int, int)
        Width and height in pixels.
    addresses, line_sizes : tuple of int
        First byte of luma and of chroma, and bytes from one row to the next.
    is_full_range : bool
        Whether luma has its full range.
    owner : object
        Keeps the memory.
    """

    place: tuple[str, int]
    format: str
    size: tuple[int, int]
    addresses: tuple[int, int]
    line_sizes: tuple[int, int]
    is_full_range: bool
    owner: object

    def planes(self, device: Device) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
        """Return Y, U and V as new planes of 8 bits on the device.

        Ten bits become eight with the dither of libswscale. Kernels wait for the decoder's work
        on the device's default stream; the host waits for nothing.

        Raises
        ------
        DeviceError
            If the device fails.
        """
        width, height = self.size
        kind = SURFACE_FORMATS[self.format]
        half = (height + 1) // 2, (width + 1) // 2
        step = kind.itemsize
        device.wait_for_others()
        made = device.empties([(height, width), half, half])
        starts = self.addresses[0], self.addresses[1], self.addresses[1] + step
        strides = self.line_sizes[0], self.line_sizes[1], self.line_sizes[1]
        steps = step, 2 * step, 2 * step
        full = int(self.is_full_range), 0, 0
        for out, start, *given in zip(made, starts, strides, steps, full, strict=True):
            stride, apart, is_full = given
            samples = device.adopt(start, out.shape, kind, self.owner, (stride, apart))
            read = samples, stride, apart, int(step > 1), is_full
            device.launch("take_samples", out.shape[::-1], *read, out, out.strides[0], *out.shape)
        device.keep(self.owner)
        return made[0], made[1], made[2]
