"""Which part of a frame the model is to look at: where the person is.

A model that sees a small person large finds what it would miss, at no cost. The part stays
where it is until the person leaves it or fills too little of it, as a model's answer shifts a
little with what it is shown. The whole frame is looked at again while something changes outside
the part, so that a newcomer is found, and now and then in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Floats = NDArray[np.float32]

__all__ = ["Box", "RegionTracker", "box_of", "doubled", "extent"]

# Margins around a person, as shares of their width and height: the part must leave at least the
# first on each side, is made with the second, and made anew where it leaves more than the third.
_LEAST: Final = 0.08
_MADE: Final = 0.15
_MOST: Final = 0.40
# A part that is a larger share of the frame's area than this is not worth the difference.
_WHOLE: Final = 0.85
# How long after a change outside the part the whole frame is looked at, at the latest, and how
# long it is never looked at, in seconds; and in frames, where they have no time.
_CHANGED_S: Final = 0.2
_UNCHANGED_S: Final = 1.0
_FRAME_S: Final = 1 / 30
# From which difference of luma on a sample of `Frame.glance` has changed, in 8-bit levels, and how
# many samples of the working grid, in each direction, it is the mean of.
_CHANGE: Final = 6
_COARSER: Final = 8
# Coverage from which there is somebody.
_SOMEBODY: Final = 0.5
# What is smaller than this share of the frame is nobody.
_SPECK: Final = 0.002


class Box(NamedTuple):
    """A part of the working grid: where it begins, and where it has ended."""

    left: int
    top: int
    right: int
    bottom: int

    def with_margin(self, share: float, shape: tuple[int, int]) -> Box:
        """Add a share of the width and height on each side, within a grid, at even samples."""
        x, y = share * (self.right - self.left), share * (self.bottom - self.top)
        height, width = shape
        left, top = max(0, int(self.left - x)), max(0, int(self.top - y))
        right, bottom = round(self.right + x + 0.5), round(self.bottom + y + 0.5)
        return Box(
            left - left % 2,
            top - top % 2,
            min(width, right + right % 2),
            min(height, bottom + bottom % 2),
        )

    def holds(self, other: Box) -> bool:
        """Whether another box is within this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )

    def union(self, other: Box) -> Box:
        """Return the box around both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def moved_on(self, since: Box) -> Box:
        """Return the box around this one and where it will be if it moves as it did."""
        return self.union(Box(*(2 * now - then for now, then in zip(self, since, strict=True))))

    @property
    def area(self) -> int:
        """How many samples it has."""
        return (self.right - self.left) * (self.bottom - self.top)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def box_of(half: Floats, full: Floats) -> Box | None:
    """Return the box around everybody, on the working grid; None for nobody.

    Parameters
    ----------
    half, full : (h, w) and (H, W) float32
        Coverage on the half grid and on the working grid. What is less than one half, and
        specks, are nobody.
    """
    mask = np.asarray(half >= _SOMEBODY, np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4, ltype=cv2.CV_16U)
    found = stats[1:][stats[1:, cv2.CC_STAT_AREA] >= _SPECK * half.size]
    if len(found) == 0:
        return None
    left, top, width, height = found[:, :4].T
    return doubled(left.min(), top.min(), (left + width).max(), (top + height).max(), full.shape)


def extent(half: Floats, full: Floats) -> Box | None:
    """Return the box around all coverage of one half or more: `box_of`, with specks, and fast."""
    mask = half >= _SOMEBODY
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return doubled(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1, full.shape)


def doubled(left: int, top: int, right: int, bottom: int, shape: tuple[int, ...]) -> Box:
    """Return a box of the half grid on the working grid, which has a shape."""
    rows, columns = shape
    return Box(
        2 * int(left), 2 * int(top), min(2 * int(right), columns), min(2 * int(bottom), rows)
    )


class RegionTracker:
    """Follows a person from frame to frame.

    State: the part, where the person was in the last two frames, and what the frame looked like
    when all of it was looked at last.
    """

    def __init__(self) -> None:
        self.box: Box | None = None
        self._person: Box | None = None
        self._seen: NDArray[np.uint8] | None = None
        self._seen_s = 0.0
        self._now_s = 0.0

    def reset(self) -> None:
        """Begin with a look at the whole frame."""
        self.__init__()  # type: ignore[misc]

    def needs_whole(self, frame: Frame) -> bool:
        """Tell whether the whole of a new frame is to be looked at, besides the part."""
        self._now_s = self._now_s + _FRAME_S if frame.time_s is None else frame.time_s
        since_s = self._now_s - self._seen_s
        if self.box == _whole(frame):
            return False
        if self.box is None or self._seen is None or not 0 <= since_s < _UNCHANGED_S:
            return True
        return since_s >= _CHANGED_S and self._has_changed(frame)

    def found(self, frame: Frame, everyone: Box | None) -> None:
        """Take what a look at the whole frame has found; the part grows over newcomers."""
        self._seen, self._seen_s = frame.glance, self._now_s
        if everyone is None:
            return
        shape = frame.small_planes[0].shape
        if self.box is None:
            self._take(everyone, shape)
        elif not self.box.holds(everyone):
            self._take(self.box.union(everyone), shape)

    def follow(self, frame: Frame, person: Box | None) -> None:
        """Take where the person is in a frame: the part of the next one is where it will be."""
        last, self._person = self._person, person
        if person is None:
            self.box = None
            return
        shape = frame.small_planes[0].shape
        soon = person if last is None else person.moved_on(last)
        if (
            self.box is None
            or not self.box.holds(soon.with_margin(_LEAST, shape))
            or not soon.with_margin(_MOST, shape).holds(self.box)
        ):
            self._take(soon, shape)

    def _take(self, person: Box, shape: tuple[int, int]) -> None:
        box = person.with_margin(_MADE, shape)
        whole = Box(0, 0, shape[1], shape[0])
        self.box = whole if box.area > _WHOLE * whole.area else box

    def _has_changed(self, frame: Frame) -> bool:
        """Compare what is outside the part with the last time that it was looked at."""
        assert self.box is not None
        assert self._seen is not None
        changes = cv2.absdiff(frame.glance, self._seen)
        left, top, right, bottom = self.box
        rows = slice(top // _COARSER, -(-bottom // _COARSER))
        changes[rows, left // _COARSER : -(-right // _COARSER)] = 0
        return cv2.norm(changes, cv2.NORM_INF) >= _CHANGE


def _whole(frame: Frame) -> Box:
    height, width = frame.small_planes[0].shape
    return Box(0, 0, width, height)
