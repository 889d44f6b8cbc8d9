"""Region of the frame around the person, at which the model looks.

A model finds a small person better when it sees them large, at no cost. The region stays
where it is until the person leaves it or fills too little of it, as a model's answer shifts a
little with what it is shown. The whole frame is looked at again while something changes outside
the region, so that a newcomer is found, and once a second in any case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import cv2
import numpy as np

from greenroom.media.cuts import changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Floats = NDArray[np.float32]

__all__ = ["Extent", "GridBox", "RegionTracker", "box_of", "doubled", "extent"]

# Margins around a person, as shares of their width and height: the region must leave at least the
# first on each side, is made with the second, and made anew where it leaves more than the third.
_MIN_MARGIN: Final = 0.08
_NEW_MARGIN: Final = 0.15
_MAX_MARGIN: Final = 0.40
# A region of more than this share of the frame's area becomes the whole frame.
_MAX_REGION_SHARE: Final = 0.85
# Intervals of looks at the whole frame: after a change outside the region, and without one. Frames
# without a time count for the third.
_LOOK_AFTER_CHANGE_S: Final = 0.2
_LOOK_INTERVAL_S: Final = 1.0
_FRAME_S: Final = 1 / 30
# Difference of luma, in 8-bit levels, from which a sample of `Frame.glance` has changed, and how
# many samples of the working grid it is the mean of in each direction.
_CHANGED_LEVELS: Final = 6
_GLANCE_STRIDE: Final = 8
# Coverage from which a sample is foreground.
_FOREGROUND: Final = 0.5
# Foreground smaller than this share of the frame is a speck.
_SPECK: Final = 0.002


class GridBox(NamedTuple):
    """A part of the working grid; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    def with_margin(self, share: float, shape: tuple[int, ...]) -> GridBox:
        """Add a share of the width and height on each side, within a grid, at even samples."""
        x, y = share * (self.right - self.left), share * (self.bottom - self.top)
        height, width = shape
        left, top = max(0, int(self.left - x)), max(0, int(self.top - y))
        right, bottom = round(self.right + x + 0.5), round(self.bottom + y + 0.5)
        return GridBox(
            left - left % 2,
            top - top % 2,
            min(width, right + right % 2),
            min(height, bottom + bottom % 2),
        )

    def holds(self, other: GridBox) -> bool:
        """Whether another box is within this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )

    def union(self, other: GridBox) -> GridBox:
        """Return the box around both."""
        return GridBox(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def moved_on(self, since: GridBox) -> GridBox:
        """Return the box around this one and where it will be if it moves as it did."""
        return self.union(GridBox(*(2 * now - then for now, then in zip(self, since, strict=True))))

    @property
    def area(self) -> int:
        """Number of samples."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def box_of(half: Floats, full: Floats) -> GridBox | None:
    """Return the box around everybody on the working grid, or None.

    Parameters
    ----------
    half, full : (h, w) and (H, W) float32
        Coverage on the half grid and on the working grid. Less than one half, and specks, do
        not count.
    """
    mask = np.asarray(half >= _FOREGROUND, np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4, ltype=cv2.CV_16U)
    found = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= _SPECK * half.size]
    if len(found) == 0:
        return None
    left, top, width, height = found[:, :4].T
    return doubled(left.min(), top.min(), (left + width).max(), (top + height).max(), full.shape)


def extent(half: Floats, full: Floats) -> GridBox | None:
    """Return the box around all coverage of one half or more: `box_of`, with specks, and fast."""
    mask = half >= _FOREGROUND
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return doubled(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1, full.shape)


def doubled(left: int, top: int, right: int, bottom: int, shape: tuple[int, ...]) -> GridBox:
    """Return a box of the half grid on the working grid, which has a shape."""
    rows, columns = shape
    return GridBox(
        2 * int(left), 2 * int(top), min(2 * int(right), columns), min(2 * int(bottom), rows)
    )


Extent: TypeAlias = "Callable[[], GridBox | None]"
"""Returns the box around all foreground of a frame, or None."""


@dataclass(slots=True)
class _RegionState:
    box: GridBox | None = None  # the region
    person: GridBox | None = None  # in the last frame
    glance: NDArray[np.uint8] | None = None  # at the last look at the whole frame, ...
    whole_s: float = 0.0  # ... and when that was
    now_s: float = 0.0


class RegionTracker:
    """Tracks the region around a person from frame to frame.

    State: the region, where the person was in the last frame, and a glance of the last frame of
    which the whole was looked at.
    """

    def __init__(self) -> None:
        self._known = _RegionState()
        self._later: tuple[tuple[int, ...], Extent] | None = None

    @property
    def _state(self) -> _RegionState:
        """The state, up to the last frame."""
        later, self._later = self._later, None
        if later is not None:
            shape, person = later
            self._follow(shape, person())
        return self._known

    @property
    def box(self) -> GridBox | None:
        """The region; None where the whole frame is to be looked at."""
        return self._state.box

    def reset(self) -> None:
        """Begin with a look at the whole frame."""
        self._known = _RegionState()
        self._later = None

    def needs_whole(self, frame: Frame) -> bool:
        """Whether the model has to look at the whole of a new frame, besides the region."""
        state = self._state
        state.now_s = state.now_s + _FRAME_S if frame.time_s is None else frame.time_s
        since_s = state.now_s - state.whole_s
        if state.box == _whole(frame):
            return False
        if state.box is None or state.glance is None or not 0 <= since_s < _LOOK_INTERVAL_S:
            return True
        return since_s >= _LOOK_AFTER_CHANGE_S and _has_changed(frame, state.glance, state.box)

    def found(self, frame: Frame, everyone: GridBox | None) -> None:
        """Take the box of everybody in the whole frame; the region grows over newcomers."""
        state = self._state
        state.glance, state.whole_s = frame.glance, state.now_s
        if everyone is None:
            return
        shape = frame.small_planes[0].shape
        if state.box is None:
            state.box = _region(everyone, shape)
        elif not state.box.holds(everyone):
            state.box = _region(state.box.union(everyone), shape)

    def follow(self, frame: Frame, person: GridBox | None) -> None:
        """Take the person's box in a frame: the next region is where they will be."""
        self._follow(frame.small_planes[0].shape, person)

    def follow_later(self, frame: Frame, person: Extent) -> None:
        """Take the person's box, as `follow` does, when it is needed: a device is not waited for.

        Parameters
        ----------
        frame : Frame
            Not kept.
        person : callable
            Returns the box; called once, or not at all.
        """
        self._known = self._state  # with the frame before
        self._later = frame.small_planes[0].shape, person

    def _follow(self, shape: tuple[int, ...], person: GridBox | None) -> None:
        state = self._state
        last, state.person = state.person, person
        if person is None:
            state.box = None
            return
        soon = person if last is None else person.moved_on(last)
        if (
            state.box is None
            or not state.box.holds(soon.with_margin(_MIN_MARGIN, shape))
            or not soon.with_margin(_MAX_MARGIN, shape).holds(state.box)
        ):
            state.box = _region(soon, shape)


def _region(person: GridBox, shape: tuple[int, ...]) -> GridBox:
    """Return the region around a person; the whole frame if it is nearly as large."""
    box = person.with_margin(_NEW_MARGIN, shape)
    whole = GridBox(0, 0, shape[1], shape[0])
    return whole if box.area > _MAX_REGION_SHARE * whole.area else box


def _has_changed(frame: Frame, before: NDArray[np.uint8], box: GridBox) -> bool:
    """Whether a frame outside the box differs from a glance of an earlier one."""
    height, width = before.shape
    left, top, right, bottom = box
    seen = (
        *(left // _GLANCE_STRIDE, top // _GLANCE_STRIDE),
        *(min(-(-right // _GLANCE_STRIDE), width), min(-(-bottom // _GLANCE_STRIDE), height)),
    )
    return changes(frame.glance, before, seen)[1] >= _CHANGED_LEVELS


def _whole(frame: Frame) -> GridBox:
    height, width = frame.small_planes[0].shape
    return GridBox(0, 0, width, height)
