"""Other people besides the main person, seen or hidden behind them."""

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

# Share of the frame, and time apart from the main person, from which somebody is known to be
# someone else; with a part at the frame's edge at once.
_MIN_STRANGER: Final = 0.005
_KNOWN_S: Final = 0.15
# Time after which doubted cells, never seen apart from the main person, become theirs; the longer
# one if somebody else is known to be there.
_FORGIVEN_S: Final = 2.0
_FORGIVEN_LATE_S: Final = 4.0
# While less than this share of the others' area is seen, and for the time below after it, someone
# may be behind the main person.
_HIDDEN_BELOW: Final = 3 / 4
_BEHIND_S: Final = 2.0
# Time constant of the decay of the others' largest area.
_AREA_DECAY_S: Final = 10.0


class Strangers:
    """State of other people over time. Times are those of the caller's clock, in seconds."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everybody."""
        self._behind_s = -math.inf  # when they were last hidden behind the main person
        self._doubted_s = math.inf  # time from which a part of the main person is doubted
        self._apart_s = 0.0  # time for which they were apart from the main person
        self._most = 0.0  # recent largest number of their cells

    @property
    def are_about(self) -> bool:
        """Whether others were seen recently."""
        return self._most > 0

    @property
    def _are_known(self) -> bool:
        return self._apart_s >= _KNOWN_S

    def may_be_behind(self, clock_s: float) -> bool:
        """Whether somebody may come out from behind the main person."""
        return clock_s - self._behind_s < _BEHIND_S

    def revised(self, past: Grid, roles: Grid, clock_s: float) -> Grid:
        """Return the roles of the frame before, with doubts resolved that can be by now.

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
        if self._are_known and np.count_nonzero(past == OTHER) >= _HIDDEN_BELOW * self._most:
            settled = True  # they are all in sight
        return np.where(past == DOUBTED, np.uint8(MAIN), past) if settled else past

    def remember(
        self, roles: Grid, parts: Whole, of_part: Grid, clock_s: float, frame_s: float
    ) -> None:
        """Update the state with a frame.

        Parameters
        ----------
        roles : (h, w) uint8
            Of the cells.
        parts : (count, COLUMNS) int32
            See `find_parts`.
        of_part : (count,) uint8
            The roles of the parts.
        clock_s, frame_s : float
            Now, and the frame's duration.
        """
        if not self.are_about and of_part.max() <= MAIN and roles.max() <= MAIN:
            return
        apart = parts[(of_part == OTHER) & (parts[:, AREA] > _MIN_STRANGER * roles.size)]
        if len(apart):
            self._apart_s += _KNOWN_S if arrives(apart, roles.shape[1]).any() else frame_s
        seen = float(np.count_nonzero(roles == OTHER))
        doubted = bool((roles == DOUBTED).any())
        self._doubted_s = min(self._doubted_s, clock_s) if doubted else math.inf
        self._most = max(seen, self._most * (1 - frame_s / _AREA_DECAY_S))
        if self._are_known and (of_part == OPEN).any() and seen < _HIDDEN_BELOW * self._most:
            self._behind_s = clock_s
        if not seen and not doubted and not self.may_be_behind(clock_s):
            self._apart_s = self._most = 0.0
