"""Number of programs that read a virtual camera of Linux.

While nobody reads it the real camera can be closed. v4l2loopback since 0.13 reports readers by an
event. Older versions do not: there, the processes that hold the device open are counted.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.devices.v4l2 import Ioctl, VideoDevice
from greenroom.media.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.media.workers import WorkerFailure

__all__ = ["CLIENT_USAGE", "LoopbackEvents", "OpenFiles", "ReaderCount", "ReaderWatch"]

logger = logging.getLogger(__name__)

# V4L2_EVENT_PRIVATE_START of videodev2.h, v4l2loopback's base in it, and its first event.
CLIENT_USAGE: Final = 0x08000000 + 0x08E00000 + 1
# Polling interval: a new reader is to be noticed within half a second.
_POLL_S: Final = 0.25
# Programs that list cameras open each for a moment; only longer use counts.
_DEBOUNCE_S: Final = 0.1


class ReaderWatch(ABC):
    """A way to count the readers. Used on one thread."""

    @abstractmethod
    def count(self) -> int:
        """Return the present number of readers.

        Raises
        ------
        OSError
            If the number is not available any more.
        """

    @abstractmethod
    def wait(self, ended: threading.Event) -> None:
        """Wait for a possible change, for a polling interval, or for ``ended``."""

    @abstractmethod
    def close(self) -> None:
        """Release the device."""


class LoopbackEvents(ReaderWatch):
    """v4l2loopback's event about capturing programs, since its version 0.13.

    The driver queues an event [2]_ when a program begins or ends to capture, even if it is killed,
    and one at once on subscription [1]_. Its payload is one 32-bit number, not 0 while a program
    captures. Opening the device, as programs do to list cameras, is no capture.

    Parameters
    ----------
    device : Path
        Such as ``/dev/video10``.
    ioctl : Ioctl, optional
        System calls; tests substitute their own.

    Raises
    ------
    OSError
        If the device has no such event, or cannot be opened.

    References
    ----------
    .. [1] The Linux kernel's user-space API, ``VIDIOC_SUBSCRIBE_EVENT`` and ``VIDIOC_DQEVENT``.
    .. [2] v4l2loopback 0.13 to 0.15, ``V4L2_EVENT_PRI_CLIENT_USAGE``.
    """

    def __init__(self, device: Path, ioctl: Ioctl | None = None) -> None:
        self._ioctl = ioctl or Ioctl()
        self._count = 0
        self._descriptor = self._ioctl.open(str(device), os.O_RDONLY)
        self._device = VideoDevice(self._descriptor, self._ioctl)
        try:
            self._device.subscribe(CLIENT_USAGE)
        except OSError:
            self.close()
            raise

    def count(self) -> int:
        """Return the count in the newest event; see `ReaderWatch.count`."""
        while (event := self._device.next_event()) is not None:
            kind, value = event
            if kind == CLIENT_USAGE:
                self._count = value
        return self._count

    def wait(self, ended: threading.Event) -> None:
        """Wait for an event; see `ReaderWatch.wait`."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLPRI)
        states = poll.poll(1000 * _POLL_S)
        if any(not state & select.POLLPRI for _, state in states):
            # A device without a writer may report an error all the time: do not spin.
            ended.wait(_POLL_S)

    def close(self) -> None:
        """Close the device."""
        self._ioctl.close(self._descriptor)


class OpenFiles(ReaderWatch):
    """Count of the other processes that hold a device open.

    Processes of other users are visible to root only.

    Parameters
    ----------
    device : Path
        Such as ``/dev/video10``.
    proc : Path
        Root of the process file system.

    Raises
    ------
    OSError
        If there is none.
    """

    def __init__(self, device: Path, proc: Path = Path("/proc")) -> None:
        self._device = os.path.realpath(device)
        self._proc = proc
        self._own = str(os.getpid())
        self._known: set[str] = set()
        os.listdir(proc / "self" / "fd")  # raises without a process file system

    def count(self) -> int:
        """See `ReaderWatch.count`."""
        found = set(self._holders())
        if found - self._known:
            threading.Event().wait(_DEBOUNCE_S)
            found = set(self._holders())
        self._known = found
        return len(found)

    def wait(self, ended: threading.Event) -> None:
        """See `ReaderWatch.wait`."""
        ended.wait(_POLL_S)

    def close(self) -> None:
        """See `ReaderWatch.close`."""

    def _holders(self) -> Iterator[str]:
        for name in os.listdir(self._proc):
            if name.isdecimal() and name != self._own and self._has_open(f"{self._proc}/{name}/fd"):
                yield name

    def _has_open(self, folder: str) -> bool:
        try:
            files = os.listdir(folder)
        except OSError:  # another user's, or it has just ended
            return False
        return any(self._is_device(f"{folder}/{file}") for file in files)

    def _is_device(self, file: str) -> bool:
        try:
            return os.readlink(file) == self._device
        except OSError:
            return False


class ReaderCount:
    """Number of readers of a device, updated on a thread of its own.

    Parameters
    ----------
    device : Path
        Such as ``/dev/video10``.
    on_change : callable, optional
        Called on that thread after each change.
    watches : sequence of callable, optional
        Names and factories of the ways to count, the best first. A factory takes the device and
        raises OSError where its way does not work.

    Attributes
    ----------
    why : str
        The way in use, or the reasons why none works.
    """

    def __init__(
        self,
        device: Path,
        on_change: Callable[[], None] | None = None,
        watches: tuple[tuple[str, Callable[[Path], ReaderWatch]], ...] = (
            ("by v4l2loopback's own event", LoopbackEvents),
            ("by open files, of this user's programs only", OpenFiles),
        ),
    ) -> None:
        self.why = ""
        self._on_change = on_change
        self._count: int | None = None
        self._ended = threading.Event()
        self._watch = self._first_working(device, watches)
        self._thread: threading.Thread | None = None
        if self._watch is not None:
            watch = self._watch
            self._thread = Worker(
                lambda: self._work(watch), "readers", on_fault=self._on_fault, attempts=1
            )
            self._thread.start()

    def count(self) -> int | None:
        """Return the number of readers; None where unknown. Never blocks."""
        return self._count

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _first_working(
        self, device: Path, watches: tuple[tuple[str, Callable[[Path], ReaderWatch]], ...]
    ) -> ReaderWatch | None:
        reasons = []
        for how, make in watches:
            try:
                watch = make(device)
                self._count = watch.count()
            except OSError as error:
                reasons.append(f"not {how}: {error.strerror or error}")
                continue
            self.why = how
            return watch
        self.why = "; ".join(reasons) or "this system does not report the users of a camera"
        return None

    def _work(self, watch: ReaderWatch) -> None:
        try:
            while not self._ended.is_set():
                watch.wait(self._ended)
                if not self._ended.is_set():
                    self._update(watch.count())
        except OSError as error:
            self.why = f"no longer {self.why}: {error.strerror or error}"
            logger.info("readers of the virtual camera can no longer be counted: %s", error)
            self._update(None)
        finally:
            watch.close()

    def _on_fault(self, fault: WorkerFailure) -> None:
        """Give up the count: one that is no longer updated would stay wrong."""
        self.why = f"no longer {self.why}: {fault.error}"
        self._update(None)

    def _update(self, count: int | None) -> None:
        changed, self._count = count != self._count, count
        if changed and self._on_change is not None:
            self._on_change()
