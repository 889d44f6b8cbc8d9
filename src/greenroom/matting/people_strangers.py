"""Who else is about besides the main person, and whether they may be hidden behind them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.matting.people_kernels import AREA, DOUBTED, MAIN, OPEN, OTHER
from greenroom.matting.people_parts import arrives

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Grid = NDArray[np.uint8]
    Whole = NDArray[np.int32]

__all__ = ["Strangers"]

# Who is seen apart from the main person and has this share of the frame's area, for so long
# or coming in from the frame's edge, is known to be somebody else.
_STRANGER: Final = 0.005
_KNOWN_S: Final = 0.15
# What is held to be someone else's though it was never seen apart from the main person is theirs
# after this time, the longer one if somebody else is known to be about.
_FORGIVEN_S: Final = 2.0
_FORGIVEN_LATE_S: Final = 4.0
# While less than this share of those others is seen who touched the main person, and for some
# time after, someone may be behind them.
_HIDDEN: Final = 3 / 4
_BEHIND_S: Final = 2.0
# In about this time it is forgotten how much was seen of them.
_USUAL_S: Final = 10.0


class Strangers:
    """Remembers what was seen of others. Times are those of the caller's clock, in seconds."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        self._behind_s = -math.inf  # when they were last hidden behind the main person
        self._doubted_s = math.inf  # since when a part of that person is held to be another's
        self._apart_s = 0.0  # for how long they have been seen apart from the main person
        self._most = 0.0  # the most cells that were seen of them of late

    @property
    def are_about(self) -> bool:
        """Whether anything was seen of others lately."""
        return self._most > 0

    @property
    def _are_known(self) -> bool:
        return self._apart_s >= _KNOWN_S

    def may_be_behind(self, clock_s: float) -> bool:
        """Whether somebody may come out from behind the main person."""
        return clock_s - self._behind_s < _BEHIND_S

    def revised(self, past: Grid, roles: Grid, clock_s: float) -> Grid:
        """Return the roles of the frame before, with doubts as they are seen by now.

        Parameters
        ----------
        past, roles : (h, w) uint8
            The roles of the frame before; those of this frame, `OPEN` where two touch. Read only.
        clock_s : float
            Now.

        Returns
        -------
        (h, w) uint8
            New memory, or ``past`` itself where nothing changed.
        """
        if self.are_about and not self._are_known:
            past = np.where((past == OTHER) & (roles == OPEN), np.uint8(DOUBTED), past)
        if self._doubted_s == math.inf:
            return past
        patience_s = _FORGIVEN_LATE_S if self._are_known else _FORGIVEN_S
        settled = clock_s - self._doubted_s > patience_s
        if self._are_known and np.count_nonzero(past == OTHER) >= _HIDDEN * self._most:
            settled = True  # they are all in sight
        return np.where(past == DOUBTED, np.uint8(MAIN), past) if settled else past

    def remember(
        self, roles: Grid, parts: Whole, of_part: Grid, clock_s: float, frame_s: float
    ) -> None:
        """Take note of a frame.

        Parameters
        ----------
        roles : (h, w) uint8
            Of the cells.
        parts : (count, COLUMNS) int32
            See `find_parts`.
        of_part : (count,) uint8
            The roles of the parts.
        clock_s, frame_s : float
            Now, and how long the frame stands for.
        """
        if not self.are_about and of_part.max() <= MAIN and roles.max() <= MAIN:
            return
        apart = parts[(of_part == OTHER) & (parts[:, AREA] > _STRANGER * roles.size)]
        if len(apart):
            self._apart_s += _KNOWN_S if arrives(apart, roles.shape[1]).any() else frame_s
        seen = float(np.count_nonzero(roles == OTHER))
        doubted = bool((roles == DOUBTED).any())
        self._doubted_s = min(self._doubted_s, clock_s) if doubted else math.inf
        self._most = max(seen, self._most * (1 - frame_s / _USUAL_S))
        if self._are_known and (of_part == OPEN).any() and seen < _HIDDEN * self._most:
            self._behind_s = clock_s
        if not seen and not doubted and not self.may_be_behind(clock_s):
            self._apart_s = self._most = 0.0
