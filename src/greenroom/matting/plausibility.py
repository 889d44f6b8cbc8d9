"""Plausibility: whether a matte can be believed, beyond being well formed.

A model that is broken, or confused, answers with a matte like any other. What gives it away is
what a person cannot do: be everywhere at once, be half there, be in a thousand places, or begin to
be where the picture shows what it showed while nobody was there. The first three are found in the
answer itself; for the last the look of the room is learned in coarse cells, by every matting alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.errors import ImplausibleMatteError
from greenroom.matting.plausibility_kernels import (
    CHANGED,
    CLAIMED,
    PLAIN,
    TEXTURED,
    Surely,
    compare,
    look_at,
    remember,
)
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]
    Cells = NDArray[np.bool_]

__all__ = ["Plausibility"]

# An answer has at least so many rows and columns.
_COARSEST: Final = 8
# A model wavers in so large a share of its answer at most: those of the selfie model on 333
# pictures of people reach 0.22, and 0.29 on rooms without anybody.
_UNSURE: Final = 0.5
_LOW, _HIGH = 0.1, 0.9
# About so many rows of an answer, and as many columns, are looked at. Of neighbouring samples of
# these so large a share is on two sides of an edge at most.
_SAMPLED: Final = 64
_SCATTERED: Final = 0.1
# Nobody is everywhere: of those 333 pictures people have up to 0.978, and 0.903 of the outermost
# cells. From both of these shares on a matte is believed only when it grew to it: the matte
# before, which was believed, had so large a share.
_EVERYWHERE: Final = 0.985
_ALL_AROUND: Final = 0.96
_NEARLY: Final = 0.7
# Nor is anybody all around the others: of the outermost cells people have a smaller share than of
# all, or less than this one, or less than the other of those above.
_SURROUNDED: Final = 0.5
_ABOVE: Final = 0.5
# Up to so many 8-bit levels a cell looks as before, and from so many on between neighbours, over
# all planes, it has texture.
_ALIKE: Final = 4.0
_TEXTURE: Final = 6.0
# In how many frames the room was seen somewhere before that counts, over how many it is averaged,
# and for how many it is remembered that somebody looked so.
_TRUSTED: Final = 8.0
_MEMORY: Final = 25.0
_OWNED: Final = 250.0
# What looks like the room is taken away where it hangs together over at least this share of the
# frame, has texture in so large a share of its cells, and so many times more cells of texture than
# there are around it that have changed; and a little around it.
_LEAST: Final = 0.01
_TEXTURED: Final = 0.04
_TIMES: Final = 3.0
_AROUND: Final = np.ones((5, 5), np.uint8)
# When that is so large a share of all that is claimed, nothing of the matte is believed.
_MOSTLY: Final = 0.5
# For how long mattes that are not believed are taken for nobody's, in seconds, until that is an
# error.
_PATIENCE_S: Final = 2.0
_IS_EVERYWHERE: Final = "it finds somebody everywhere"
_IS_AROUND: Final = "it finds somebody around the middle of the picture, and nobody in it"


class Plausibility:
    """Takes from mattes what cannot be believed, and refuses those in which that is most.

    What is refused is taken for nobody's, so that the background alone is seen. When nothing else
    has come for two seconds, or a picture is on its own, that is an error.

    Latency: none. State, which a frame of another size resets: what the room and the person look
    like in cells of 4x4 samples of the working grid, and how much of the last matte was claimed.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._room: Floats = np.empty((0, 0, 0), np.float32)
        self._share = 0.0
        self._since_s: float | None = None

    def check(self, coarse: Floats, *, is_whole: bool) -> None:
        """Check that a model's answer may be about people.

        Parameters
        ----------
        coarse : (h, w) float32
            Coverage, 0 to 1. Read only.
        is_whole : bool
            Whether it is for a whole frame, and not for a part of one.

        Raises
        ------
        ImplausibleMatteError
            If it is far too coarse, if most of it is neither person nor background, if it is
            scattered, if somebody is around its middle, or everywhere in it and was not nearly so
            before.
        """
        if min(coarse.shape) < _COARSEST:
            what = "it has {1}x{0} samples".format(*coarse.shape)
            raise _error(what)
        step = max(1, min(coarse.shape) // _SAMPLED) | 1  # odd: an even one would miss patterns
        unsure, edges, surely = look_at(np.ascontiguousarray(coarse), step, _LOW, _HIGH)
        if unsure > _UNSURE:
            what = f"it wavers in {100 * unsure:.0f} % of the picture"
            raise _error(what)
        if edges > _SCATTERED:
            what = "what it finds is scattered over the picture"
            raise _error(what)
        if _is_around(surely):
            raise _error(_IS_AROUND)
        if is_whole and _is_everywhere(surely) and self._share < _NEARLY:
            raise _error(_IS_EVERYWHERE)

    def believed(self, frame: Frame, matte: Matte, exempt: Floats | None) -> Matte:
        """Return what of a matte can be believed: the matte itself as a rule.

        Parameters
        ----------
        frame : Frame
            Read only, not kept.
        matte : Matte
            Of this frame. Read only.
        exempt : (h, w) float32, optional
            Where, of any size, the matte is not the model's: the room is shown, or somebody is
            hidden, because the user wants it. Read only.

        Raises
        ------
        ImplausibleMatteError
            See the class.
        """
        planes = frame.half_planes
        number, high, wide = planes.shape
        shape = (high + 1) // 2, (wide + 1) // 2
        values = matte.sampled(shape)
        if exempt is not None:
            around = cv2.resize(exempt, values.shape[::-1], interpolation=cv2.INTER_LINEAR)
            values[cv2.dilate(np.asarray(around), _AROUND) > 0] = CLAIMED - 1
        if self._room.shape != (number, *shape):
            self._begin(number, shape)
        cells, marks = np.empty((number, *shape), np.uint8), np.empty(shape, np.uint8)
        claimed, plain, textured, surely = compare(
            planes,
            values,
            self._room,
            self._seen,
            self._held,
            self._owned,
            cells,
            marks,
            alike=_ALIKE,
            texture=_TEXTURE,
            trusted=_TRUSTED,
            memory=_MEMORY,
        )
        wrong: Bytes | None = None
        if plain + textured >= _LEAST * values.size:
            wrong = _wrong(marks)
        if wrong is not None and np.count_nonzero(wrong) > _MOSTLY * claimed:
            self._share = 0.0  # somebody has left, and something of the room is taken for them
            return _nobody(frame)
        if _is_everywhere(surely) and self._share < _NEARLY:
            return self.refused(frame, _error(_IS_EVERYWHERE))
        if _is_around(surely):
            return self.refused(frame, _error(_IS_AROUND))
        self._share = remember(cells, values, wrong, _OWNED, self._held, self._owned)
        self._since_s = None
        return matte if wrong is None else _without(matte, wrong, marks)

    def refused(self, frame: Frame, error: ImplausibleMatteError) -> Matte:
        """Return nobody's matte in place of one that is not believed, or raise the error."""
        self._share = 0.0
        time_s = frame.time_s
        if time_s is None:
            raise error
        if self._since_s is None or time_s < self._since_s:
            self._since_s = time_s
        if time_s - self._since_s >= _PATIENCE_S:
            raise error
        return _nobody(frame)

    def _begin(self, planes: int, shape: tuple[int, int]) -> None:
        self.reset()
        self._room = np.zeros((planes, *shape), np.float32)
        self._held = np.zeros((planes, *shape), np.float32)
        self._seen = np.zeros(shape, np.float32)
        self._owned = np.zeros(shape, np.float32)


def _wrong(marks: Bytes) -> Bytes | None:
    """Return the cells that look like the room and are not there by coincidence."""
    alike = ((marks == PLAIN) | (marks == TEXTURED)).view(np.uint8)
    number, labels, stats, _ = cv2.connectedComponentsWithStats(
        alike, connectivity=8, ltype=cv2.CV_32S
    )
    wrong = np.zeros(marks.shape, np.bool_)
    for label in range(1, number):
        area = int(stats[label, cv2.CC_STAT_AREA])
        if area < _LEAST * marks.size:
            continue
        part = labels == label
        textured = np.count_nonzero(marks[part] == TEXTURED)
        near = cv2.dilate(part.view(np.uint8), _AROUND) > 0
        changed = np.count_nonzero(marks[near] == CHANGED)
        if textured >= _TEXTURED * area and textured >= _TIMES * changed:
            wrong |= part
    return wrong.view(np.uint8) if wrong.any() else None


def _nobody(frame: Frame) -> Matte:
    return Matte(np.zeros(frame.layout.plane_shapes[0], np.uint8))


def _is_everywhere(surely: Surely) -> bool:
    return surely.share > _EVERYWHERE and surely.at_border > _ALL_AROUND


def _is_around(surely: Surely) -> bool:
    """Whether somebody is found at the border, and less of them in the middle."""
    return surely.at_border > max(surely.share, _SURROUNDED) and surely.at_top > _ABOVE


def _without(matte: Matte, wrong: Bytes, marks: Bytes) -> Matte:
    """Take cells out of a matte, and what is around them unless the picture has changed there."""
    gone = cv2.dilate(wrong, _AROUND)
    gone[(marks == CHANGED) & (wrong == 0)] = 0
    stays = 255 - 255 * gone
    size = matte.values.shape[::-1]
    weights = cv2.resize(stays, size, interpolation=cv2.INTER_LINEAR)
    return Matte(np.asarray(cv2.multiply(matte.values, weights, scale=1 / 255), np.uint8))


def _error(what: str) -> ImplausibleMatteError:
    message = (
        f"the model's answer is not believable: {what}. "
        f"If this lasts, look whether the camera is covered, or choose another model"
    )
    return ImplausibleMatteError(message)
