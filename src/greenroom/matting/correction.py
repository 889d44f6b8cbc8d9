"""Correction: what a second, larger model finds, carried along to later frames.

The second model is too slow for every frame. It looks now and then, on a thread of its own, and
its answer comes some frames late. What it changes in the first model's answer for its frame is the
correction. It is carried along with the motion since then (dense inverse search [1]_), and added to
the first model's answers, except where the picture is no longer what was looked at.

References
----------
.. [1] T. Kroeger, R. Timofte, D. Dai and L. Van Gool, "Fast Optical Flow using Dense Inverse
   Search", ECCV 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.cuda import calls
from greenroom.matting.detection import Detection, halved, put
from greenroom.matting.grid_kernels import place
from greenroom.matting.region import GridBox
from greenroom.matting.step import Step
from greenroom.segmenters.fused import square_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.matting.inference import Inference
    from greenroom.matting.step import Work
    from greenroom.segmenters.second_model import SecondModel

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["Correction", "CorrectionStep"]

# A place is the one that was looked at if luma around it differs by up to the first mean, in 8-bit
# levels, and another place from the second on; between them it counts in part.
_SAME_LEVELS: Final = 8.0
_OTHER_LEVELS: Final = 16.0
# Side of the square around a place, in samples of the half grid.
_AROUND: Final = 5
# The share that counts, for each mean difference.
_SHARES: Final = np.clip(
    (_OTHER_LEVELS - np.arange(256, dtype=np.float32)) / (_OTHER_LEVELS - _SAME_LEVELS), 0, 1
)
# Changes of coverage up to this are not worth carrying along.
_LEAST_CHANGE: Final = 0.02


class Correction:
    """Change of coverage of one frame, and where its samples are now.

    Parameters
    ----------
    first : (H, W) float32
        The first model's coverage on the working grid, kept until the second is known.
    box : GridBox
        The part that the second model looks at.
    luma : (h, w) uint8
        Of that frame, on the half grid; kept.

    Attributes
    ----------
    is_nothing : bool
        Whether it is known that both models say the same.

    State: the place, in that frame, of each sample of the half grid now.
    """

    def __init__(self, first: Floats, box: GridBox, luma: Bytes) -> None:
        self._first = first
        self._change: Floats | None = None
        self._box = box
        self._luma = luma
        height, width = luma.shape
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self._places: Floats = np.dstack([columns, rows])
        self._begin = self._places
        self.is_nothing = False

    def know(self, answer: Floats, model: SecondModel) -> None:
        """Take the second model's coverage (any size) of the part."""
        first = self._first[self._box.slices]
        second = np.empty_like(first)
        put(answer, second)
        change = np.zeros_like(self._first)
        change[self._box.slices] = model.fused(first, second) - first
        self._change = halved(change)
        self._change[np.abs(self._change) < _LEAST_CHANGE] = 0
        self.is_nothing = not self._change.any()

    def carry(self, flow: Any) -> None:
        """Go on to the next frame.

        Parameters
        ----------
        flow : (h, w, 2) float32
            From each sample of that frame to where it was in the last, in samples: x, y.
        """
        self._places = _sampled(self._places, self._begin + flow)

    def corrected(self, coarse: Floats, luma: Bytes) -> Floats:
        """Return the first model's coverage of a frame, corrected, in new memory.

        Parameters
        ----------
        coarse : (H, W) float32
            On the working grid. Read only.
        luma : (h, w) uint8
            Of the frame, on the half grid.
        """
        change = self._change
        assert change is not None
        apart = cv2.absdiff(_sampled(self._luma, self._places), luma)
        # Mean over the square, and the share of the change that it leaves, as 8-bit numbers.
        same = cv2.LUT(cv2.blur(apart, (_AROUND, _AROUND)), _SHARES)
        moved = _sampled(change, self._places) * same
        result = coarse.copy()
        left, top, wide, high = cv2.boundingRect(np.asarray(moved != 0).view(np.uint8))
        part = result[2 * top : 2 * (top + high), 2 * left : 2 * (left + wide)]
        if not part.size:
            return result
        added = np.empty_like(part)
        place(np.ascontiguousarray(moved[top : top + high, left : left + wide]), added)
        # Where the first model is sure of somebody, they stay.
        np.multiply(added, 1 - part, out=added, where=added < 0)
        part += added
        np.clip(part, 0, 1, out=part)
        return result


class CorrectionStep(Step):
    """Corrects the first model's coverage by what a second model found a while ago.

    Parameters
    ----------
    inference : Inference
        Of the first model. The second looks at the same part.

    Attributes
    ----------
    model : SecondModel or None
        Exchanged at any time.

    State: the correction in force, that of the frame that is looked at, the luma of the last frame,
    and the number of frames since the last look.
    """

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self.model: SecondModel | None = None
        self._last: Correction | None = None
        self._next: Correction | None = None
        self._luma: Bytes | None = None
        self._since = 0

    def reset(self) -> None:
        """See `Step.reset`."""
        self._last = self._next = self._luma = None

    def take_over(self, previous: CorrectionStep) -> None:
        """See `Step.take_over`: what is in force stays; what was looked at does not come here."""
        self._last, self._luma = previous._last, previous._luma

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        model = self.model
        if model is None or not model.every or model.has_failed:
            self.reset()
            return
        luma = calls.on_host(work.frame.half_planes[0])[0]
        self._carry(luma)
        self._take(model)
        self._since += 1
        if model.is_free and (self._last is None or self._since >= model.every):
            self._look(model, work, luma)
        self._luma = luma
        detection = work.detection
        if self._last is not None and not self._last.is_nothing and detection.stats.area:
            corrected = self._last.corrected(detection.coarse, luma)
            work.detection = Detection.everywhere(corrected)

    def _carry(self, luma: Bytes) -> None:
        """Carry the corrections to a frame."""
        both = (self._last, self._next)
        carried = [one for one in both if one is not None and not one.is_nothing]
        if not carried or self._luma is None:
            return
        nothing: Any = None
        flow = self._flow.calc(luma, self._luma, nothing)
        for one in carried:
            one.carry(flow)

    def _take(self, model: SecondModel) -> None:
        """Put a correction in force if its answer has come."""
        answer = model.answer()
        if answer is None:
            return
        known, self._next = self._next, None
        if known is not None:  # otherwise it is of a frame before a reset
            known.know(answer, model)
            self._last = known

    def _look(self, model: SecondModel, work: Work, luma: Bytes) -> None:
        """Have the second model look at where the first found somebody."""
        detection = work.detection
        if not detection.stats.area:
            return
        seen = self._inference.region.box or detection.box
        box = GridBox(*square_around(seen, detection.coarse.shape))
        model.look(work.grids.part(box))
        self._next = Correction(detection.coarse.copy(), box, luma)
        self._since = 0


def _sampled(values: Any, places: Floats) -> Any:
    """Return values at places (x, y), bilinear; those at the border repeat beyond it."""
    nothing: Any = None  # OpenCV's stubs do not know that both can be in one array
    return cv2.remap(values, places, nothing, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
