"""v4l2loopback's own word on whether somebody looks, since its version 0.13.

The driver queues an event [2]_ when a program begins or ends to capture, whether it ends by itself
or is killed, and one at once for those who ask for it when they subscribe [1]_. Its payload is one
32-bit number: not 0 while somebody captures. Opening the device, as programs do to list cameras,
is no capture.

References
----------
.. [1] The Linux kernel's user-space API, ``VIDIOC_SUBSCRIBE_EVENT`` and ``VIDIOC_DQEVENT``.
.. [2] v4l2loopback 0.13 to 0.15, ``V4L2_EVENT_PRI_CLIENT_USAGE``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["CLIENT_USAGE", "Event", "LoopbackEvents", "Subscription"]

# V4L2_EVENT_PRIVATE_START of videodev2.h, the driver's own part of it, and its first event.
CLIENT_USAGE: Final = 0x08000000 + 0x08E00000 + 1
# V4L2_EVENT_SUB_FL_SEND_INITIAL
_SEND_INITIAL: Final = 1
# How long a wait lasts without an event: the end is noticed after that at the latest.
_WAIT_MS: Final = 250


class Subscription(ctypes.Structure):
    """``struct v4l2_event_subscription``."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 5),
    )


class _Payload(ctypes.Union):
    """The union of ``struct v4l2_event``: 64 bytes, aligned as its 64-bit member."""

    _fields_ = (
        ("count", ctypes.c_uint32),
        ("data", ctypes.c_uint8 * 64),
        ("value64", ctypes.c_int64),
    )


class Event(ctypes.Structure):
    """``struct v4l2_event``, with the payload of a client-usage event."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("u", _Payload),
        ("pending", ctypes.c_uint32),
        ("sequence", ctypes.c_uint32),
        ("timestamp", ctypes.c_long * 2),
        ("id", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 8),
    )


def _request(direction: int, number: int, kind: type[ctypes.Structure]) -> int:
    """Encode an ioctl as Linux's ``asm-generic/ioctl.h``: 1 writes, 2 reads; type 'V'."""
    return direction << 30 | ctypes.sizeof(kind) << 16 | ord("V") << 8 | number


_DEQUEUE: Final = _request(2, 89, Event)
_SUBSCRIBE: Final = _request(1, 90, Subscription)


def _ioctl(file: int, request: int, argument: Any) -> None:
    import fcntl  # noqa: PLC0415 - there is none on Windows, where this is not called

    fcntl.ioctl(file, request, argument)


class LoopbackEvents:
    """Subscribes to the event of one device; see `greenroom.devices.consumers.Watch`.

    Parameters
    ----------
    device : Path
        Such as ``/dev/video10``.
    ioctl : callable
        Takes a file descriptor, a request and a structure that it may change.

    Raises
    ------
    OSError
        If the device has no such event, or cannot be opened.
    """

    def __init__(
        self, device: Path, ioctl: Callable[[int, int, ctypes.Structure], None] = _ioctl
    ) -> None:
        self._ioctl = ioctl
        self._count = 0
        self._file = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            ioctl(self._file, _SUBSCRIBE, Subscription(type=CLIENT_USAGE, flags=_SEND_INITIAL))
        except OSError:
            os.close(self._file)
            raise

    def count(self) -> int:
        """Return what the last event said."""
        while (said := self._next()) is not None:
            self._count = said
        return self._count

    def wait(self, ended: threading.Event) -> None:
        """Return when there is an event, or after a while."""
        poll = select.poll()
        poll.register(self._file, select.POLLPRI)
        states = poll.poll(_WAIT_MS)
        if any(not state & select.POLLPRI for _, state in states):
            # An error, which a device may report as long as nobody writes: do not spin.
            ended.wait(_WAIT_MS / 1000)

    def close(self) -> None:
        """Close the device."""
        os.close(self._file)

    def _next(self) -> int | None:
        """Take the oldest event that waits; None if there is none."""
        event = Event()
        try:
            self._ioctl(self._file, _DEQUEUE, event)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EAGAIN):
                return None
            raise
        return int(event.u.count) if event.type == CLIENT_USAGE else self._count
