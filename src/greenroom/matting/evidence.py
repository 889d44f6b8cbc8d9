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

import numpy as np

from greenroom.matting.evidence_kernels import BINS, learn, weigh
from greenroom.matting.plate import MEMORY, CleanPlate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Frame

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
        self._terms = np.array([_BY_COLOUR if colours else 0, *by_plate], np.float32)
        self.plate: CleanPlate | None = None
        self._colours: Floats | None = None
        self._ratios: Floats = np.empty(0, np.float32)
        self._difference: Floats | None = None
        self._memory: Floats = np.empty((0, 0, 0), np.float32)  # for both results of `weigh`

    def reset(self, plate: CleanPlate | None = None) -> None:
        """Forget colours and room; begin with a plate that is known already, if there is one."""
        self.plate = plate
        self._colours = self._difference = None

    @property
    def similarity(self) -> Floats | None:
        """How much the frame that was weighed last looks like the room, (h, w) float32, 0 to 1."""
        if self.plate is None or self._difference is None:
            return None
        return np.asarray(self.plate.confidence * np.exp(-self._difference / 2), np.float32)

    def weigh(self, frame: Frame, prior: Floats, *, in_part: bool = False) -> Floats:
        """Return the probability that a sample is the person's by all but the model.

        Parameters
        ----------
        frame : Frame
            Read only.
        prior : (h, w) float32
            The model's coverage on the half grid. Read only.
        in_part : bool
            Whether only what is needed for this is looked at: then there is no `similarity`, and
            nothing to learn from the frame.

        Returns
        -------
        (h, w) float32
            Above 0 and below 1; one half where nothing is known, or nothing is in question. In
            memory that is used again for the next frame.
        """
        planes = frame.half_planes
        if self.plate is None:
            self.plate = CleanPlate(planes.shape[1:], len(planes))
        terms = self._terms
        if self._colours is None:  # the first frame is weighed with its own colours, not doubted
            terms = np.array([*terms[:4], 0], np.float32)
            self._ratios = np.zeros(BINS ** len(planes), np.float32)
            self._weigh(frame, prior, terms, in_part=False)
            self.learn(frame, prior)
        return self._weigh(frame, prior, terms, in_part=in_part)

    def _weigh(self, frame: Frame, prior: Floats, terms: Floats, *, in_part: bool) -> Floats:
        plate = self.plate
        assert plate is not None
        planes = frame.half_planes
        spread = _SPREADS[len(planes) if frame.format != "gbrp" else 0]
        if self._memory.shape[1:] != prior.shape:
            self._memory = np.empty((2, *prior.shape), np.float32)
        probability: Floats = self._memory[0]
        self._difference = None if in_part else self._memory[1]
        weigh(
            planes,
            spread,
            plate.planes,
            plate.seen,
            self._ratios,
            prior,
            terms,
            probability,
            self._difference,
            deep=_reach(prior, _DEEP),
            clear=_reach(prior, _CLEAR),
        )
        return probability

    def learn(self, frame: Frame, matte: Floats, other: Floats | None = None) -> None:
        """Take what is sure in the matte of the frame that was weighed last.

        Parameters
        ----------
        frame : Frame
            Read only.
        matte, other : (h, w) float32
            Coverage on the half grid; where there are two the larger one counts. Read only.
        """
        planes, plate = frame.half_planes, self.plate
        assert plate is not None
        assert self._difference is not None
        share = 1 - _FADE
        if self._colours is None:
            share = 1.0
            self._colours = np.zeros((2, BINS ** len(planes)), np.float32)
        known, misfits, brighter = learn(
            planes,
            matte,
            other,
            self._difference,
            plate.planes,
            plate.seen,
            self._colours,
            self._ratios,
            clear=_reach(matte, _CLEAR),
            memory=MEMORY,
            share=share,
            unseen=_UNSEEN,
            far=_FAR,
        )
        plate.check(known, misfits, brighter / max(known - misfits, 1))


# What a squared difference of each plane counts: of one or three planes, and first of RGB's.
_SPREADS: Final = {
    number: np.array(spreads, np.float32) ** -2
    for number, spreads in {
        0: [_SPREAD] * 3,
        1: [_SPREAD],
        3: [_SPREAD, _SPREAD / _CHROMA, _SPREAD / _CHROMA],
    }.items()
}


def _reach(grid: Floats, share: float) -> int:
    """Return a share of a grid's height in samples."""
    return max(1, round(share * len(grid)))
