"""Newcomers: confirmation of new foreground by further looks.

Models of people take a bed, a chair or a dark carpet for a person now and then, with full
confidence. A person is found alike in every look, mirrored or not, near or from farther; a thing
seldom is. So new foreground is looked at again before it is accepted, and what is rejected is not
looked at again until the picture changes there.
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

# Coverage from which a sample is foreground, and the share of the frame below which it is a speck.
_FOREGROUND: Final = 0.5
_MIN_SHARE: Final = 0.0005
# Share of the frame that the largest person covers at least.
_MIN_LARGEST_SHARE: Final = 0.002
# Distance that somebody may have moved since the last frame, as a share of the frame's height.
_REACH: Final = 0.06
# A person with a larger share than this of new foreground is a newcomer, too.
_MAX_NEW: Final = 0.3
# A part smaller than this share of the largest person, and within this share of the frame's height
# of them, is a hand or a foot: in fast motion a model finds it apart from the rest.
_MAX_LIMB: Final = 0.15
_ARM_LENGTH: Final = 0.3
# Margins of the near and the far look at a newcomer, as shares of width and height.
_NEAR_MARGIN: Final = 0.15
_FAR_MARGIN: Final = 0.4
# A person has at least this mean coverage over all looks, and this share of their samples is found
# in every look. Of 333 pictures of people 4 fail the first and 4 the second; of 116 things that
# were taken for people 114 fail.
_MIN_MEAN: Final = 0.75
_MIN_EVERY_LOOK: Final = 0.5
# A photograph is seen once: there only the mean counts, which is 0.62 for people at least.
_MIN_MEAN_OF_PHOTOGRAPH: Final = 0.5
# Somebody who has shrunk to this share of their recent largest area is looked at again; and the
# decay of that area per frame.
_LOOK_AGAIN_BELOW: Final = 0.4
_AREA_DECAY: Final = 0.02
# Number of confirmations in a row that are needed where something was rejected before.
_CONFIRMATIONS: Final = 5
# Mean difference of luma, in 8-bit levels, up to which a part of the picture is unchanged.
_MAX_DIFFERENCE: Final = 4.0


class LookAt(Protocol):
    """Asks the model about a box of the working grid; returns coverage on the half grid."""

    def __call__(self, box: GridBox, *, is_mirrored: bool) -> Floats:
        """Look at a box, or at its mirror image."""


class Newcomers:
    """Removes new foreground that further looks do not confirm.

    State, on the half grid: the foreground of the last two frames, its recent largest area,
    rejected foreground with the luma that it was found in, and the number of confirmations since.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._known_cells: Bytes | None = None
        self._last_cells: Bytes | None = None
        self._recent_area = 0.0
        self._confirmations = 0
        self.is_waiting = False
        """Whether somebody needs further confirmations."""
        self._rejected_cells: Bytes = np.empty((0, 0), np.uint8)
        self._rejected_luma: Bytes = np.empty((0, 0), np.uint8)

    @property
    def known(self) -> tuple[Bytes | None, Bytes | None]:
        """Where known people may be, which a look that finds nobody forgets."""
        return self._known_cells, self._last_cells

    @known.setter
    def known(self, known: tuple[Bytes | None, Bytes | None]) -> None:
        self._known_cells, self._last_cells = known

    def confirmed(
        self, frame: Frame, half: Floats, look_at: LookAt, *, photograph: bool = False
    ) -> Floats | None:
        """Return weights for the coverage, or None if all of it stays.

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
            Whether this is a single picture.
        """
        self.is_waiting = False
        known = self._known_cells
        if known is not None and known.shape != half.shape:
            known = None
        area, strangers = count_found(half, known, _reach(half, _REACH))
        is_large = area >= max(
            _LOOK_AGAIN_BELOW * self._recent_area, _MIN_LARGEST_SHARE * half.size
        )
        if is_large and not strangers:
            return None
        found = np.asarray(half >= _FOREGROUND).view(np.uint8)
        if self._rejected_cells.shape != found.shape:
            self._rejected_cells, self._rejected_luma = np.zeros_like(found), np.zeros_like(found)
        known = self._reachable(found.shape)
        gone = self._rejected(frame, half, known, look_at, photograph=photograph)
        confirmed = np.asarray((found > 0) & ~gone).view(np.uint8)
        if gone.any() and cv2.countNonZero(confirmed) < _MIN_LARGEST_SHARE * found.size:
            return self._reject_all(found)
        self._known_cells = (
            confirmed
            if self._known_cells is None or not known.any()
            else confirmed | self._known_cells
        )
        if not gone.any():
            return None
        return _without(confirmed, gone)

    def _reject_all(self, found: Bytes) -> Floats:
        """Reject everything; later foreground counts as new."""
        self._known_cells = self._last_cells = None
        return np.zeros(found.shape, np.float32)

    def _rejected(
        self, frame: Frame, half: Floats, known: Bytes, look_at: LookAt, *, photograph: bool
    ) -> Cells:
        """Return the cells that are not confirmed."""
        found = np.asarray(half >= _FOREGROUND).view(np.uint8)
        number, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
        largest = max(stats[1:, cv2.CC_STAT_AREA], default=0)
        if largest < _MIN_LARGEST_SHARE * found.size and not photograph:
            return found > 0
        gone = np.zeros(found.shape, np.bool_)
        for label in range(1, number):
            size = int(stats[label, cv2.CC_STAT_AREA])
            part = np.asarray(labels == label)
            is_left_over = size < _LOOK_AGAIN_BELOW * self._recent_area
            news = np.count_nonzero(known[part] == 0)
            is_known = news <= _MAX_NEW * size and not is_left_over
            is_limb = size < _MAX_LIMB * largest and self._is_beside(part)
            if size < _MIN_SHARE * found.size or is_known or is_limb:
                continue
            if self._was_rejected(frame, part):
                gone |= part
                continue
            looks = _looks(frame, half, part, stats[label], look_at)
            doubtful = _unconfirmed_cells(looks, part, photograph=photograph)
            if doubtful is not None:
                # Of somebody merged with a known person the part confirmed by every look stays.
                lost = part if is_left_over else part & (doubtful | (known == 0))
                self._reject(frame, lost)
                gone |= lost
            elif self._is_to_wait(part):
                gone |= part
            elif is_left_over:
                self._recent_area = float(size)
        return gone

    def follow(self, half: Floats) -> None:
        """Take the confirmed coverage of a frame."""
        last = self._last_cells
        if last is not None and last.shape != half.shape:
            last = None
        self._last_cells, self._known_cells, area = know(half, last)
        self._recent_area = max((1 - _AREA_DECAY) * self._recent_area, float(area))

    def _reachable(self, shape: tuple[int, ...]) -> Bytes:
        """Return the cells that known people may have reached."""
        if self._known_cells is None or self._known_cells.shape != shape:
            return np.zeros(shape, np.uint8)
        return _dilated(self._known_cells, _REACH)

    def _is_beside(self, part: Cells) -> bool:
        """Whether a part is near enough to known people to be a hand of theirs."""
        known = self._known_cells
        return known is not None and bool(_dilated(known, _ARM_LENGTH)[part].any())

    def _was_rejected(self, frame: Frame, part: Cells) -> bool:
        """Whether a part was rejected already, and the picture is unchanged there."""
        if np.count_nonzero(self._rejected_cells[part]) < _FOREGROUND * np.count_nonzero(part):
            return False
        changes = cv2.absdiff(cv2.blur(frame.half_planes[0], (3, 3)), self._rejected_luma)
        return float(np.mean(np.asarray(changes)[part])) <= _MAX_DIFFERENCE

    def _is_to_wait(self, part: Cells) -> bool:
        """Whether a part where something was rejected needs further confirmations."""
        if not 2 * np.count_nonzero(self._rejected_cells[part]) > np.count_nonzero(part):
            return False
        self._confirmations += 1
        if self._confirmations < _CONFIRMATIONS:
            self.is_waiting = True
            return True
        self._confirmations = 0
        self._rejected_cells[part] = 0
        return False

    def _reject(self, frame: Frame, cells: Cells) -> None:
        """Remember rejected cells, and the picture there."""
        around = _dilated(cells.view(np.uint8), _REACH) > 0
        self._rejected_cells[around] = 1
        self._confirmations = 0
        np.copyto(self._rejected_luma, cv2.blur(frame.half_planes[0], (3, 3)), where=around)


def _looks(
    frame: Frame, half: Floats, part: Cells, stats: NDArray[np.int32], look_at: LookAt
) -> Floats:
    """Look at a part again; return its coverage, one row for each look."""
    height, width = frame.small_planes[0].shape
    left, top, wide, high = stats[:4]
    box = doubled(left, top, left + wide, top + high, (height, width))
    near, far = (box.with_margin(share, (height, width)) for share in (_NEAR_MARGIN, _FAR_MARGIN))
    whole = GridBox(0, 0, width, height)
    looks = [half]
    for at, is_mirrored in ((near, False), (near, True), (whole, True), (far, False)):
        looks.append(look_at(at, is_mirrored=is_mirrored))
    return np.stack([look[part] for look in looks])


def _unconfirmed_cells(looks: Floats, part: Cells, *, photograph: bool) -> Cells | None:
    """Return the cells of a part that some look does not find; None if it is a person."""
    everywhere = looks.min(axis=0) >= _FOREGROUND
    mean = float(looks.mean())
    if photograph:
        return None if mean >= _MIN_MEAN_OF_PHOTOGRAPH else part
    if mean >= _MIN_MEAN and everywhere.mean() >= _MIN_EVERY_LOOK:
        return None
    doubtful = part.copy()
    doubtful[part] = ~everywhere
    return doubtful


def _without(confirmed: Bytes, gone: Cells) -> Floats:
    """Return weights that are 0 for rejected cells and their soft edges, 1 elsewhere."""
    away = _dilated(gone.view(np.uint8), _REACH)
    stays = _dilated(confirmed, _REACH / 4)
    return np.asarray((away == 0) | ((stays > 0) & ~gone), np.float32)


def _dilated(cells: Bytes, share: float) -> Bytes:
    reach = _reach(cells, share)
    return np.asarray(cv2.dilate(cells, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))


def _reach(grid: Bytes | Floats, share: float) -> int:
    """Return a share of a grid's height in samples."""
    return max(1, round(share * len(grid)))
