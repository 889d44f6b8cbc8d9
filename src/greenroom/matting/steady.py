"""A matte on the working grid that is averaged while the picture stands still."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda import grid_calls
from greenroom.matting.grid_kernels import half_of, halve_part, mask_coverage, settle
from greenroom.matting.region import doubled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Device
    from greenroom.cuda.grid_calls import Pending
    from greenroom.matting.region import Extent, GridBox
    from greenroom.media.frame import Frame

    Floats = NDArray[np.float32]

__all__ = ["SteadyMatte"]

# A change of brightness up to which the picture stands still, in 8-bit levels: above the noise
# that is left after averaging, below what movement makes (docs/quality.md).
_STILL_LEVELS: Final = 3.0
# Upper limit of the model's probability, so that evidence may change it.
_MAX_PROBABILITY: Final = 0.997


class SteadyMatte:
    """A steadied matte, the picture that it belongs to, and for how long it has stood still.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the working grid.
    device : Device, optional
        Where it is, as the frames are; None is the host.

    Attributes
    ----------
    steady : (H, W) float32
        The matte on the working grid.
    steady_half, reference_half : (h, w) float32
        It and the picture on the half grid.
    reference : (H, W) int16
        The picture on the working grid, in 128ths of a level.
    """

    def __init__(self, shape: tuple[int, int], device: Device | None = None) -> None:
        self._shape = shape
        self._device = device
        half = half_of(shape)
        whole, part = math.prod(shape), math.prod(half)
        memory: Any = np.zeros(whole + 3 * part, np.float32)
        reference: Any = np.zeros(shape, np.int16)
        if device is not None:
            memory, reference = device.upload(memory, reference)
        self._memory, self.reference = memory, reference
        self.steady: Floats = memory[:whole].reshape(*shape)
        halves = memory[whole:].reshape(3, *half)
        self.steady_half, self.reference_half = halves[0], halves[1]
        self._maps: Floats = np.empty((0, 0, 0), np.float32)
        self._own_references = 0  # to the maps, while nobody else has any

    def follow(
        self,
        frame: Frame,
        coarse: Floats,
        half: Floats,
        probability: Floats | None,
        *,
        smoothing: float,
        is_nobody: bool,
    ) -> Extent:
        """Move the matte toward what was found in a frame.

        Parameters
        ----------
        frame : Frame
            Read only.
        coarse, half : (H, W) and (h, w) float32
            The model's coverage on both grids. Read only.
        probability : (h, w) float32, optional
            See `settle`.
        smoothing : float
            Share of the matte that is kept at the most.
        is_nobody : bool
            Whether there is no foreground.

        Returns
        -------
        callable
            Returns the box around all foreground; on a device, once it is known.
        """
        planes = frame.half_planes[0], frame.small_planes[0]
        limits: Any = {
            "surest": 1.0 if probability is None else _MAX_PROBABILITY,
            "still": _STILL_LEVELS,
            "least": 1 - smoothing,
            "is_nobody": is_nobody,
        }
        memory = self._memory, self.reference
        if self._device is not None:
            pending = grid_calls.settle(*memory, coarse, probability, *planes, **limits)
            return self._later(pending)
        box = settle(*memory, coarse, half, probability, *planes, **limits)
        return lambda: doubled(*box, self._shape) if any(box) else None

    def masked(self, mask: NDArray[np.uint8]) -> Extent:
        """Multiply the matte with a mask on the half grid; return its box as `follow` does."""
        if self._device is not None:
            (there,) = self._device.upload(mask)
            memory: Any = self._memory
            return self._later(grid_calls.mask_matte(there, memory, self._shape))
        mask_coverage(mask, self.steady)
        height, width = self._shape
        stats = halve_part(self.steady, (0, 0, width, height), self.steady_half)
        return lambda: doubled(*stats[1:5], self._shape) if stats.area else None

    def _later(self, pending: Pending) -> Extent:
        """Return the box that a device finds."""

        def box() -> GridBox | None:
            left, top, right, bottom = pending.wait().tolist()
            return doubled(left, top, right, bottom, self._shape) if right else None

        return box

    def maps(self) -> Floats:
        """Return memory for a guided matte, (3, H, W) float32: the last if nobody else has it.

        It is 0, or what it was made with: always a number, as it is multiplied with weights of 0.
        """
        if self._maps.shape[1:] != self._shape or self._references > self._own_references:
            self._maps = np.zeros((3, *self._shape), np.float32)
            self._own_references = self._references
        return self._maps

    @property
    def _references(self) -> int:
        return sys.getrefcount(self._maps)
