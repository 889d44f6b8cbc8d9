"""Only me: samples of a matte that belong to the main person, tracked over time.

All decisions are made in cells of 2x2 samples of the working matte. A part is a connected
component of foreground cells. While there is one part, which is the main person's and grows
steadily, nothing else is computed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.matting.people_contact import Contact
from greenroom.matting.people_kernels import (
    AREA,
    BOTTOM,
    DOUBTED,
    LEFT,
    MAIN,
    NOBODY,
    OPEN,
    OTHER,
    RIGHT,
    TOP,
    is_clear,
)
from greenroom.matting.people_parts import (
    SOMEBODY,
    SPECK,
    dilated,
    enlarged,
    in_cells,
    is_beside,
    is_hand,
    is_in_line,
    parts_of,
    scores,
)
from greenroom.matting.people_strangers import Strangers
from greenroom.settings import People

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Floats = NDArray[np.float32]
    Grid = NDArray[np.uint8]
    Cells = NDArray[np.bool_]
    Whole = NDArray[np.int32]

__all__ = ["PeopleFilter"]

# Share of the frame by which the main person may grow in one frame; more is someone else.
_MAX_SUDDEN_GROWTH: Final = 0.02
# Time after the choice in which the main person may grow freely: some models need a few frames to
# find all of them.
_GRACE_S: Final = 0.5
# Time after which a main person who is gone may be replaced.
_GONE_S: Final = 2.0
# A main person who has shrunk to this share of their recent largest area is gone, too.
_GONE_BELOW: Final = 1 / 8
# Time constant of that area's decay.
_AREA_DECAY_S: Final = 10.0
# Time for which cells of the main person are remembered as theirs.
_RECENT_S: Final = 1.0
# Speed of an outline, in heights of the frame a second: that of someone who gestures, ...
_GESTURE_SPEED: Final = 1.5
# ... of someone who sits, slower than a passer-by who comes out from behind them, ...
_RESTING_SPEED: Final = 0.3
# ... and of the border between two people who touch.
_BORDER_SPEED: Final = 0.75
# Duration of a frame without a time, and the longest duration of any frame.
_FRAME_S: Final = 1 / 25
_LONGEST_FRAME_S: Final = 0.2
# Width of the matte's soft edge beyond foreground cells; coverage above the second farther out is
# haze.
_SOFT_EDGE: Final = 4
_HAZE: Final = 0.05
# With everybody shown, haze farther from all of them than this share of the frame's height is
# removed: only colours would make it foreground.
_HAZE_DISTANCE: Final = 0.1


class PeopleFilter:
    """Weights the working matte so that only the chosen people stay.

    With ``people="all"`` everything near a person who is larger than a speck stays. With
    ``"main"`` one person stays: at first the one with the best score (`people_parts.scores`),
    then whoever is where they were.

    - A part that comes from elsewhere is someone else's for as long as it is seen, whatever its
      size. Exceptions: a part from the bottom edge below someone who sits is their hand, and a
      part right above or below them is the rest of them.
    - Where two people touch, the border between them follows the edges of the picture from where
      it was, and parts that then appear on the far side of the main person are not theirs.
    - Growth from frame to frame by more than an arm is not theirs, unless it was a second ago.
    - When they are gone, nobody is shown. Somebody who appears near where they left is taken for
      them; after 2 s the best score decides again.

    In doubt a sample is not shown. Two people who touch in the first frame are one until they part.

    State: the cells' roles in the frame before, and when each was last the main person's.
    """

    def __init__(self, people: People) -> None:
        self.people = people
        self._contact = Contact()
        self._strangers = Strangers()
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames: after a cut, or between unrelated pictures."""
        self._contact.reset()
        self._strangers.reset()
        self._roles: Grid = np.empty((0, 0), np.uint8)  # of the last frame
        self._owned_s: Floats = np.empty((0, 0), np.float32)  # when a cell was last MAIN
        self._time_s: float | None = None
        self._clock_s = 0.0
        self._chosen_s = -math.inf
        self._seen_s = -math.inf  # when the main person was last there
        self._usual = 0.0  # the most cells of the main person of late

    def weights(self, alpha: Floats, frame: Frame) -> Floats | None:
        """Return weights for the matte, or None if all of it stays.

        Parameters
        ----------
        alpha : (h, w) float32
            Coverage of everybody, 0 to 1, at the resolution of the frame's small planes.
            Read only.
        frame : Frame
            The picture and its time. Read only, not kept.

        Returns
        -------
        (h, w) float32 or None
            0 to 1, in new memory: `shown`, enlarged.
        """
        shown = self.shown(in_cells(alpha), frame)
        return None if shown is None else enlarged(shown, alpha.shape)

    def shown(self, cells: Floats, frame: Frame) -> Cells | None:
        """Return the cells whose coverage stays, or None if all of it does.

        A change of the matte's size forgets earlier frames.

        Parameters
        ----------
        cells : (h, w) float32
            Coverage of everybody, 0 to 1, on the half grid. Read only.
        frame : Frame
            The picture and its time. Read only, not kept.

        Returns
        -------
        (h, w) bool or None
            In new memory.
        """
        if self._roles.shape != cells.shape:
            self.reset()
            self._roles = np.zeros(cells.shape, np.uint8)
            self._owned_s = np.full(cells.shape, -np.inf, np.float32)
        frame_s = self._advance(frame.time_s)
        if self.people is People.ALL and frame.time_s is not None and _is_only_people(cells):
            return None
        labels, parts = parts_of(cells, self._roles)
        specks = parts[:, AREA] < SPECK * cells.size
        specks[0] = False
        if self.people is People.ALL:
            return _near_anybody(cells, labels, specks, frame)
        if self._is_steady(parts):
            self._contact.reset()
            self._roles = (labels > 0).view(np.uint8)
        else:
            self._roles = self._tell_apart(labels, parts, specks, frame, frame_s)
        main = self._roles == MAIN
        self._remember(main, frame_s)
        if self._roles.max() > MAIN:
            near = dilated(main, _SOFT_EDGE)
            near &= main | ~dilated(self._roles > MAIN, 1)
            return near
        if _is_clear(cells, main, _SOFT_EDGE):
            return None
        return dilated(main, _SOFT_EDGE)

    def _advance(self, time_s: float | None) -> float:
        """Set the clock to a frame's time; return how long the frame stands for."""
        passed_s = _FRAME_S
        if time_s is not None and self._time_s is not None and time_s > self._time_s:
            passed_s = time_s - self._time_s
        self._time_s = time_s
        self._clock_s += passed_s
        return min(passed_s, _LONGEST_FRAME_S)

    @property
    def _is_vacant(self) -> bool:
        return self._clock_s - self._seen_s > _GONE_S

    def _is_steady(self, parts: Whole) -> bool:
        """Whether there is one part, which was the main person's before."""
        if len(parts) != 2 or self._strangers.are_about or self._is_vacant:
            return False
        mine, area = int(parts[1, MAIN]), int(parts[1, AREA])
        return 0 < area - self._least_sudden <= mine

    @property
    def _least_sudden(self) -> float:
        """Number of new cells from which they may be someone else's."""
        behind = self._strangers.may_be_behind(self._clock_s)
        return (SPECK if behind else _MAX_SUDDEN_GROWTH) * self._roles.size

    def _tell_apart(
        self, labels: Whole, parts: Whole, specks: Cells, frame: Frame, frame_s: float
    ) -> Grid:
        """Return the role of every cell."""
        of_part = self._choose(parts) if self._is_vacant else self._follow(labels, parts)
        of_part[specks] = NOBODY
        of_part[0] = NOBODY
        roles: Grid = of_part.take(labels)
        self._contest(roles, labels, parts, frame, frame_s)
        self._strangers.remember(roles, parts, of_part, self._clock_s, frame_s)
        return roles

    def _choose(self, parts: Whole) -> Grid:
        """Make the part with the best score the main person."""
        roles = np.full(len(parts), OTHER, np.uint8)
        if len(parts) > 1:
            roles[1 + np.argmax(scores(parts[1:], self._roles.shape))] = MAIN
            self._chosen_s = self._clock_s
            self._usual = 0.0
        return roles

    def _follow(self, labels: Whole, parts: Whole) -> Grid:
        """Return the role of each part by its cells' roles in the frame before.

        A part that is both the main person's and someone else's is `OPEN`.
        """
        mine, others = parts[:, MAIN], parts[:, OTHER] + parts[:, DOUBTED]
        roles = np.where(mine > others, np.uint8(MAIN), np.uint8(OTHER))
        first = int(np.argmax(mine)) if mine.any() else self._returned(parts)
        if not first:
            return roles
        roles[first] = OPEN if others[first] > SPECK * labels.size else MAIN
        body = parts[first]
        for number in np.flatnonzero(parts[:, AREA] >= SPECK * labels.size):
            part = parts[number]
            if number == first:
                continue
            if mine[number] + others[number] == 0:
                is_mine = (
                    is_hand(part, body, labels.shape)
                    or is_in_line(part, body)
                    or self._was_mine(labels == number)
                )
                roles[number] = MAIN if is_mine else OTHER
            elif roles[number] == MAIN and is_beside(part, body):
                roles[number] = OTHER
        return roles

    def _returned(self, parts: Whole) -> int:
        """Return the part that may be the main person come back; 0 if there is none.

        It is where they left, or within the distance that they can have moved since.
        """
        rows, columns = np.nonzero(self._owned_s >= np.float32(self._seen_s))
        reach = _GESTURE_SPEED * len(self._roles) * (self._clock_s - self._seen_s)
        near = (
            (parts[:, AREA] >= SPECK * self._roles.size)
            & (parts[:, OTHER] + parts[:, DOUBTED] == 0)
            & (parts[:, LEFT] <= columns.max() + reach)
            & (parts[:, RIGHT] >= columns.min() - reach)
            & (parts[:, TOP] <= rows.max() + reach)
            & (parts[:, BOTTOM] >= rows.min() - reach)
        )
        near[0] = False
        if not near.any():
            return 0
        self._chosen_s = self._clock_s
        return int(np.argmax(np.where(near, scores(parts, self._roles.shape), -1)))

    def _was_mine(self, cells: Cells) -> bool:
        """Whether most of some cells were the main person's recently, or when last seen."""
        return bool(np.median(self._owned_s[cells]) > self._seen_s - _RECENT_S)

    def _contest(
        self, roles: Grid, labels: Whole, parts: Whole, frame: Frame, frame_s: float
    ) -> None:
        """Give cells of the main person's parts to others where they are theirs; write roles."""
        past = self._strangers.revised(self._roles, roles, self._clock_s)
        contested = roles == OPEN
        touching = bool(contested.any())
        least = self._least_sudden
        new = parts[:, AREA] - parts[:, MAIN] - parts[:, OTHER] - parts[:, DOUBTED]
        strange: Cells = np.zeros(roles.shape, np.bool_)
        if self._clock_s - self._chosen_s > _GRACE_S and new.max() > least:
            grown = (new > least)[labels] & (roles != OTHER)
            far = grown & self._is_far(past, frame_s)
            if np.count_nonzero(far) > least:
                strange = far
                contested |= grown
        elif not touching:
            self._contact.reset()
            return
        if not touching and not strange.any():
            self._contact.reset()
            return
        reach = max(2, round(_BORDER_SPEED * len(roles) * frame_s))
        self._contact.settle(frame, roles, past, contested, strange, reach)

    def _is_far(self, past: Grid, frame_s: float) -> Cells:
        """Return the cells that the main person cannot have reached since the frame before."""
        speed = _RESTING_SPEED if self._strangers.may_be_behind(self._clock_s) else _GESTURE_SPEED
        reach = max(1, round(speed * len(past) * frame_s))
        far = ~dilated(past == MAIN, reach)
        far &= past == NOBODY
        far &= self._owned_s < self._clock_s - _RECENT_S
        return far

    def _remember(self, main: Cells, frame_s: float) -> None:
        """Record where the main person is."""
        area = np.count_nonzero(main)
        if area < SPECK * main.size:
            return
        np.copyto(self._owned_s, np.float32(self._clock_s), where=main)
        self._usual = max(float(area), self._usual * (1 - frame_s / _AREA_DECAY_S))
        if area >= _GONE_BELOW * self._usual:
            self._seen_s = self._clock_s


def _near_anybody(cells: Floats, labels: Whole, specks: Cells, frame: Frame) -> Cells | None:
    """Return all cells but haze far from everybody; None if there is none."""
    people = labels > 0
    if specks.any():
        people ^= specks.take(labels)
    if not people.any():
        return people
    # In a photograph others may be far away, and too small for the model to be sure of.
    if frame.time_s is None:
        if not specks.any():
            return None
        kinds = specks.take(labels)
        return dilated(people, _SOFT_EDGE) | ~dilated(kinds, _SOFT_EDGE)
    reach = _haze_distance(cells)
    return None if _is_clear(cells, people, reach) else dilated(people, reach)


def _haze_distance(cells: Floats) -> int:
    """Return the distance from people at which haze is removed, in cells."""
    return max(_SOFT_EDGE, round(_HAZE_DISTANCE * len(cells)))


def _is_only_people(cells: Floats) -> bool:
    """Whether there are people and no haze far from them, as is usual."""
    return is_clear(cells, SOMEBODY, SPECK * cells.size, _HAZE, _haze_distance(cells) // 2)


def _is_clear(cells: Floats, people: Cells, reach: int) -> bool:
    """Whether there is no haze far from people; every other cell is checked."""
    some = np.ascontiguousarray(cells[::2, ::2]) > _HAZE
    some &= ~dilated(np.ascontiguousarray(people[::2, ::2]), reach // 2)
    return not some.any()
