"""A matte that is computed on demand, and only where it is soft."""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from greenroom.compositing.tiles import Composition, Coverage, Guide, make
from greenroom.cuda import calls
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

__all__ = ["GuidedMatte", "TiledMatte"]


class GuidedMatte(Matte):
    """A guided matte on a device, whose small versions come from the working grid.

    Parameters
    ----------
    values : (H, W) uint8
        See `Matte`.
    small : (h, w) uint8
        Coverage on the working grid, on the same device.
    """

    _small: Bytes

    def __init__(self, values: Bytes, small: Bytes) -> None:
        vars(self).update(values=values, _small=small)

    def again(self) -> Matte:
        """See `Matte.again`."""
        return GuidedMatte(calls.copied(self.values), self._small)

    def reduced_to(self, shape: tuple[int, int]) -> Bytes:
        """See `Matte.reduced_to`: from the working grid if that is fine enough."""
        height, width = self._small.shape
        if shape[0] <= height and shape[1] <= width:
            return Matte(self._small).reduced_to(shape)
        return super().reduced_to(shape)

    def sampled(self, shape: tuple[int, int]) -> Bytes:
        """See `Matte.sampled`: of the working grid."""
        return Matte(self._small).sampled(shape)


class TiledMatte(Matte):
    """The matte of a frame by a guided filter.

    Small versions come from the working grid. The full size is computed in tiles during
    compositing (`draw`); only soft tiles are kept, and ``values`` are assembled from them on
    demand.

    Parameters
    ----------
    guide : Guide
        Its inputs. They are released, with the frame's luma, after the first of `draw`, `settle`
        and ``values``, one of which must be called before the frame changes.
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
        """Whether the frame is no longer needed."""
        return self._guide is None

    def settle(self) -> None:
        """Compute the soft tiles, unless that was done."""
        if self._guide is not None:
            self._make()

    def draw(self, picture: Composition, whole: Bytes | None = None) -> None:
        """Composite through this matte.

        Parameters
        ----------
        picture : Composition
            Its output is written.
        whole : (H, W) uint8, optional
            The matte at full size; written.
        """
        self._make(picture, whole)

    def _make(self, picture: Composition | None = None, whole: Bytes | None = None) -> None:
        make(self._shape, self._coverage, guide=self._guide, picture=picture, whole=whole)
        vars(self)["_guide"] = None

    def again(self) -> Matte:
        """See `Matte.again`. The soft tiles are shared: that memory is private."""
        self.settle()
        other = copy(self)
        for name in ("values", "quarter"):
            vars(other).pop(name, None)
        return other

    def reduced_to(self, shape: tuple[int, int]) -> Bytes:
        """See `Matte.reduced_to`: from the working grid if that is fine enough."""
        height, width = self._small.shape
        if shape[0] <= height and shape[1] <= width:
            return Matte(self._small).reduced_to(shape)
        return super().reduced_to(shape)

    def sampled(self, shape: tuple[int, int]) -> Bytes:
        """See `Matte.sampled`: of the working grid."""
        return Matte(self._small).sampled(shape)
