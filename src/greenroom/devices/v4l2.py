"""What a Linux video device says of itself: Video4Linux2's ioctls, without a library.

Structures and numbers are those of the kernel's ``videodev2.h``, as they are on all machines
that PyAV has wheels for (x86-64, ARM64).
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Capability", "Device", "Ioctl", "Sizes", "SystemIoctl", "opened"]

VIDEO_CAPTURE: Final = 0x1
VIDEO_OUTPUT: Final = 0x2
VIDEO_CAPTURE_MPLANE: Final = 0x1000
_DEVICE_CAPS: Final = 0x80000000

# struct v4l2_capability: driver, card, bus_info, version, capabilities, device_caps, reserved.
_CAPABILITY: Final = struct.Struct("16s32s32sIII3I")
# struct v4l2_fmtdesc: index, type, flags, description, pixelformat, mbus_code, reserved.
_FORMAT: Final = struct.Struct("III32sII3I")
# struct v4l2_frmsizeenum: index, pixel_format, type, six numbers of a size, reserved.
_SIZE: Final = struct.Struct("III6I2I")
# struct v4l2_frmivalenum: index, pixel_format, width, height, type, six numbers, reserved.
_INTERVAL: Final = struct.Struct("IIIII6I2I")
# struct v4l2_format: type, and a union of 200 bytes that has pointers in it.
_PICTURE: Final = struct.Struct("I4x200s")


def _number(direction: int, index: int, size: int) -> int:
    """Put an ioctl's number together, as ``asm-generic/ioctl.h`` does."""
    return direction << 30 | size << 16 | ord("V") << 8 | index


QUERYCAP: Final = _number(2, 0, _CAPABILITY.size)
ENUM_FMT: Final = _number(3, 2, _FORMAT.size)
G_FMT: Final = _number(3, 4, _PICTURE.size)
S_FMT: Final = _number(3, 5, _PICTURE.size)
ENUM_FRAMESIZES: Final = _number(3, 74, _SIZE.size)
ENUM_FRAMEINTERVALS: Final = _number(3, 75, _INTERVAL.size)

# V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_FRMSIZE_TYPE_DISCRETE and V4L2_FRMIVAL_TYPE_DISCRETE
_CAPTURE_TYPE: Final = 1
_DISCRETE: Final = 1
# No device has more; one that never says that there are no more is not asked for ever.
_MOST: Final = 256


class Ioctl(Protocol):
    """Asks a device: opens it, and sends it a structure. Tests have their own."""

    def open(self, path: str) -> int:
        """Return a descriptor of a device.

        Raises
        ------
        OSError
            As the system's ``open``.
        """

    def call(self, descriptor: int, request: int, data: bytearray) -> None:
        """Have the device fill in ``data``.

        Raises
        ------
        OSError
            As the system's ``ioctl``.
        """

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""


class SystemIoctl:
    """The kernel's own."""

    def open(self, path: str) -> int:
        """See `Ioctl.open`; a device that is not ready to open makes nobody wait."""
        return os.open(path, os.O_RDWR | getattr(os, "O_NONBLOCK", 0))

    def call(self, descriptor: int, request: int, data: bytearray) -> None:
        """See `Ioctl.call`."""
        import fcntl  # noqa: PLC0415 - only where there are such devices

        fcntl.ioctl(descriptor, request, data, True)  # noqa: FBT003 - its signature

    def close(self, descriptor: int) -> None:
        """See `Ioctl.close`."""
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Capability:
    """Which driver a device has, what it is called, and what it can do."""

    driver: str
    card: str
    bits: int

    @property
    def captures(self) -> bool:
        """Whether frames can be read from it."""
        return bool(self.bits & (VIDEO_CAPTURE | VIDEO_CAPTURE_MPLANE))

    @property
    def takes(self) -> bool:
        """Whether frames can be written to it."""
        return bool(self.bits & VIDEO_OUTPUT)


@dataclass(frozen=True, slots=True)
class Sizes:
    """A size, or all sizes from ``smallest`` to ``size``, and the rates there."""

    fourcc: str
    size: tuple[int, int]
    rates: tuple[Fraction, ...]
    smallest: tuple[int, int] | None = None


@contextmanager
def opened(path: str, ioctl: Ioctl) -> Iterator[Device]:
    """Open a device for asking; what it is streaming to others goes on.

    Raises
    ------
    OSError
        If it cannot be opened.
    """
    descriptor = ioctl.open(path)
    try:
        yield Device(descriptor, ioctl)
    finally:
        ioctl.close(descriptor)


class Device:
    """An open video device."""

    def __init__(self, descriptor: int, ioctl: Ioctl) -> None:
        self._descriptor = descriptor
        self._ioctl = ioctl

    def capability(self) -> Capability:
        """Ask what it is.

        Raises
        ------
        OSError
            If it is no video device.
        """
        data = bytearray(_CAPABILITY.size)
        self._ioctl.call(self._descriptor, QUERYCAP, data)
        driver, card, _, _, all_bits, own_bits, *_ = _CAPABILITY.unpack(data)
        bits = own_bits if all_bits & _DEVICE_CAPS else all_bits
        return Capability(_text(driver), _text(card), bits)

    def sizes(self) -> list[Sizes]:
        """List every format with its sizes and rates, in the device's own order."""
        return [sizes for code in self._codes() for sizes in self._sizes_of(code)]

    def is_busy(self) -> bool:
        """Whether another program streams from it: then what it gives cannot be set."""
        data = bytearray(_PICTURE.size)
        struct.pack_into("I", data, 0, _CAPTURE_TYPE)
        try:
            self._ioctl.call(self._descriptor, G_FMT, data)
            self._ioctl.call(self._descriptor, S_FMT, data)
        except OSError as error:
            return error.errno == errno.EBUSY
        return False

    def _codes(self) -> Iterator[int]:
        for index in range(_MOST):
            data = bytearray(_FORMAT.size)
            struct.pack_into("II", data, 0, index, _CAPTURE_TYPE)
            if not self._fills_in(ENUM_FMT, data):
                return
            yield _FORMAT.unpack(data)[4]

    def _sizes_of(self, code: int) -> Iterator[Sizes]:
        fourcc = code.to_bytes(4, "little").decode("ascii", "replace").strip()
        for index in range(_MOST):
            data = bytearray(_SIZE.size)
            struct.pack_into("II", data, 0, index, code)
            if not self._fills_in(ENUM_FRAMESIZES, data):
                return
            _, _, kind, *numbers = _SIZE.unpack(data)
            if kind == _DISCRETE:
                size = (numbers[0], numbers[1])
                yield Sizes(fourcc, size, self._rates_of(code, size))
            else:  # from the least to the most, in steps
                size = (numbers[1], numbers[4])
                rates = self._rates_of(code, size)
                yield Sizes(fourcc, size, rates, (numbers[0], numbers[3]))
                return

    def _rates_of(self, code: int, size: tuple[int, int]) -> tuple[Fraction, ...]:
        rates = []
        for index in range(_MOST):
            data = bytearray(_INTERVAL.size)
            struct.pack_into("IIII", data, 0, index, code, *size)
            if not self._fills_in(ENUM_FRAMEINTERVALS, data):
                break
            kind, *numbers = _INTERVAL.unpack(data)[4:]
            pairs = [numbers[:2]] if kind == _DISCRETE else [numbers[:2], numbers[2:4]]
            rates += [Fraction(below, above) for above, below in pairs if above and below]
            if kind != _DISCRETE:
                break
        return tuple(sorted(set(rates), reverse=True))

    def _fills_in(self, request: int, data: bytearray) -> bool:
        """Ask for one more of a list; False when there is none."""
        try:
            self._ioctl.call(self._descriptor, request, data)
        except OSError:
            return False
        return True


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("utf-8", "replace").strip()
