"""Pictures in the memory of a device as decoders leave and encoders take them, and its planes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda import calls

if TYPE_CHECKING:
    from greenroom.cuda.device import Device, DeviceArray

__all__ = ["SURFACE_FORMATS", "Surface", "joined"]

SURFACE_FORMATS: Final[dict[str, np.dtype[Any]]] = {
    "nv12": np.dtype("u1"),
    "p010le": np.dtype("<u2"),
}
"""Formats of surfaces, by FFmpeg's names, and the type of a sample. They have a plane of luma, and
one of chroma in pairs; 10 bits are the upper ones of 16."""

# Rows of a surface begin at multiples of this, as FFmpeg lays them out for NVENC.
_ROW_BYTES: Final = 256
# The grid of a launch has 65,535 blocks of 8 rows at most.
_MAX_ROWS: Final = 65535 * 8


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


def joined(planes: tuple[DeviceArray, DeviceArray, DeviceArray]) -> tuple[DeviceArray, DeviceArray]:
    """Return Y, U and V of 4:2:0 as luma and chroma in pairs (NV12), in new memory there.

    Both are in one block, chroma after luma with the same line size: NVENC is given where luma
    begins, and no more.

    Parameters
    ----------
    planes : tuple of (H, W) uint8
        On one device, of even height and width. Read only.

    Returns
    -------
    tuple of (H, W) and (H / 2, W) uint8
    """
    luma, *others = planes
    height, width = luma.shape
    block = luma.device.empty((height + height // 2, -(-width // _ROW_BYTES) * _ROW_BYTES))
    out, chroma = block[:height, :width], block[height:, :width]
    calls.copy_plane(luma, out)
    pairs = luma.device.empty((height // 2, width))
    for start, plane in enumerate(others):
        _spread(calls.packed(plane), pairs, start)
    calls.copy_plane(pairs, chroma)
    return out, chroma


def _spread(plane: DeviceArray, pairs: DeviceArray, start: int) -> None:
    """Write samples to every second place, some rows at a time."""
    rows = max(1, _MAX_ROWS // plane.shape[1])
    for top in range(0, plane.shape[0], rows):
        part = plane[top : top + rows]
        out = pairs[top : top + rows].reshape(2 * part.size)[start:]
        part.device.launch("take_samples", (1, part.size), part, 1, 1, 0, 0, out, 2, part.size, 1)
