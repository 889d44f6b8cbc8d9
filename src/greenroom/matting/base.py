"""What a matting stage is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from greenroom.frames import Frame, Matte

__all__ = ["Matting"]


class Matting(Protocol):
    """Makes the matte of a frame from the coarse one. Called on one thread."""

    def matte(self, frame: Frame, coarse: NDArray[np.float32]) -> Matte:
        """Return a matte of the frame's size, in new memory.

        Parameters
        ----------
        frame : Frame
            Read only, and not to be kept after the call.
        coarse : (h, w) float32
            Coverage in 0..1 that stands for the whole frame. Read only.
        """

    def reset(self) -> None:
        """Forget earlier frames."""
