"""Video4Linux2 ioctls: capabilities, formats, and events of a video device.

Structures and request numbers are those of the kernel's ``videodev2.h`` on 64-bit machines
(x86-64, ARM64).
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CameraFormat", "Capability", "Ioctl", "VideoDevice", "open_device"]

_VIDEO_CAPTURE: Final = 0x1
_VIDEO_CAPTURE_MPLANE: Final = 0x1000
_DEVICE_CAPS: Final = 0x80000000

# struct v4l2_capability: driver, card, bus_info, version, capabilities, device_caps, reserved.
_CAPABILITY: Final = struct.Struct("16s32s32sIII3I")
# struct v4l2_fmtdesc: index, type, flags, description, pixelformat, mbus_code, reserved.
_FMTDESC: Final = struct.Struct("III32sII3I")
# struct v4l2_frmsizeenum: index, pixel_format, type, union of six numbers, reserved.
_FRAME_SIZE: Final = struct.Struct("III6I2I")
# struct v4l2_frmivalenum: index, pixel_format, width, height, type, union of six, reserved.
_FRAME_INTERVAL: Final = struct.Struct("IIIII6I2I")
# struct v4l2_format: type, and a union of 200 bytes, aligned for the pointers in it.
_PIXEL_FORMAT: Final = struct.Struct("I4x200s")
# struct v4l2_event_subscription: type, id, flags, reserved.
_SUBSCRIPTION: Final = struct.Struct("3I5I")
# struct v4l2_event: type, a union of 64 bytes aligned to 8 (here its first 32-bit number),
# pending, sequence, timestamp, id, reserved.
_EVENT: Final = struct.Struct("I4xI60xII2qI8I4x")


def _request(direction: int, number: int, size: int) -> int:
    """Encode an ioctl request of type 'V' (``asm-generic/ioctl.h``): 1 writes, 2 reads, 3 both."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


_QUERYCAP: Final = _request(2, 0, _CAPABILITY.size)
_ENUM_FMT: Final = _request(3, 2, _FMTDESC.size)
_G_FMT: Final = _request(3, 4, _PIXEL_FORMAT.size)
_S_FMT: Final = _request(3, 5, _PIXEL_FORMAT.size)
_ENUM_FRAMESIZES: Final = _request(3, 74, _FRAME_SIZE.size)
_ENUM_FRAMEINTERVALS: Final = _request(3, 75, _FRAME_INTERVAL.size)
_DQEVENT: Final = _request(2, 89, _EVENT.size)
_SUBSCRIBE_EVENT: Final = _request(1, 90, _SUBSCRIPTION.size)

# V4L2_BUF_TYPE_VIDEO_CAPTURE
_CAPTURE_TYPE: Final = 1
# V4L2_FRMSIZE_TYPE_DISCRETE and V4L2_FRMIVAL_TYPE_DISCRETE
_DISCRETE: Final = 1
# V4L2_EVENT_SUB_FL_SEND_INITIAL
_SEND_INITIAL: Final = 1
# Upper bound of an enumeration, against drivers that never end one.
_MAX_ENTRIES: Final = 256


class Ioctl:
    """System calls on a device file; tests substitute a fake."""

    def open(self, path: str, access: int = os.O_RDWR) -> int:
        """Open a device without blocking, and return its descriptor.

        Raises
        ------
        OSError
            As `os.open`.
        """
        return os.open(path, access | getattr(os, "O_NONBLOCK", 0))

    def call(self, descriptor: int, request: int, data: bytearray) -> None:
        """Send a request; the driver may write to ``data``.

        Raises
        ------
        OSError
            As `fcntl.ioctl`.
        """
        fcntl.ioctl(descriptor, request, data, True)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Capability:
    """Driver, name and capability flags of a device."""

    driver: str
    card: str
    flags: int

    @property
    def captures(self) -> bool:
        """Whether frames can be read from it."""
        return bool(self.flags & (_VIDEO_CAPTURE | _VIDEO_CAPTURE_MPLANE))


@dataclass(frozen=True, slots=True)
class CameraFormat:
    """A pixel format at one size, or at all sizes from ``smallest`` to ``size``.

    Attributes
    ----------
    fourcc : str
        The driver's or FFmpeg's four letters.
    size : (int, int)
        Width and height.
    rates : tuple of Fraction
        Frames a second, the highest first.
    smallest : (int, int), optional
        Lower end of a range of sizes.
    """

    fourcc: str
    size: tuple[int, int]
    rates: tuple[Fraction, ...]
    smallest: tuple[int, int] | None = None


@contextmanager
def open_device(path: str, ioctl: Ioctl | None = None) -> Iterator[VideoDevice]:
    """Open a device for queries; its streams to other programs go on.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    ioctl = ioctl or Ioctl()
    descriptor = ioctl.open(path)
    try:
        yield VideoDevice(descriptor, ioctl)
    finally:
        ioctl.close(descriptor)


class VideoDevice:
    """Queries of an open video device. The descriptor stays the caller's."""

    def __init__(self, descriptor: int, ioctl: Ioctl) -> None:
        self._descriptor = descriptor
        self._ioctl = ioctl

    def capability(self) -> Capability:
        """Query the driver, name and capabilities.

        Raises
        ------
        OSError
            If it is no video device.
        """
        data = bytearray(_CAPABILITY.size)
        self._ioctl.call(self._descriptor, _QUERYCAP, data)
        driver, card, _, _, all_flags, own_flags, *_ = _CAPABILITY.unpack(data)
        flags = own_flags if all_flags & _DEVICE_CAPS else all_flags
        return Capability(_text(driver), _text(card), flags)

    def formats(self) -> list[CameraFormat]:
        """List every pixel format with its sizes and rates, in the driver's order."""
        return [found for code in self._codes() for found in self._formats_of(code)]

    def is_busy(self) -> bool:
        """Whether another program streams from it, so that its format cannot be set."""
        data = bytearray(_PIXEL_FORMAT.size)
        struct.pack_into("I", data, 0, _CAPTURE_TYPE)
        try:
            self._ioctl.call(self._descriptor, _G_FMT, data)
            self._ioctl.call(self._descriptor, _S_FMT, data)
        except OSError as error:
            return error.errno == errno.EBUSY
        return False

    def subscribe(self, event: int) -> None:
        """Subscribe to a type of event, and ask for one with the present state.

        Raises
        ------
        OSError
            If the driver has no such event.
        """
        data = bytearray(_SUBSCRIPTION.size)
        struct.pack_into("III", data, 0, event, 0, _SEND_INITIAL)
        self._ioctl.call(self._descriptor, _SUBSCRIBE_EVENT, data)

    def next_event(self) -> tuple[int, int] | None:
        """Dequeue the oldest event; return its type and first number, or None if none is queued.

        Raises
        ------
        OSError
            If the device has gone.
        """
        data = bytearray(_EVENT.size)
        try:
            self._ioctl.call(self._descriptor, _DQEVENT, data)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EAGAIN):
                return None
            raise
        kind, value, *_ = _EVENT.unpack(data)
        return kind, value

    def _codes(self) -> Iterator[int]:
        for index in range(_MAX_ENTRIES):
            data = bytearray(_FMTDESC.size)
            struct.pack_into("II", data, 0, index, _CAPTURE_TYPE)
            if not self._enumerate(_ENUM_FMT, data):
                return
            yield _FMTDESC.unpack(data)[4]

    def _formats_of(self, code: int) -> Iterator[CameraFormat]:
        fourcc = code.to_bytes(4, "little").decode("ascii", "replace").strip()
        for index in range(_MAX_ENTRIES):
            data = bytearray(_FRAME_SIZE.size)
            struct.pack_into("II", data, 0, index, code)
            if not self._enumerate(_ENUM_FRAMESIZES, data):
                return
            _, _, kind, *numbers = _FRAME_SIZE.unpack(data)
            if kind == _DISCRETE:
                size = (numbers[0], numbers[1])
                yield CameraFormat(fourcc, size, self._rates_of(code, size))
            else:  # a range, in steps
                size = (numbers[1], numbers[4])
                rates = self._rates_of(code, size)
                yield CameraFormat(fourcc, size, rates, (numbers[0], numbers[3]))
                return

    def _rates_of(self, code: int, size: tuple[int, int]) -> tuple[Fraction, ...]:
        rates = []
        for index in range(_MAX_ENTRIES):
            data = bytearray(_FRAME_INTERVAL.size)
            struct.pack_into("IIII", data, 0, index, code, *size)
            if not self._enumerate(_ENUM_FRAMEINTERVALS, data):
                break
            kind, *numbers = _FRAME_INTERVAL.unpack(data)[4:]
            pairs = [numbers[:2]] if kind == _DISCRETE else [numbers[:2], numbers[2:4]]
            rates += [Fraction(below, above) for above, below in pairs if above and below]
            if kind != _DISCRETE:
                break
        return tuple(sorted(set(rates), reverse=True))

    def _enumerate(self, request: int, data: bytearray) -> bool:
        """Query one entry of an enumeration; return whether there is one."""
        try:
            self._ioctl.call(self._descriptor, request, data)
        except OSError:
            return False
        return True


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("utf-8", "replace").strip()
