"""What the frames so far tell about each sample, besides the model.

Two things are learned while they are sure: which colours the person has and which the room
[1]_, [2]_, and what the room looks like where it was seen. Both become a probability that is
multiplied with the model's own by Bayes' rule, so it decides where the model wavers and changes
little where it is sure.

References
----------
.. [1] M. J. Swain and D. H. Ballard, "Color Indexing", International Journal of Computer Vision
   7(1), 1991: colours as histograms, and their ratio.
.. [2] J. Sun, W. Zhang, X. Tang and H.-Y. Shum, "Background Cut", ECCV 2006: colours of both
   sides together with a picture of the empty room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.frames import NOTHING
from greenroom.matting.evidence_kernels import BINS, judge, learn, weigh
from greenroom.matting.plate import MEMORY, CleanPlate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.frames import Frame

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["Evidence"]

# What the log of a ratio of colours counts, how far one goes, and what a colour that was never
# seen is taken for, as a share.
_BY_COLOUR: Final = 0.6
_FAR: Final = 3.0
_UNSEEN: Final = 1e-4
# By how much the colours of earlier frames fade with each.
_FADE: Final = 0.85
# A sample differs from the room by one unit at this distance, in 8-bit levels of luma; chroma,
# which shadows change less, counts double.
_SPREAD: Final = 10.0
_CHROMA: Final = 2.0
# Log odds of a sample that looks exactly like the room, and the most that a difference tells.
_ROOM: Final = 3.0
_STRANGE: Final = 2.0
# What counts against somebody, in log odds, where the room was never seen, the model wavers, and
# nobody whom it is sure of is near: rather lose a blurred finger there than show the room.
_DOUBT: Final = 1.0
# How far inside the person a likeness to the room is a coincidence, and how far from the person
# the room is learned, and doubt begins, as shares of the frame's height.
_DEEP: Final = 0.05
_CLEAR: Final = 0.02
_PIXEL: Final = (3, 3)


class Evidence:
    """Learns the person's colours and the room, and tells what they say of a new frame.

    Parameters
    ----------
    colours, plate : bool
        Whether each of the two counts.

    State: histograms of colours, the clean plate, and what was last made of a frame.
    """

    def __init__(self, *, colours: bool = True, plate: bool = True) -> None:
        by_plate = (0.5, _ROOM, _STRANGE, _DOUBT) if plate else (0, 0, 0, 0)
        self._weights = np.array([_BY_COLOUR if colours else 0, *by_plate], np.float32)
        self.plate: CleanPlate | None = None
        self._counts: Floats | None = None
        self._known_ratios: Floats | None = None
        self._difference: Floats = np.empty((0, 0), np.float32)
        self._numbers: NDArray[np.uint16] = np.empty((0, 0), np.uint16)

    def reset(self, plate: CleanPlate | None = None) -> None:
        """Forget colours and room; begin with a plate that is known already, if there is one."""
        self.plate = plate
        self._counts = None
        self._known_ratios = None

    @property
    def similarity(self) -> Floats | None:
        """How much the frame that was weighed last looks like the room, (h, w) float32, 0 to 1."""
        if self.plate is None or self._counts is None:
            return None
        return np.asarray(self.plate.confidence * np.exp(-self._difference / 2), np.float32)

    def weigh(self, frame: Frame, prior: Floats) -> Floats:
        """Return the probability that a sample is the person's by all but the model.

        Parameters
        ----------
        frame : Frame
            Read only.
        prior : (h, w) float32
            The model's coverage on the half grid. Read only.

        Returns
        -------
        (h, w) float32
            Above 0 and below 1; one half where nothing is known, or nothing is in question.
        """
        planes = frame.half_planes
        shape = planes[0].shape
        if self.plate is None:
            self.plate = CleanPlate(shape, len(planes))
        plate = self.plate
        weights = self._weights
        if self._counts is None:  # the first frame is weighed with its own colours, and not doubted
            weights = np.array([*weights[:4], 0], np.float32)
            self._compare(frame, plate)
            self.learn(frame, prior)
        colour = self._compare(frame, plate)
        self._difference = np.asarray(cv2.blur(self._difference, _PIXEL), np.float32)
        values = _bytes(prior)
        inside = np.asarray(cv2.erode(values, _window(prior, _DEEP)), np.uint8)
        around = np.asarray(cv2.dilate(values, _window(prior, _CLEAR)), np.uint8)
        probability = np.empty(shape, np.float32)
        judge(
            np.asarray(cv2.blur(colour, _PIXEL)),
            self._difference,
            plate.seen,
            inside,
            around,
            prior,
            weights,
            probability,
        )
        return probability

    def _compare(self, frame: Frame, plate: CleanPlate) -> Floats:
        """Find a frame's difference from the room, and return what its colours tell."""
        planes = frame.half_planes
        shape = planes[0].shape
        spread = np.full(len(planes), _SPREAD, np.float32)
        if frame.format != "gbrp":
            spread[1:] /= _CHROMA
        colour, self._difference = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self._numbers = np.empty(shape, np.uint16)
        ratios = self._ratios(len(planes))
        weigh(planes, spread**-2, plate.planes, ratios, self._numbers, colour, self._difference)
        return colour

    def learn(self, frame: Frame, matte: Floats) -> None:
        """Take what is sure in the matte of the frame that was weighed last.

        Parameters
        ----------
        frame : Frame
            Read only.
        matte : (h, w) float32
            Coverage on the half grid. Read only.
        """
        planes, plate = frame.half_planes, self.plate
        assert plate is not None  # noqa: S101 - weighed before
        values = _bytes(matte)
        least = np.asarray(cv2.erode(values, _SQUARE), np.uint8)
        most = np.asarray(cv2.dilate(values, _window(values, _CLEAR)), np.uint8)
        counts = np.zeros((2, BINS ** len(planes)), np.float32)
        report = np.zeros(3, np.float64)
        learn(
            planes,
            self._numbers,
            least,
            most,
            self._difference,
            plate.planes,
            plate.seen,
            counts,
            MEMORY,
            report,
        )
        counts /= np.maximum(counts.sum(axis=1, keepdims=True), 1)
        known_counts = counts if self._counts is None else self._counts
        known_counts += np.float32(1 - _FADE) * (counts - known_counts)
        # What fades for ever would become denormal numbers.
        known_counts[known_counts < NOTHING] = 0
        self._counts = known_counts
        self._known_ratios = None
        known, misfits, brighter = report
        plate.check(known, misfits, brighter / max(known - misfits, 1))

    def _ratios(self, planes: int) -> Floats:
        """Return for each colour the log of how much likelier it is the person's."""
        if self._counts is None:
            return np.zeros(BINS**planes, np.float32)
        if self._known_ratios is None:
            person, room = self._counts + np.float32(_UNSEEN)
            ratios = np.clip(np.log(person / room), -_FAR, _FAR)
            self._known_ratios = np.asarray(ratios, np.float32)
        return self._known_ratios


_SQUARE: Final = np.ones((3, 3), np.uint8)


def _bytes(matte: Floats) -> Bytes:
    return np.asarray(cv2.convertScaleAbs(matte, alpha=255))


def _window(values: Bytes | Floats, share: float) -> Bytes:
    reach = max(1, round(share * len(values)))
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
