"""Looks of a second model, on a thread of its own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from greenroom.cuda import calls
from greenroom.media.frame import Frame
from greenroom.segmenters.second_model import SecondModel
from greenroom.segmenters.segmenter import check_coarse_matte

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.segmenters.segmenter import Segmenter

    Floats = NDArray[np.float32]

__all__ = ["SecondLooks"]

logger = logging.getLogger(__name__)

# Time-out of closing while it looks.
_CLOSE_S: Final = 1.0


class _Answer(NamedTuple):
    """What a look found or raised, and its CPU time in seconds."""

    found: Floats | Exception
    cpu_s: float


class SecondLooks(SecondModel):
    """Has a segmenter look at frames one after the other, on a thread of its own.

    Frames never wait for it. If it fails or hangs, there are no more looks: the first model's
    mattes go on.

    Parameters
    ----------
    segmenter : Segmenter
        Closed by its owner, after `close`.
    fuse : callable
        Makes one coverage of two.

    Attributes
    ----------
    used : Lock
        Held while it looks; whoever else uses the segmenter holds it, too.

    State: the thread, and the look that goes on.
    """

    def __init__(self, segmenter: Segmenter, fuse: Callable[[Floats, Floats], Floats]) -> None:
        self._segmenter = segmenter
        self._fuse = fuse
        self._asked: queue.SimpleQueue[tuple[Frame, queue.SimpleQueue[_Answer]] | None] = (
            queue.SimpleQueue()
        )
        self._coming: queue.SimpleQueue[_Answer] | None = None
        self._thread: threading.Thread | None = None
        self.used = threading.Lock()

    @property
    def is_free(self) -> bool:
        """See `SecondModel.is_free`."""
        return self._coming is None and not self.has_failed

    def look(self, part: Frame) -> None:
        """See `SecondModel.look`."""
        planes = tuple(np.array(plane) for plane in calls.on_host(*part.planes))
        self._coming = queue.SimpleQueue()
        self._asked.put((Frame(planes, part.layout).at(part), self._coming))
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._work, name="greenroom-second-looks", daemon=True
            )
            self._thread.start()

    def answer(self) -> Floats | None:
        """See `SecondModel.answer`."""
        if self._coming is None:
            return None
        try:
            answer = self._coming.get_nowait()
        except queue.Empty:
            return None
        self._coming = None
        self.each_s = answer.cpu_s / max(self.every, 1)
        if isinstance(answer.found, Exception):
            self.has_failed = True
            self.each_s = 0.0
            logger.warning("the second model failed, and the first goes on alone: %s", answer.found)
            return None
        return answer.found

    def fused(self, first: Floats, second: Floats) -> Floats:
        """See `SecondModel.fused`."""
        return self._fuse(first, second)

    def close(self) -> bool:
        """End the thread; return False if it hangs and is abandoned."""
        self.has_failed = True
        self._asked.put(None)
        if self._thread is None:
            return True
        self._thread.join(timeout=_CLOSE_S)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            frame, answer = asked
            begun_s = time.thread_time()
            found: Floats | Exception
            try:
                with self.used:
                    found = np.array(check_coarse_matte(self._segmenter.segment(frame)))
            except Exception as error:  # noqa: BLE001 - told on the engine's thread
                found = error
            answer.put(_Answer(found, time.thread_time() - begun_s))
            del asked, frame, answer, found  # release them while waiting
