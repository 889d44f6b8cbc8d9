"""The contract of a matting step, and the frame that passes through the steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray

    from greenroom.matting.detection import Detection
    from greenroom.matting.matting import Look
    from greenroom.matting.region import Extent
    from greenroom.matting.steady import SteadyMatte
    from greenroom.media.frame import Frame
    from greenroom.media.matte import Matte

    Floats = NDArray[np.float32]

__all__ = ["Step", "Work"]


@dataclass(slots=True)
class Work:
    """One frame on its way through the steps, with the results so far.

    Attributes
    ----------
    frame : Frame
        Read only, not to be kept by a step.
    look : callable
        Asks the model, see `Matting.matte`.
    number : int
        Frames made since the last reset.
    most_followed : int
        Into how many frames in a row the cadence allows following a detection instead of asking
        the model.
    there : Frame or None
        The same frame on a device, where the matte is wanted, and evidence and the matte's history
        are.
    detection : Detection
        The model's coverage.
    probability : (h, w) float32 or None
        The evidence's probability of foreground, on the half grid, where `grids` are.
    is_nobody : bool
        Whether no foreground is left after `detection` was masked.
    left_out : (h, w) float32 or None
        Coverage of people who are not shown, on the half grid.
    shown : (h, w) uint8 or None
        Mask for the steadied matte as well, 0 or 1 on the half grid.
    history : SteadyMatte
        The matte averaged over time.
    extent : callable
        Returns the box around all foreground, or None.
    coarse : (H, W) float32
        The matte of this frame on the working grid, where `grids` are.
    matte : Matte
        The matte of this frame at full size.
    """

    frame: Frame
    look: Look
    number: int
    most_followed: int
    there: Frame | None = None
    detection: Detection = field(init=False)
    probability: Floats | None = None
    is_nobody: bool = False
    left_out: Floats | None = None
    shown: NDArray[np.uint8] | None = None
    history: SteadyMatte = field(init=False)
    extent: Extent = field(init=False)
    coarse: Floats = field(init=False)
    matte: Matte = field(init=False)
    _found: tuple[Floats, Floats] | None = None

    @property
    def grids(self) -> Frame:
        """The frame where its small planes are worked on: on a device, if it is on one."""
        return self.frame if self.there is None else self.there

    @property
    def found(self) -> tuple[Floats, Floats]:
        """The detection on the working grid and on the half grid, where `grids` are.

        It is uploaded once: after this it may not be changed.
        """
        if self._found is None:
            found = self.detection.coarse, self.detection.half
            device = self.grids.device
            there: Any = found if device is None else device.upload(*found)
            self._found = there
        return self._found

    @property
    def is_photograph(self) -> bool:
        """Whether this is a single picture: without a time, and nothing before it."""
        return self.number == 0 and self.frame.time_s is None


class Step(ABC):
    """One step of `RefinedMatting`. Called on one thread, for every frame in order."""

    @abstractmethod
    def apply(self, work: Work) -> None:
        """Add this step's result to a frame's work."""

    def reset(self) -> None:
        """Forget earlier frames."""

    def take_over(self, previous: Self) -> None:
        """Continue with the state of the same step under other settings, where it still holds."""
