"""Only me: which samples of a matte belong to the main person, followed over time.

Everything is decided in cells of 2x2 samples of the working matte. A part is what hangs
together of the cells that are somebody's. As long as there is one part that is the main
person's and grows steadily, that is all that is looked at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.matting.people_kernels import (
    AREA,
    BOTTOM,
    COLUMNS,
    LEFT,
    MAIN,
    NOBODY,
    OPEN,
    OTHER,
    RIGHT,
    divide,
    find_parts,
)
from greenroom.settings import People

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.frames import Frame

    Floats = NDArray[np.float32]
    Grid = NDArray[np.uint8]
    Cells = NDArray[np.bool_]
    Whole = NDArray[np.int32]

__all__ = ["PeopleFilter"]

# From this coverage on a cell is somebody's: hair and soft edges included, haze not.
_SOMEBODY: Final = 0.2
# A part with less than this share of the frame's area is a speck.
_SPECK: Final = 0.0005
# What grows out of the main person at once, as a share of the frame's area, is someone else.
_SUDDEN: Final = 0.005
# The main person may grow as they like for so long after they were chosen: some models need
# a few frames to see all of them.
_GRACE_S: Final = 0.5
# A main person who has been gone for longer may be succeeded.
_GONE_S: Final = 2.0
# Gone is also who has become smaller than this share of their usual area, ...
_LEFT_OVER: Final = 1 / 8
# ... the largest of late, which is forgotten in about this time.
_USUAL_S: Final = 10.0
# What was the main person's not longer ago than this is theirs when it comes back.
_RECENT_S: Final = 1.0
# For so long after they touched, someone may still be hidden behind the main person.
_BEHIND_S: Final = 2.0
# How fast an outline moves, in heights of the frame a second: that of someone who gestures ...
_QUICK: Final = 1.5
# ... of someone who sits, which is slower than one who walks by comes out from behind them ...
_SLOW: Final = 0.3
# ... and how far the line between two who touch may move.
_BETWEEN: Final = 0.75
# What is assumed of frames without a time, and the most that one frame stands for.
_FRAME_S: Final = 1 / 25
_LONGEST_FRAME_S: Final = 0.2
# The matte's soft edge reaches so many cells beyond what is somebody's.
_SOFT_EDGE: Final = 3


class PeopleFilter:
    """Says frame by frame which samples of the working matte stay.

    With ``people="all"`` everything but specks. With ``"main"`` one person: at the start the
    one with the best score, area x centrality x lowness, where centrality falls from 1 in the
    middle to 1/2 at the sides of the frame, and lowness is the square of how far down the
    person reaches, 1 at the bottom edge. From then on it is whoever is where they were, and

    - a part that comes from elsewhere is someone else's for as long as it is seen, whatever
      its size; only what comes from the bottom edge below someone who sits is their hand;
    - where two touch, the line between them follows the edges of the picture from where it
      was, and what then comes out on the far side of the main person is not theirs;
    - what grows out of them by more than an arm does from frame to frame is not theirs,
      unless it was a second ago;
    - when they are gone, nobody is shown. Who comes into sight near where they left is taken
      for them; after 2 s the best score decides again.

    In doubt a sample is not shown. Two who touch in the first frame are one until they part.

    State: the roles of the cells in the frame before, and which were the main person's of late.
    """

    def __init__(self, people: People) -> None:
        self.people = people
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames: after a cut, or between unrelated pictures."""
        self._roles: Grid = np.empty((0, 0), np.uint8)  # of the last frame
        self._owned_s: Floats = np.empty((0, 0), np.float32)  # when a cell was last MAIN
        self._planes: Grid | None = None  # of the last frame, where two touched in it
        self._time_s: float | None = None
        self._clock_s = 0.0
        self._chosen_s = -math.inf
        self._seen_s = -math.inf  # when the main person was last there
        self._met_s = -math.inf  # when someone last touched them
        self._strangers = False  # whether anybody else was seen apart from them
        self._usual = 0.0  # cells

    def weights(self, alpha: Floats, frame: Frame) -> Floats | None:
        """Return what the matte is to be multiplied with, or None where all of it stays.

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
            0 to 1, new memory.
        """
        cells = _in_cells(alpha)
        if self._roles.shape != cells.shape:
            self.reset()
            self._roles = np.zeros(cells.shape, np.uint8)
            self._owned_s = np.full(cells.shape, -np.inf, np.float32)
        frame_s = self._advance(frame.time_s)
        labels, parts = _parts(cells, self._roles)
        specks = parts[:, AREA] < max(1.0, _SPECK * cells.size)
        specks[0] = False
        if self.people is People.ALL:
            if not specks.any():
                return None
            return _enlarged(~_dilated(specks[labels], _SOFT_EDGE), alpha.shape)
        of_part = self._choose(parts) if self._is_vacant() else self._follow(labels, parts)
        of_part[specks] = NOBODY
        of_part[0] = NOBODY
        roles = of_part.take(labels)
        self._contest(roles, labels, parts, of_part, frame, frame_s)
        self._remember(roles, labels, parts, of_part)
        if not (of_part[1:] != MAIN).any() and not (roles == OTHER).any():
            return None
        main = roles == MAIN
        near = _dilated(main, _SOFT_EDGE) & ~_dilated(roles == OTHER, 1)
        return _enlarged(main | near, alpha.shape)

    def _advance(self, time_s: float | None) -> float:
        """Set the clock to a frame's time; return how long the frame stands for."""
        passed_s = _FRAME_S
        if time_s is not None and self._time_s is not None and time_s > self._time_s:
            passed_s = time_s - self._time_s
        self._time_s = time_s
        self._clock_s += passed_s
        return min(passed_s, _LONGEST_FRAME_S)

    def _is_vacant(self) -> bool:
        return self._clock_s - self._seen_s > _GONE_S

    def _choose(self, parts: Whole) -> Grid:
        """Make the part with the best score the main person."""
        roles = np.full(len(parts), OTHER, np.uint8)
        if len(parts) > 1:
            self._become(roles, 1 + int(np.argmax(_scores(parts[1:], self._roles.shape))))
        return roles

    def _become(self, roles: Grid, part: int) -> None:
        roles[part] = MAIN
        self._chosen_s = self._clock_s
        self._usual = 0.0
        self._met_s = -math.inf

    def _follow(self, labels: Whole, parts: Whole) -> Grid:
        """Say whose each part is, by whose its cells were in the frame before.

        `OPEN` is a part that is both the main person's and someone else's.
        """
        mine, others = parts[:, MAIN], parts[:, OTHER]
        roles = np.where(mine > others, MAIN, OTHER).astype(np.uint8)
        first = int(np.argmax(mine))
        if mine[first] == 0:
            self._take_back(roles, parts)
            return roles
        largest = parts[first]
        roles[first] = OPEN if others[first] >= max(1.0, _SPECK * labels.size) else MAIN
        for number in range(1, len(parts)):
            part = parts[number]
            if number == first:
                continue
            if part[MAIN] + part[OTHER] == 0:
                if self._is_hand(part, largest) or self._was_mine(labels == number):
                    roles[number] = MAIN
            elif roles[number] == MAIN and _is_beside(part, largest):
                roles[number] = OTHER
        return roles

    def _take_back(self, roles: Grid, parts: Whole) -> None:
        """Look for the main person, who is not seen, among those who came near where they left."""
        rows, columns = np.nonzero(self._owned_s >= self._seen_s)
        if not len(rows):
            return
        height = self._roles.shape[0]
        reach = _QUICK * height * (self._clock_s - self._seen_s)
        new = (
            (parts[:, AREA] >= _SPECK * self._roles.size)
            & (parts[:, OTHER] == 0)
            & (parts[:, LEFT] <= columns.max() + reach)
            & (parts[:, RIGHT] >= columns.min() - reach)
            & (parts[:, BOTTOM] >= rows.min() - reach)
        )
        if new[1:].any():
            scores = np.where(new[1:], _scores(parts[1:], self._roles.shape), 0)
            self._become(roles, 1 + int(np.argmax(scores)))

    def _is_hand(self, part: Whole, body: Whole) -> bool:
        """Whether something new comes from the bottom edge, below someone who sits there."""
        height = self._roles.shape[0]
        margin = (body[RIGHT] - body[LEFT]) // 2
        return bool(
            part[BOTTOM] == height == body[BOTTOM]
            and 4 * part[AREA] < body[AREA]
            and body[LEFT] - margin <= part[LEFT]
            and part[RIGHT] <= body[RIGHT] + margin
        )

    def _was_mine(self, cells: Cells) -> bool:
        """Whether most of some cells were the main person's of late."""
        return bool(np.median(self._owned_s[cells]) > self._clock_s - _RECENT_S)

    def _contest(  # noqa: PLR0913, PLR0917 - all that is known of a frame
        self,
        roles: Grid,
        labels: Whole,
        parts: Whole,
        of_part: Grid,
        frame: Frame,
        frame_s: float,
    ) -> None:
        """Tell the main person's cells from others' where they hang together; write roles."""
        others = bool((of_part == OPEN).any())
        behind = others or self._clock_s - self._met_s < _BEHIND_S
        least = (_SPECK if behind else _SUDDEN) * roles.size
        growing = (of_part == OPEN) | ((of_part == MAIN) & (parts[:, AREA] - parts[:, MAIN] > least))
        settled = self._clock_s - self._chosen_s > _GRACE_S
        if not others and not (settled and growing.any()):
            self._planes = None
            return
        past = self._roles
        height = len(roles)
        disputed = growing[labels]
        speed = _SLOW if behind else _QUICK
        mine = past == MAIN
        far = disputed & ~_dilated(mine, max(1, round(speed * height * frame_s)))
        far &= past != MAIN
        if not behind:
            far &= self._owned_s < self._clock_s - _RECENT_S
        far_count = np.count_nonzero(far) if settled or others else 0
        if not others and far_count <= least:
            self._planes = None
            return
        work = np.where(disputed, np.where(past == NOBODY, OPEN, past), NOBODY).astype(np.uint8)
        if far_count > least:
            work[far & (past == NOBODY)] = OTHER
        planes = _planes_in_cells(frame, roles.shape)
        costs = np.zeros(roles.shape, np.int32)
        if self._planes is not None and self._planes.shape == planes.shape:
            reach = max(2, round(_BETWEEN * height * frame_s))
            band = _dilated(work == MAIN, reach) & _dilated(work == OTHER, reach)
            band &= past != NOBODY
            change = cv2.absdiff(planes, self._planes).sum(axis=0, dtype=np.int32)
            costs[band] = change[band]
        self._planes = planes
        divide(planes, costs, work)
        work[work == OPEN] = OTHER
        self._tidy(work)
        roles[disputed] = work[disputed]
        if others and self._strangers:
            self._met_s = self._clock_s

    def _tidy(self, work: Grid) -> None:
        """Give what is too small to be somebody to the one whom it touches."""
        for role, to in ((OTHER, MAIN), (MAIN, OTHER)):
            labels, parts = _parts((work == role).astype(np.float32), work)
            small = parts[:, AREA] < _SPECK * work.size
            small[0] = False
            if small.any():
                work[small[labels]] = to

    def _remember(self, roles: Grid, labels: Whole, parts: Whole, of_part: Grid) -> None:
        main = roles == MAIN
        area = np.count_nonzero(main)
        self._roles = roles
        if area >= max(1.0, _SPECK * roles.size):
            np.copyto(self._owned_s, np.float32(self._clock_s), where=main)
            self._usual = max(float(area), self._usual * (1 - _FRAME_S / _USUAL_S))
            if area >= _LEFT_OVER * self._usual:
                self._seen_s = self._clock_s
        apart = parts[of_part == OTHER, AREA]
        if apart.size:
            self._strangers |= bool(apart.max() > _SUDDEN * roles.size)
        elif self._strangers and self._clock_s - self._met_s > _BEHIND_S:
            self._strangers = bool((roles == OTHER).any())


def _in_cells(plane: NDArray[np.float32]) -> Floats:
    height, width = plane.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _planes_in_cells(frame: Frame, shape: tuple[int, ...]) -> Grid:
    """Return the small planes, all at the cells' size: (n, h, w)."""
    size = shape[1], shape[0]
    return np.stack(
        [
            plane if plane.shape == shape else cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
            for plane in frame.small_planes
        ]
    )


def _parts(cells: Floats, past: Grid) -> tuple[Whole, Whole]:
    """Label the parts of some cells and describe each in a row, see `find_parts`."""
    height, width = cells.shape
    labels: Whole = np.empty(cells.shape, np.int32)
    parts: Whole = np.empty((((height + 1) // 2) * ((width + 1) // 2) + 1, COLUMNS), np.int32)
    find_parts(cells, _SOMEBODY, past, labels, parts)
    parts = parts[: parts[0, 0] + 1]
    parts[0] = 0
    return labels, parts


def _scores(parts: Whole, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Score those who may be the main person: see `PeopleFilter`."""
    height, width = shape
    middle = (parts[:, LEFT] + parts[:, RIGHT]) / (2 * width)
    centrality = 1 - np.abs(middle - 0.5)
    return np.asarray(parts[:, AREA] * centrality * (parts[:, BOTTOM] / height) ** 2)


def _is_beside(part: Whole, body: Whole) -> bool:
    """Whether a part that came off the main person is rather another person beside them."""
    shared = min(part[RIGHT], body[RIGHT]) - max(part[LEFT], body[LEFT])
    return bool(2 * part[AREA] > body[AREA] and 2 * shared < part[RIGHT] - part[LEFT])


def _dilated(cells: Cells, reach: int) -> Cells:
    """Enlarge by so many cells in every direction."""
    box = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(cells.view(np.uint8), box), np.uint8).view(np.bool_)


def _enlarged(cells: Cells, shape: tuple[int, ...]) -> Floats:
    """Return cells as weights for samples, interpolated between their centres."""
    weights = cv2.resize(cells.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(weights, np.float32)
