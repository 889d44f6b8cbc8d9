"""The border between two people who touch in a matte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.matting.people_kernels import AREA, DOUBTED, MAIN, NOBODY, OPEN, divide
from greenroom.matting.people_parts import SPECK, dilated, parts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Grid = NDArray[np.uint8]
    Cells = NDArray[np.bool_]

__all__ = ["Contact"]

# Extra cost of a path from a cell near the border over one from deep inside, in 8-bit levels, so
# that the border goes to the nearest edge of the picture.
_NEAR: Final = 30
# Extra cost of a path from strange cells: small, but without any edge the main person takes them.
_STRANGE: Final = 10


class Contact:
    """Draws the border between two people, starting from where it was in the frame before.

    Near the border a cell keeps its role the more easily the less its colour has changed.

    State: the picture of the frame before.
    """

    def __init__(self) -> None:
        self._planes: Grid | None = None

    def reset(self) -> None:
        """Forget the frame before."""
        self._planes = None

    def settle(  # noqa: PLR0917 - all that is known of a frame
        self, frame: Frame, roles: Grid, past: Grid, contested: Cells, strange: Cells, reach: int
    ) -> None:
        """Give contested cells to the main person or to others.

        Parameters
        ----------
        frame : Frame
            The picture. Read only.
        roles : (h, w) uint8
            Of every cell; written where contested.
        past : (h, w) uint8
            The roles of the frame before.
        contested, strange : (h, w) bool
            Cells to be given a role; those of them that are not the main person's.
        reach : int
            Number of cells by which the border may have moved.
        """
        work = np.where(contested, past, np.uint8(NOBODY))
        work[contested & (past == NOBODY)] = OPEN
        work[strange] = DOUBTED
        planes = _planes_in_cells(frame, roles.shape)
        costs = self._costs(planes, work, reach)
        costs[strange] = _STRANGE
        divide(planes, costs, work)
        self._planes = planes
        work[work == OPEN] = DOUBTED
        _tidy(work, SPECK * work.size)
        np.copyto(roles, work, where=contested)

    def _costs(self, planes: Grid, work: Grid, reach: int) -> Grid:
        """Return the doubt about each cell's role, see `divide`."""
        if self._planes is None or self._planes.shape != planes.shape:
            return np.zeros(work.shape, np.uint8)
        costs = np.full(work.shape, _NEAR, np.uint8)
        for now, then in zip(planes, self._planes, strict=True):
            cv2.add(costs, cv2.absdiff(now, then), costs)
        near = dilated(work == MAIN, reach)
        near &= dilated((work > MAIN) & (work < OPEN), reach)
        costs *= near
        return costs


def _planes_in_cells(frame: Frame, shape: tuple[int, ...]) -> Grid:
    """Return the frame's small planes, all at the cells' size: (n, h, w)."""
    planes = np.empty((len(frame.small_planes), *shape), np.uint8)
    for plane, small in zip(planes, frame.small_planes, strict=True):
        cv2.resize(small, shape[::-1], plane, interpolation=cv2.INTER_AREA)
    return planes


def _tidy(roles: Grid, least: float) -> None:
    """Give parts too small for a person to the one whom they touch."""
    for cells, to in ((roles > MAIN, MAIN), (roles == MAIN, DOUBTED)):
        labels, parts = parts_of(cells.astype(np.float32), roles)
        small = parts[:, AREA] < least
        small[0] = False
        if small.any():
            roles[small[labels]] = to
