"""The step that averages the matte over time where the picture stands still."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.matting.steady import SteadyMatte
from greenroom.matting.step import Step

if TYPE_CHECKING:
    from greenroom.matting.step import Work

__all__ = ["TemporalFilter"]


class TemporalFilter(Step):
    """Averages the matte over the frames in which the picture stands still.

    Parameters
    ----------
    smoothing : float
        Share of the matte that is kept from frame to frame at the most, 0 to 1.

    State: the steadied matte, and the frames since the last reset.
    """

    def __init__(self, smoothing: float) -> None:
        self._smoothing = smoothing
        self._history: SteadyMatte | None = None
        self.frames = 0
        """Frames since the last reset."""

    def reset(self) -> None:
        """See `Step.reset`."""
        self._history = None
        self.frames = 0

    def take_over(self, previous: TemporalFilter) -> None:
        """See `Step.take_over`."""
        self._history = previous._history
        self.frames = previous.frames

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        if self._history is None:
            frame = work.grids
            self._history = SteadyMatte(frame.small_planes[0].shape, frame.device)
        work.history = history = self._history
        work.extent = history.follow(
            work.grids,
            *work.found,
            work.probability,
            smoothing=self._smoothing,
            is_nobody=work.is_nobody,
        )
        if work.shown is not None and not work.is_nobody:
            work.extent = history.masked(work.shown)
        work.coarse = history.steady
        self.frames += 1
