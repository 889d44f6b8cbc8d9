"""Reset of a recurrent network's states where a stream changes its scene or size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.media.cuts import CutDetector

if TYPE_CHECKING:
    from greenroom.media.frame import Frame
    from greenroom.segmenters.runtimes.states import States

__all__ = ["RecurrentStates"]


class RecurrentStates:
    """States of a recurrent network over a stream's frames.

    Parameters
    ----------
    states : States
        Made by the runtime.

    State: these, the last frame's size, and the cut detector's.
    """

    def __init__(self, states: States) -> None:
        self._states = states
        self._size: tuple[int, int] | None = None
        self._cuts = CutDetector()

    def of(self, frame: Frame) -> States:
        """Return the states for a frame; reset at cuts and changes of size."""
        if frame.size != self._size or self._cuts.is_cut(frame):
            self.reset()
            self._cuts.is_cut(frame)  # reference for the next frame
        self._size = frame.size
        return self._states

    def reset(self) -> None:
        """Return to the first states."""
        self._states.reset()
        self._size = None
        self._cuts.reset()
