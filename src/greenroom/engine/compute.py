"""Where an engine computes: the processor, or a GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenroom.cuda import Device

__all__ = ["HOST", "Compute"]


@dataclass(frozen=True, slots=True)
class Compute:
    """Where an engine's own work is done; the model's device is the segmenter's affair.

    Attributes
    ----------
    device : Device or None
        The GPU; None is the processor.
    is_replaceable : bool
        Whether the processor takes over if the device fails: nobody named it.
    notice : str
        Why the processor does what the settings ask a GPU to do, as a sentence with what to do;
        empty otherwise.
    """

    device: Device | None = None
    is_replaceable: bool = False
    notice: str = ""

    @property
    def name(self) -> str:
        """Name of the device, such as ``cpu`` or ``CUDA device 0``."""
        return "cpu" if self.device is None else self.device.name


HOST = Compute()
"""The processor, as asked for."""
