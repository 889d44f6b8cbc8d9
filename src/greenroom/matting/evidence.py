"""Evidence from earlier frames: colour histograms and the clean plate.

Two things are learned where the matte is sure: the colours of the person and of the room [1]_,
[2]_, and the clean plate of the room. Both become a probability that is combined with the model's
by Bayes' rule: it decides where the model is unsure and changes little where it is sure.

References
----------
.. [1] M. J. Swain and D. H. Ballard, "Color Indexing", International Journal of Computer Vision
   7(1), 1991: colours as histograms, and their ratio.
.. [2] J. Sun, W. Zhang, X. Tang and H.-Y. Shum, "Background Cut", ECCV 2006: colours of both
   sides together with a picture of the empty room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom.cuda import calls, grid_calls
from greenroom.matting.clean_plate import MEMORY, CleanPlate
from greenroom.matting.evidence_kernels import BINS, learn, weigh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda.grid_calls import Pending
    from greenroom.media.frame import Frame

    Floats = NDArray[np.float32]

__all__ = ["Evidence"]

# Weight of the log ratio of colours, its limit, and the share assumed for a colour never seen.
_COLOUR_WEIGHT: Final = 0.6
_MAX_LOG_RATIO: Final = 3.0
_UNSEEN_SHARE: Final = 1e-4
# Weight of earlier frames in the moving average of the histograms.
_COLOUR_MEMORY: Final = 0.85
_MEMORY: Final[dict[str, Any]] = {"memory": MEMORY, "unseen": _UNSEEN_SHARE, "far": _MAX_LOG_RATIO}
# Standard deviation of the room's samples, in 8-bit levels of luma; differences of chroma, which
# shadows change less, count double.
_ROOM_SIGMA: Final = 10.0
_CHROMA_WEIGHT: Final = 2.0
# Log odds of room for a sample that looks exactly like it, and the limit for one that differs.
_ROOM_LOG_ODDS: Final = 3.0
_MAX_STRANGE: Final = 2.0
# Log odds against foreground where the room was never seen, the model is unsure, and nothing that
# it is sure of is near: rather lose a blurred finger there than show the room.
_DOUBT: Final = 1.0
# Depth inside the person from which likeness to the room counts as coincidence; distance from the
# person at which the room is learned and doubt begins. Both are shares of the frame's height.
_DEEP_INSIDE: Final = 0.05
_CLEAR_OF_PERSON: Final = 0.02


class Evidence:
    """Learns colours and the clean plate, and computes the probability of foreground from them.

    Parameters
    ----------
    colours, plate : bool
        Whether each of the two counts.

    All is where the frames are. State: colour histograms, the clean plate, the last frame's
    difference from it, and what was learned that the plate has not been checked by.
    """

    def __init__(self, *, colours: bool = True, plate: bool = True) -> None:
        by_plate = (0.5, _ROOM_LOG_ODDS, _MAX_STRANGE, _DOUBT) if plate else (0, 0, 0, 0)
        self._terms = np.array([_COLOUR_WEIGHT if colours else 0, *by_plate], np.float32)
        self._plate: CleanPlate | None = None
        self._learned: Pending | None = None
        self._colours: Floats | None = None
        self._ratios: Floats = np.empty(0, np.float32)
        self._difference: Floats | None = None
        self._memory: Floats = np.empty((0, 0, 0), np.float32)  # for both results of `weigh`

    def reset(self, plate: CleanPlate | None = None) -> None:
        """Forget colours and room; start with a recorded plate, if there is one."""
        self._plate, self._learned = plate, None
        self._colours = self._difference = None

    @property
    def plate(self) -> CleanPlate | None:
        """The clean plate; None before the first frame."""
        learned, self._learned = self._learned, None
        if learned is not None:
            self._check(*grid_calls.learned(learned))
        return self._plate

    def _check(self, known: float, misfits: float, brighter: float) -> None:
        assert self._plate is not None
        self._plate.check(known, misfits, brighter / max(known - misfits, 1))

    @property
    def similarity(self) -> Floats | None:
        """Similarity of the last weighed frame to the room, (h, w) float32, 0 to 1."""
        plate = self.plate
        if plate is None or self._difference is None:
            return None
        (difference,) = calls.on_host(self._difference)
        return np.asarray(plate.downloaded().confidence * np.exp(-difference / 2), np.float32)

    def weigh(self, frame: Frame, prior: Floats, *, in_part: bool = False) -> Floats:
        """Return the probability of foreground by colours and clean plate.

        Parameters
        ----------
        frame : Frame
            Read only.
        prior : (h, w) float32
            The model's coverage on the half grid. Read only.
        in_part : bool
            Whether to look only at samples where the model is unsure: then there is no
            `similarity`, and the frame cannot be learned from.

        Returns
        -------
        (h, w) float32
            Above 0 and below 1; one half where nothing is known, or the model is sure. The memory
            is overwritten for the next frame.
        """
        planes = frame.half_planes
        plate = self.plate or CleanPlate(planes.shape[1:], len(planes))
        self._plate = plate if frame.device is None else plate.uploaded(frame.device)
        terms = self._terms
        if self._colours is None:  # the first frame is weighed with its own colours, without doubt
            terms = np.array([*terms[:4], 0], np.float32)
            self._ratios = calls.zeros((BINS ** len(planes),), planes, np.float32)
            self._weigh(frame, prior, terms, in_part=False)
            self.learn(frame, prior)
        return self._weigh(frame, prior, terms, in_part=in_part)

    def _weigh(self, frame: Frame, prior: Floats, terms: Floats, *, in_part: bool) -> Floats:
        plate = self.plate
        assert plate is not None
        planes = frame.half_planes
        is_there = calls.device_of(self._memory) is frame.device
        spread = _SPREADS[len(planes) if frame.format != "gbrp" else 0]
        if self._memory.shape[1:] != prior.shape or not is_there:
            self._memory = calls.empty((2, *prior.shape), planes, np.float32)
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
            deep=_reach(prior, _DEEP_INSIDE),
            clear=_reach(prior, _CLEAR_OF_PERSON),
        )
        return probability

    def learn(self, frame: Frame, matte: Floats, other: Floats | None = None) -> None:
        """Learn from the frame that was weighed last, where its matte is sure.

        Parameters
        ----------
        frame : Frame
            Read only.
        matte, other : (h, w) float32
            Coverage on the half grid; the larger of two counts. Read only.
        """
        planes, plate = frame.half_planes, self.plate
        assert plate is not None
        assert self._difference is not None
        share = 1 - _COLOUR_MEMORY
        if self._colours is None:
            share = 1.0
            self._colours = calls.zeros((2, BINS ** len(planes)), planes, np.float32)
        given = planes, matte, other, self._difference
        changed = plate.planes, plate.seen, self._colours, self._ratios
        clear = _reach(matte, _CLEAR_OF_PERSON)
        if frame.device is None:
            self._check(*learn(*given, *changed, clear=clear, share=share, **_MEMORY))
        else:  # the device is not waited for: the plate is not needed before the next frame
            there = grid_calls.learn(*given, *changed, clear=clear, share=share, **_MEMORY)
            self._learned = there


# Weight of each plane's squared difference, by the number of planes; 0 stands for RGB.
_SPREADS: Final = {
    number: np.array(spreads, np.float32) ** -2
    for number, spreads in {
        0: [_ROOM_SIGMA] * 3,
        1: [_ROOM_SIGMA],
        3: [_ROOM_SIGMA, _ROOM_SIGMA / _CHROMA_WEIGHT, _ROOM_SIGMA / _CHROMA_WEIGHT],
    }.items()
}


def _reach(grid: Floats, share: float) -> int:
    """Return a share of a grid's height in samples."""
    return max(1, round(share * len(grid)))
