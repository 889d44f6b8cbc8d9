"""Plausibility: checks of a matte beyond being well formed.

A model that is broken or confused returns a matte like any other. It is recognised by what a
person cannot do: cover everything, be half covered everywhere, be scattered over the picture, or
appear where the picture shows the same as while nobody was there. The first three are checked in
the answer itself; for the last the look of the room is learned in coarse cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.cuda import calls
from greenroom.errors import ImplausibleMatteError
from greenroom.matting.plausibility_kernels import (
    CHANGED,
    CLAIMED,
    PLAIN,
    SURELY,
    TEXTURED,
    CellCounts,
    CellMemory,
    CellMemoryThere,
    SureShares,
    compare,
    look_at,
    remember,
)
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Array, Device
    from greenroom.media.frame import Frame

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Cells = NDArray[np.bool_]

__all__ = ["Plausibility"]

# Minimum number of rows and of columns of an answer.
_MIN_SIDE: Final = 8
# Share of unsure samples, between the two limits below, that an answer has at most: those of the
# selfie model on 333 pictures of people reach 0.22, and 0.29 on rooms without anybody.
_MAX_UNSURE: Final = 0.5
_UNSURE_FROM, _UNSURE_TO = 0.1, 0.9
# Approximate number of sampled rows and columns of an answer, and the largest share of neighbouring
# samples that lie on different sides of an edge: ten people in a street reach 0.104, noise 0.5.
_SAMPLED_SIDE: Final = 64
_MAX_SCATTERED: Final = 0.125
# Shares of all cells and of border cells from which a matte covers everything; on those 333
# pictures people reach 0.978 and 0.903. Such a matte is accepted only if it grew gradually: the
# last accepted matte had at least the third share.
_MAX_SHARE: Final = 0.985
_MAX_BORDER_SHARE: Final = 0.96
_MIN_EARLIER_SHARE: Final = 0.7
# A matte is implausible if it surrounds the picture: its share of the border cells exceeds that of
# all cells and the first limit, and its share of the first row the second.
_MIN_SURROUNDED: Final = 0.5
_MIN_ABOVE: Final = 0.5
# Difference in 8-bit levels up to which a cell is unchanged, and difference of neighbours, over all
# planes, from which a cell has texture.
_SAME_LEVELS: Final = 4.0
_TEXTURE_LEVELS: Final = 6.0
# Number of frames after which a cell of the room is trusted, over which it is averaged, and for
# which the look of a person is remembered.
_TRUSTED_FRAMES: Final = 8.0
_ROOM_MEMORY_FRAMES: Final = 25.0
_PERSON_MEMORY_FRAMES: Final = 250.0
_LIMITS: Final = {
    "alike": _SAME_LEVELS,
    "texture": _TEXTURE_LEVELS,
    "trusted": _TRUSTED_FRAMES,
    "frames": _ROOM_MEMORY_FRAMES,
}
# A connected part that looks like the room is removed, with a margin, if it has at least this share
# of the frame, this share of textured cells, and this ratio of textured cells to changed ones
# around it.
_MIN_PART: Final = 0.01
_MIN_TEXTURED: Final = 0.04
_MIN_TEXTURED_TO_CHANGED: Final = 3.0
_MARGIN_KERNEL: Final = np.ones((5, 5), np.uint8)
# Share of removed foreground from which the whole matte is refused.
_MAX_WRONG: Final = 0.5
# Time for which refused mattes are replaced by empty ones before an error is raised.
_REFUSAL_TIMEOUT_S: Final = 2.0
_IS_EVERYWHERE: Final = "it finds somebody everywhere"
_IS_AROUND: Final = "it finds somebody around the middle of the picture, and nobody in it"


class Plausibility:
    """Removes implausible foreground from mattes, and refuses mattes that are mostly so.

    A refused matte is replaced by an empty one, so that the background alone is shown. After two
    seconds of refused mattes, or for a single picture, that is an error.

    Latency: none. State, which a frame of another size resets: the look of the room and of the
    person in cells of 4x4 samples of the working grid, and the foreground share of the last matte.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._cells: _Cells | _CellsThere | None = None
        self._share = 0.0
        self._since_s: float | None = None

    def check(self, coarse: Array, *, is_whole: bool) -> None:
        """Check that a model's answer can be about people.

        Parameters
        ----------
        coarse : (h, w) float32
            Coverage, 0 to 1, also on a device. Read only.
        is_whole : bool
            Whether it is for a whole frame rather than a part.

        Raises
        ------
        ImplausibleMatteError
            If it is too coarse, mostly unsure, or scattered, if its foreground surrounds the
            middle, or suddenly covers everything.
        """
        if min(coarse.shape) < _MIN_SIDE:
            what = "it has {1}x{0} samples".format(*coarse.shape)
            raise _error(what)
        step = (
            max(1, min(coarse.shape) // _SAMPLED_SIDE) | 1
        )  # odd: an even one would miss patterns
        sampled: Any = coarse
        if calls.on_device(coarse):
            (sampled,), step = calls.on_host(calls.every(coarse, step)), 1
        unsure, edges, surely = look_at(
            np.ascontiguousarray(sampled), step, _UNSURE_FROM, _UNSURE_TO
        )
        if unsure > _MAX_UNSURE:
            what = f"it wavers in {100 * unsure:.0f} % of the picture"
            raise _error(what)
        if edges > _MAX_SCATTERED:
            what = "what it finds is scattered over the picture"
            raise _error(what)
        if _is_around(surely):
            raise _error(_IS_AROUND)
        if is_whole and _is_everywhere(surely) and self._share < _MIN_EARLIER_SHARE:
            raise _error(_IS_EVERYWHERE)

    def believed(self, frame: Frame, matte: Matte, exempt: Floats | None) -> Matte:
        """Return the plausible part of a matte, usually the matte itself.

        Parameters
        ----------
        frame : Frame
            Read only, not kept.
        matte : Matte
            Of this frame. Read only.
        exempt : (h, w) float32, optional
            Above 0 where the matte is not the model's, because the user has the room shown or
            somebody hidden; of any size. Read only.

        Raises
        ------
        ImplausibleMatteError
            See the class.
        """
        cells = self._cells_of(frame)
        counts = cells.compare(frame, matte, exempt)
        claimed, plain, textured, surely = counts
        wrong: Bytes | None = None
        if plain + textured >= _MIN_PART * cells.size:
            wrong = _wrong(cells.marks)
        if wrong is not None and np.count_nonzero(wrong) > _MAX_WRONG * claimed:
            self._share = 0.0  # somebody has left, and part of the room is taken for them
            return _nobody(frame)
        if _is_everywhere(surely) and self._share < _MIN_EARLIER_SHARE:
            return self.refused(frame, _error(_IS_EVERYWHERE))
        if _is_around(surely):
            return self.refused(frame, _error(_IS_AROUND))
        self._share = cells.remember(wrong, surely)
        self._since_s = None
        return matte if wrong is None else _without(matte, wrong, cells.marks)

    def _cells_of(self, frame: Frame) -> _Cells | _CellsThere:
        """Return the cells' memory, where the frame is; an empty one where that has changed."""
        number, high, wide = frame.half_planes.shape
        every = number, (high + 1) // 2, (wide + 1) // 2
        cells = self._cells
        if cells is None or cells.every != every or cells.device is not frame.device:
            self.reset()
            device = frame.device
            cells = _Cells(every) if device is None else _CellsThere(every, device)
            self._cells = cells
        return cells

    def refused(self, frame: Frame, error: ImplausibleMatteError) -> Matte:
        """Return an empty matte in place of a refused one, or raise the error after a while."""
        self._share = 0.0
        time_s = frame.time_s
        if time_s is None:
            raise error
        if self._since_s is None or time_s < self._since_s:
            self._since_s = time_s
        if time_s - self._since_s >= _REFUSAL_TIMEOUT_S:
            raise error
        return _nobody(frame)


class _Cells:
    """Cells of frames of one size, in the host's memory."""

    device = None

    def __init__(self, every: tuple[int, int, int]) -> None:
        number, height, width = self.every = every
        self.size = height * width
        self._memory = CellMemory.empty(number, (height, width))
        self._values: Bytes = np.empty((0, 0), np.uint8)

    @property
    def marks(self) -> Bytes:
        """Marks of the last frame's cells."""
        return self._memory.marks

    def compare(self, frame: Frame, matte: Matte, exempt: Floats | None) -> CellCounts:
        """Compare a frame with the room."""
        self._values = matte.sampled(self.every[1:])
        if exempt is not None:
            self._values[_excused(exempt, self.every[1:])] = CLAIMED - 1
        return compare(frame.half_planes, self._values, self._memory, **_LIMITS)

    def remember(self, wrong: Bytes | None, surely: SureShares) -> float:  # noqa: ARG002
        """Remember what is surely somebody's; return its share."""
        return remember(self._memory, self._values, wrong, _PERSON_MEMORY_FRAMES)


class _CellsThere:
    """Cells of frames of one size, on a device."""

    def __init__(self, every: tuple[int, int, int], device: Device) -> None:
        number, height, width = self.every = every
        self.size, self.device = height * width, device
        self._memory = CellMemoryThere(number, (height, width), device)

    @property
    def marks(self) -> Bytes:
        """Marks of the last frame's cells, downloaded."""
        marks: Bytes
        (marks,) = calls.on_host(self._memory.marks)
        return marks

    def compare(self, frame: Frame, matte: Matte, exempt: Floats | None) -> CellCounts:
        """Compare a frame with the room."""
        excused = None
        if exempt is not None:
            excused = _excused(exempt, self.every[1:]).view(np.uint8)
        values = matte.uploaded(self.device).values
        return self._memory.compare(frame.half_planes, values, excused, **_LIMITS)

    def remember(self, wrong: Bytes | None, surely: SureShares) -> float:
        """Remember what is surely somebody's; return its share."""
        self._memory.remember(wrong, _PERSON_MEMORY_FRAMES)
        if wrong is None:
            return surely.share
        (values,) = calls.on_host(self._memory.values)
        return float(np.count_nonzero((values >= SURELY) & (wrong == 0)) / self.size)


def _excused(exempt: Floats, shape: tuple[int, int]) -> Cells:
    """Return the cells that an exempt part covers, with a margin."""
    around = cv2.resize(exempt, shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.dilate(np.asarray(around), _MARGIN_KERNEL) > 0)


def _wrong(marks: Bytes) -> Bytes | None:
    """Return the cells that look like the room in parts too large for coincidence."""
    alike = ((marks == PLAIN) | (marks == TEXTURED)).view(np.uint8)
    number, labels, stats, _ = cv2.connectedComponentsWithStats(
        alike, connectivity=8, ltype=cv2.CV_32S
    )
    wrong = np.zeros(marks.shape, np.bool_)
    for label in range(1, number):
        area = int(stats[label, cv2.CC_STAT_AREA])
        if area < _MIN_PART * marks.size:
            continue
        part = labels == label
        textured = np.count_nonzero(marks[part] == TEXTURED)
        near = cv2.dilate(part.view(np.uint8), _MARGIN_KERNEL) > 0
        changed = np.count_nonzero(marks[near] == CHANGED)
        if textured >= _MIN_TEXTURED * area and textured >= _MIN_TEXTURED_TO_CHANGED * changed:
            wrong |= part
    return wrong.view(np.uint8) if wrong.any() else None


def _nobody(frame: Frame) -> Matte:
    return Matte(np.zeros(frame.layout.plane_shapes[0], np.uint8))


def _is_everywhere(surely: SureShares) -> bool:
    return surely.share > _MAX_SHARE and surely.at_border > _MAX_BORDER_SHARE


def _is_around(surely: SureShares) -> bool:
    """Whether foreground surrounds the middle of the picture."""
    return surely.at_border > max(surely.share, _MIN_SURROUNDED) and surely.at_top > _MIN_ABOVE


def _without(matte: Matte, wrong: Bytes, marks: Bytes) -> Matte:
    """Remove cells from a matte, and a margin except where the picture has changed."""
    gone = cv2.dilate(wrong, _MARGIN_KERNEL)
    gone[(marks == CHANGED) & (wrong == 0)] = 0
    stays = 255 - 255 * gone
    size = matte.values.shape[::-1]
    weights = cv2.resize(stays, size, interpolation=cv2.INTER_LINEAR)
    if matte.device is not None:
        uploaded = matte.device.upload(np.asarray(weights, np.uint8))
        return Matte(calls.multiply(matte.values, *uploaded))
    return Matte(np.asarray(cv2.multiply(matte.values, weights, scale=1 / 255), np.uint8))


def _error(what: str) -> ImplausibleMatteError:
    message = (
        f"the model's answer is not believable: {what}. "
        f"If this lasts, look whether the camera is covered, or choose another model"
    )
    return ImplausibleMatteError(message)
