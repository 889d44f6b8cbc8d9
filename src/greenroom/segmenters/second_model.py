"""The contract of a second model, which looks at some frames only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Floats = NDArray[np.float32]

__all__ = ["SecondModel"]


class SecondModel(ABC):
    """A model that looks at some frames, while others are made. Called on the engine's thread."""

    every: int = 0
    """Frames from one look to the next, at least; 0 for no looks."""
    has_failed: bool = False
    """Whether it looks no more."""
    each_s: float = 0.0
    """CPU time of the last look, in seconds, spread over the frames until the next."""

    @property
    @abstractmethod
    def is_free(self) -> bool:
        """Whether it can look: it has answered, and that was taken."""

    @abstractmethod
    def look(self, part: Frame) -> None:
        """Begin to look at a frame, which is copied."""

    @abstractmethod
    def answer(self) -> Floats | None:
        """Return its coverage (h, w) float32 in 0..1 of the last frame, once; None if not ready."""

    @abstractmethod
    def fused(self, first: Floats, second: Floats) -> Floats:
        """Return the coverage by two answers of one shape, the first and this model's."""
