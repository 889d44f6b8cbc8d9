"""Who looks at a virtual camera of Linux, so that the real one can be closed when nobody does.

Two ways are known. v4l2loopback since 0.13 tells by an event of its own when a program begins or
ends to stream. Before that, and where the event is refused, open files are watched: who has the
device open, besides this process.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from greenroom.devices.loopback_events import LoopbackEvents
from greenroom.media.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.media.workers import Fault

__all__ = ["OpenFiles", "ReaderCount", "Watch"]

logger = logging.getLogger(__name__)

# How often open files are looked at: somebody who comes is to be noticed within half a second.
_POLL_S: Final = 0.25
# Programs that list cameras open each for a moment. Who still has it so much later uses it.
_STAYS_S: Final = 0.1


class Watch(Protocol):
    """A way to find out how many look. Used on one thread."""

    def count(self) -> int:
        """Return how many look now.

        Raises
        ------
        OSError
            If it cannot be told any more.
        """

    def wait(self, ended: threading.Event) -> None:
        """Return when it may have changed, or after a while, or when told to end."""

    def close(self) -> None:
        """Release what it holds."""


class OpenFiles:
    """Counts the processes that have a device open, besides this one.

    Those of other users are seen by root only.

    Parameters
    ----------
    device : Path
        Such as ``/dev/video10``.
    proc : Path
        Where Linux shows processes.

    Raises
    ------
    OSError
        If processes are not shown there.
    """

    def __init__(self, device: Path, proc: Path = Path("/proc")) -> None:
        self._device = os.path.realpath(device)
        self._proc = proc
        self._own = str(os.getpid())
        self._known: set[str] = set()
        os.listdir(proc / "self" / "fd")  # noqa: PTH208 - raises where there is no such thing

    def count(self) -> int:
        """See `Watch.count`."""
        found = set(self._holders())
        if found - self._known:
            threading.Event().wait(_STAYS_S)
            found = set(self._holders())
        self._known = found
        return len(found)

    def wait(self, ended: threading.Event) -> None:
        """See `Watch.wait`."""
        ended.wait(_POLL_S)

    def close(self) -> None:
        """See `Watch.close`."""

    def _holders(self) -> Iterator[str]:
        for name in os.listdir(self._proc):  # noqa: PTH208 - a fifth of the time, four times a second
            if name.isdecimal() and name != self._own and self._has_open(f"{self._proc}/{name}/fd"):
                yield name

    def _has_open(self, folder: str) -> bool:
        try:
            files = os.listdir(folder)  # noqa: PTH208 - as above
        except OSError:  # another user's, or it has just ended
            return False
        return any(self._is_device(f"{folder}/{file}") for file in files)

    def _is_device(self, file: str) -> bool:
        try:
            return os.readlink(file) == self._device  # noqa: PTH115 - as above
        except OSError:
            return False


class ReaderCount:
    """Keeps count, on a thread of its own, of those who look at a device.

    Parameters
    ----------
    device : Path
        Such as ``/dev/video10``.
    on_change : callable, optional
        Called on that thread when the count has changed.
    watches : sequence of callable, optional
        Ways to find out, the best first; each is made from the device, and raises OSError where it
        does not work.

    Attributes
    ----------
    why : str
        How it is told, or why it cannot be.
    """

    def __init__(
        self,
        device: Path,
        on_change: Callable[[], None] | None = None,
        watches: tuple[tuple[str, Callable[[Path], Watch]], ...] = (
            ("by v4l2loopback's own event", LoopbackEvents),
            ("by open files, of this user's programs only", OpenFiles),
        ),
    ) -> None:
        self.why = ""
        self._on_change = on_change
        self._count: int | None = None
        self._ended = threading.Event()
        self._watch = self._first_that_works(device, watches)
        self._thread: threading.Thread | None = None
        if self._watch is not None:
            watch = self._watch
            self._thread = Worker(
                lambda: self._work(watch), "readers", on_fault=self._take_fault, attempts=1
            )
            self._thread.start()

    def count(self) -> int | None:
        """Return how many look, or None where that cannot be told. Never blocks."""
        return self._count

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _first_that_works(
        self, device: Path, watches: tuple[tuple[str, Callable[[Path], Watch]], ...]
    ) -> Watch | None:
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
        self.why = "; ".join(reasons) or "this system does not say who uses a camera"
        return None

    def _work(self, watch: Watch) -> None:
        try:
            while not self._ended.is_set():
                watch.wait(self._ended)
                if not self._ended.is_set():
                    self._take(watch.count())
        except OSError as error:
            self.why = f"no longer {self.why}: {error.strerror or error}"
            logger.info("who looks at the virtual camera cannot be told any more: %s", error)
            self._take(None)
        finally:
            watch.close()

    def _take_fault(self, fault: Fault) -> None:
        """Take it that somebody looks: a count that nobody keeps would be wrong for ever."""
        self.why = f"no longer {self.why}: {fault.error}"
        self._take(None)

    def _take(self, count: int | None) -> None:
        changed, self._count = count != self._count, count
        if changed and self._on_change is not None:
            self._on_change()
