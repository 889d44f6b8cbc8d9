"""A matte that is computed only where it is soft, and only once somebody needs it."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from greenroom.compositing.tiles import Composition, Coverage, Guide, make
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

__all__ = ["TiledMatte"]


class TiledMatte(Matte):
    """The matte of a frame by a guided filter.

    Small versions come from the working grid. The full size is computed in tiles while a picture
    is made through it (`draw`); only those that are soft are kept, in memory of its own, and
    ``values`` are put together from them if they are asked for.

    Parameters
    ----------
    guide : Guide
        What it is computed from. It is let go, with the frame's luma, as soon as it was used: by
        `draw`, `settle` or ``values``, one of which has to be before the frame changes.
    """

    _guide: Guide | None
    _small: Bytes
    _coverage: Coverage
    _shape: tuple[int, int]

    def __init__(self, guide: Guide) -> None:
        vars(self).update(  # of a frozen dataclass nothing is assigned otherwise
            _guide=guide,
            _small=guide.small(),
            _coverage=guide.sorted_tiles(),
            _shape=guide.shape,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the frame."""
        return self._shape

    @cached_property
    def values(self) -> Bytes:
        """Coverage at frame resolution, 0 (background) to 255 (foreground)."""
        values = np.empty(self._shape, np.uint8)
        self._make(whole=values)
        return values

    @property
    def is_settled(self) -> bool:
        """Whether nothing of the frame is needed any more."""
        return self._guide is None

    def settle(self) -> None:
        """Compute what is soft, unless that was done."""
        if self._guide is not None:
            self._make()

    def draw(self, picture: Composition, whole: Bytes | None = None) -> None:
        """Make a picture through this matte.

        Parameters
        ----------
        picture : Composition
            Its result is changed.
        whole : (H, W) uint8, optional
            Where the matte goes as well.
        """
        self._make(picture, whole)

    def _make(self, picture: Composition | None = None, whole: Bytes | None = None) -> None:
        make(self._shape, self._coverage, guide=self._guide, picture=picture, whole=whole)
        vars(self)["_guide"] = None

    def again(self) -> Matte:
        """See `Matte.again`. What is soft is shared: nobody sees that memory."""
        self.settle()
        other = copy(self)
        for name in ("values", "quarter"):
            vars(other).pop(name, None)
        return other

    def reduced_to(self, shape: tuple[int, int]) -> Bytes:
        """See `Matte.reduced_to`: from the working grid where that is as fine."""
        height, width = self._small.shape
        if shape[0] <= height and shape[1] <= width:
            return Matte(self._small).reduced_to(shape)
        return super().reduced_to(shape)

    def sampled(self, shape: tuple[int, int]) -> Bytes:
        """See `Matte.sampled`: of the working grid."""
        return Matte(self._small).sampled(shape)
