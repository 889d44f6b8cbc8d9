"""States of a recurrent network between frames."""

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
    """States of a recurrent network: zeros at first, then its last outputs.

    Parameters
    ----------
    names : mapping of str to str
        Each state's input, and the output that feeds it in the next run.
    inputs : sequence of TensorInfo
        Inputs of the model. A variable length starts as 1.

    State: the states, the last frame's size, and the cut detector's.
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
        """Return the states for a frame, by input; reset at cuts and changes of size."""
        if self._names:
            if frame.size != self._size or self._cuts.is_cut(frame):
                self.reset()
                self._cuts.is_cut(frame)  # reference for the next frame
            self._size = frame.size
        return self._now

    def take(self, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Copy the outputs that become states."""
        for name, output in self._names.items():
            values, kept = outputs[output], self._now[name]
            if kept is self.first[name] or kept.shape != values.shape:
                self._now[name] = np.array(values)
            else:
                kept[...] = values

    def reset(self) -> None:
        """Return to the first states."""
        self._now = dict(self.first)
        self._size = None
        self._cuts.reset()
