"""Newcomers: whether somebody whom the model begins to find is there.

Models of people take a bed, a chair or a dark carpet for somebody now and then, and are as sure of
it as of a person. Of a person they find the same in every look, mirrored or not, near or from
farther; of a thing they seldom do. So what is found where nobody was is looked at again before it
is believed, and what is not believed is not looked at again until the picture changes there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import cv2
import numpy as np

from greenroom.matting.grid_kernels import count_found, know
from greenroom.matting.region import GridBox, doubled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Cells = NDArray[np.bool_]

__all__ = ["LookAt", "Newcomers"]

# Coverage from which there is somebody; of less than so large a share of the frame they are a
# speck.
_SOMEBODY: Final = 0.5
_SPECK: Final = 0.0005
# Who has less than this share of the frame, and is the largest, is nobody.
_SMALLEST: Final = 0.002
# How far somebody may have come since the last frame, as a share of the frame's height.
_REACH: Final = 0.06
# Somebody of whom a larger share than this is where nobody was is looked at, too.
_MOSTLY_NEW: Final = 0.3
# What is smaller than this share of somebody, and this near to them, as a share of the frame's
# height, is a hand or a foot: in fast motion a model finds it apart from the rest.
_LIMB: Final = 0.15
_ARM: Final = 0.3
# Margins of the looks at a newcomer, as shares of width and height.
_NEAR: Final = 0.15
_FAR: Final = 0.4
# Of all looks at somebody, the mean coverage of where they were found is at least this, and each
# look finds at least this share of it. Of 333 pictures of people 4 have a lower mean and as many
# less of the second; of 116 things of rooms that were taken for people 114 have.
_MEAN: Final = 0.75
_LEAST: Final = 0.5
# A photograph is seen once: there only the mean counts, of which people have 0.62 at least.
_MEAN_OF_PHOTOGRAPH: Final = 0.5
# Somebody who has become smaller than this share of what they were, at the most of late, is looked
# at again; and how much of that is forgotten with each frame.
_LEFT_OVER: Final = 0.4
_FORGOTTEN: Final = 0.02
# So many times in a row somebody has to be found where something was refused before.
_TIMES: Final = 5
# Up to this mean difference of luma, in 8-bit levels, a part of the picture is what it was.
_CHANGED: Final = 4.0


class LookAt(Protocol):
    """Asks the model about a box of the working grid; returns coverage on the half grid."""

    def __call__(self, box: GridBox, *, is_mirrored: bool) -> Floats:
        """Look at a box, or at its mirror image."""


class Newcomers:
    """Takes from what a model finds who is not there.

    State: who was there in the last two frames, how much of the frame they had of late, and what
    was not believed, with the picture in which it was found, and how often somebody was found there
    since. All pictures are on the half grid.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._known: Bytes | None = None
        self._last: Bytes | None = None
        self._usual = 0.0
        self._passed = 0
        self.is_waiting = False
        """Whether somebody has to be found once more to be believed."""
        self._refused: Bytes = np.empty((0, 0), np.uint8)
        self._picture: Bytes = np.empty((0, 0), np.uint8)

    def confirmed(
        self, frame: Frame, half: Floats, look_at: LookAt, *, photograph: bool = False
    ) -> Floats | None:
        """Return what coverage is to be multiplied with, or None where all of it stays.

        Parameters
        ----------
        frame : Frame
            Read only.
        half : (h, w) float32
            The model's coverage, on the half grid. Read only.
        look_at : callable
            Asks the model about a box of the working grid, mirrored or not: returns its coverage
            on the half grid.
        photograph : bool
            Whether there is this one picture only.
        """
        self.is_waiting = False
        known = self._known
        if known is not None and known.shape != half.shape:
            known = None
        area, strangers = count_found(half, known, _reach(half, _REACH))
        is_large = area >= max(_LEFT_OVER * self._usual, _SMALLEST * half.size)
        if is_large and not strangers:
            return None
        found = np.asarray(half >= _SOMEBODY).view(np.uint8)
        if self._refused.shape != found.shape:
            self._refused, self._picture = np.zeros_like(found), np.zeros_like(found)
        known = self._near(found.shape)
        gone = self._gone(frame, half, known, look_at, photograph=photograph)
        confirmed = np.asarray((found > 0) & ~gone).view(np.uint8)
        if gone.any() and cv2.countNonZero(confirmed) < _SMALLEST * found.size:
            return self._nobody(found)
        self._known = (
            confirmed if self._known is None or not known.any() else confirmed | self._known
        )
        if not gone.any():
            return None
        return _without(confirmed, gone)

    def _nobody(self, found: Bytes) -> Floats:
        """Take all of what is found away: whoever comes is a newcomer again."""
        self._known = self._last = None
        return np.zeros(found.shape, np.float32)

    def _gone(
        self, frame: Frame, half: Floats, known: Bytes, look_at: LookAt, *, photograph: bool
    ) -> Cells:
        """Return which parts of what is found, or which of their cells, are nobody's."""
        found = np.asarray(half >= _SOMEBODY).view(np.uint8)
        number, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
        largest = max(stats[1:, cv2.CC_STAT_AREA], default=0)
        if largest < _SMALLEST * found.size and not photograph:
            return found > 0
        gone = np.zeros(found.shape, np.bool_)
        for label in range(1, number):
            size = int(stats[label, cv2.CC_STAT_AREA])
            part = np.asarray(labels == label)
            is_left_over = size < _LEFT_OVER * self._usual
            news = np.count_nonzero(known[part] == 0)
            is_known = news <= _MOSTLY_NEW * size and not is_left_over
            is_limb = size < _LIMB * largest and self._is_beside(part)
            if size < _SPECK * found.size or is_known or is_limb:
                continue
            if self._was_refused(frame, part):
                gone |= part
                continue
            looks = _looks(frame, half, part, stats[label], look_at)
            doubtful = _doubtful(looks, part, photograph=photograph)
            if doubtful is not None:
                # Of who is merged with somebody known, what every look finds of that one stays.
                lost = part if is_left_over else part & (doubtful | (known == 0))
                self._refuse(frame, lost)
                gone |= lost
            elif self._is_to_wait(part):
                gone |= part
            elif is_left_over:
                self._usual = float(size)
        return gone

    def follow(self, half: Floats) -> None:
        """Take who is there in a frame: what was confirmed of the model's coverage."""
        last = self._last
        if last is not None and last.shape != half.shape:
            last = None
        self._last, self._known, area = know(half, last)
        self._usual = max((1 - _FORGOTTEN) * self._usual, float(area))

    def _near(self, shape: tuple[int, ...]) -> Bytes:
        """Return where those who were there may be now."""
        if self._known is None or self._known.shape != shape:
            return np.zeros(shape, np.uint8)
        return _dilated(self._known, _REACH)

    def _is_beside(self, part: Cells) -> bool:
        """Whether a part is so near to those who were there that it may be a hand of theirs."""
        known = self._known
        return known is not None and bool(_dilated(known, _ARM)[part].any())

    def _was_refused(self, frame: Frame, part: Cells) -> bool:
        """Whether a part was looked at already, and the picture is the same there."""
        if np.count_nonzero(self._refused[part]) < _SOMEBODY * np.count_nonzero(part):
            return False
        changes = cv2.absdiff(cv2.blur(frame.half_planes[0], (3, 3)), self._picture)
        return float(np.mean(np.asarray(changes)[part])) <= _CHANGED

    def _is_to_wait(self, part: Cells) -> bool:
        """Whether somebody is where something was refused, and was not found there often enough."""
        if not 2 * np.count_nonzero(self._refused[part]) > np.count_nonzero(part):
            return False
        self._passed += 1
        if self._passed < _TIMES:
            self.is_waiting = True
            return True
        self._passed = 0
        self._refused[part] = 0
        return False

    def _refuse(self, frame: Frame, cells: Cells) -> None:
        """Remember what is not believed."""
        around = _dilated(cells.view(np.uint8), _REACH) > 0
        self._refused[around] = 1
        self._passed = 0
        np.copyto(self._picture, cv2.blur(frame.half_planes[0], (3, 3)), where=around)


def _looks(
    frame: Frame, half: Floats, part: Cells, stats: NDArray[np.int32], look_at: LookAt
) -> Floats:
    """Look at a part again; return its coverage in every look, one row for each."""
    height, width = frame.small_planes[0].shape
    left, top, wide, high = stats[:4]
    box = doubled(left, top, left + wide, top + high, (height, width))
    near, far = (box.with_margin(share, (height, width)) for share in (_NEAR, _FAR))
    whole = GridBox(0, 0, width, height)
    looks = [half]
    for at, is_mirrored in ((near, False), (near, True), (whole, True), (far, False)):
        looks.append(look_at(at, is_mirrored=is_mirrored))
    return np.stack([look[part] for look in looks])


def _doubtful(looks: Floats, part: Cells, *, photograph: bool) -> Cells | None:
    """Return which cells of a part are not found in every look; None if it is somebody."""
    everywhere = looks.min(axis=0) >= _SOMEBODY
    mean = float(looks.mean())
    if photograph:
        return None if mean >= _MEAN_OF_PHOTOGRAPH else part
    if mean >= _MEAN and everywhere.mean() >= _LEAST:
        return None
    doubtful = part.copy()
    doubtful[part] = ~everywhere
    return doubtful


def _without(confirmed: Bytes, gone: Cells) -> Floats:
    """Return weights without some cells and their soft edges, but with all others'."""
    away = _dilated(gone.view(np.uint8), _REACH)
    stays = _dilated(confirmed, _REACH / 4)
    return np.asarray((away == 0) | ((stays > 0) & ~gone), np.float32)


def _dilated(cells: Bytes, share: float) -> Bytes:
    reach = _reach(cells, share)
    return np.asarray(cv2.dilate(cells, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))


def _reach(grid: Bytes | Floats, share: float) -> int:
    """Return a share of a grid's height in samples."""
    return max(1, round(share * len(grid)))
