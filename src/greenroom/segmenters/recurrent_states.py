"""What a recurrent network remembers of a stream, and when it has to forget it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from greenroom.media.cuts import CutDetector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame
    from greenroom.segmenters.runtimes.runtime import TensorInfo

__all__ = ["RecurrentStates"]


class RecurrentStates:
    """The states of a recurrent network: zeros at first, then what it answered last.

    Parameters
    ----------
    names : mapping of str to str
        Each state's input, and the output that it is next time.
    inputs : sequence of TensorInfo
        What the model takes. A length that may vary starts as 1.

    State: the states, and the last frame's size and look.
    """

    def __init__(self, names: Mapping[str, str], inputs: Sequence[TensorInfo]) -> None:
        self._names = names
        self.first = {
            info.name: np.zeros([length or 1 for length in info.shape], info.dtype)
            for info in inputs
            if info.name in names
        }
        self._now: dict[str, NDArray[Any]] = dict(self.first)
        self._size: tuple[int, int] | None = None
        self._cuts = CutDetector()

    def __bool__(self) -> bool:
        return bool(self._names)

    def of(self, frame: Frame) -> Mapping[str, NDArray[Any]]:
        """Return the states that a frame is to be looked at with, by input."""
        if self._names:
            if frame.size != self._size or self._cuts.is_cut(frame):
                self.reset()
                self._cuts.is_cut(frame)  # to compare the next one with it
            self._size = frame.size
        return self._now

    def take(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Remember what a network answered, in memory of our own."""
        for name, output in self._names.items():
            values, kept = outputs[output], self._now[name]
            if kept is self.first[name] or kept.shape != values.shape:
                self._now[name] = np.array(values)
            else:
                kept[...] = values

    def reset(self) -> None:
        """Begin anew."""
        self._now = dict(self.first)
        self._size = None
        self._cuts.reset()
