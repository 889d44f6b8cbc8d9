"""Inference: the model looks at the part of the frame where the person is."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.cuda import calls
from greenroom.errors import ImplausibleMatteError
from greenroom.matting.detection import Detection, DetectionBuffer, halved, put
from greenroom.matting.following import Follower
from greenroom.matting.newcomers import Newcomers
from greenroom.matting.region import GridBox, RegionTracker, box_of, extent
from greenroom.matting.step import Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.matting.matting import Look
    from greenroom.matting.step import Work
    from greenroom.media.frame import Frame

    Floats = NDArray[np.float32]

__all__ = ["WARM_UP_FRAMES", "Inference", "RegionUpdate"]

WARM_UP_FRAMES: Final = 12
"""The model looks at each of the first frames after a reset, and each is learned from."""


class Inference(Step):
    """Asks the model for coverage, and places it on the working grid.

    The model looks at the tracked region, or at the whole frame where that is needed. People whom
    it begins to find are confirmed by further looks. With `Work.most_followed` the last
    detection is moved into the frames between instead.

    Parameters
    ----------
    in_region : bool
        Look at the region around the person rather than at the whole frame.
    is_mirrored : bool
        Look at every part a second time, mirrored, and take the mean. A photograph always is.

    State: the region, who is known, and the detection that is followed.
    """

    def __init__(self, *, in_region: bool, is_mirrored: bool) -> None:
        self._in_region = in_region
        self._is_mirrored = is_mirrored
        self.region = RegionTracker()
        self.newcomers = Newcomers()
        self._follower = Follower()
        self._buffer = DetectionBuffer()
        self.is_crowded = False
        """Whether somebody was left out of the last frame, who must be detected in every frame."""

    def reset(self) -> None:
        """See `Step.reset`."""
        self.region.reset()
        self.newcomers.reset()
        self._follower.reset()

    def take_over(self, previous: Inference) -> None:
        """See `Step.take_over`."""
        self.region = previous.region
        self.newcomers = previous.newcomers

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        work.detection = self._detect(work)
        self.newcomers.follow(work.detection.half)

    def _detect(self, work: Work) -> Detection:
        """Return the model's coverage of this frame, or of the last one, moved into this one."""
        if not self._may_follow(work):
            self._follower.reset()
            return self._look(work)
        if self._follower.has_answer and not self.region.needs_whole(work.frame):
            followed = self._follower.follow(work.frame, work.most_followed)
            if followed is not None:
                return Detection.everywhere(followed)
        detection = self._look(work)
        self._follower.found(work.frame, detection.coarse)
        return detection

    def _may_follow(self, work: Work) -> bool:
        """Whether the model may miss a frame: not while several people are told apart."""
        is_warm = work.number >= WARM_UP_FRAMES and work.frame.time_s is not None
        is_alone = not self.newcomers.is_waiting and not self.is_crowded
        return work.most_followed > 0 and is_warm and is_alone

    def _look(self, work: Work) -> Detection:
        """Return the model's coverage of the region, or of the whole frame where needed."""
        frame, region = work.frame, self.region
        height, width = frame.small_planes[0].shape
        whole = GridBox(0, 0, width, height)
        if not self._in_region:
            return self._confirmed(work, whole)
        if region.needs_whole(frame) or region.box is None:
            known = self.newcomers.known
            detection = self._confirmed(work, whole)
            if region.box is not None and not detection.stats.area:
                self.newcomers.known = known  # who is too small to be seen there is not gone
            region.found(frame, box_of(detection.half, detection.coarse))
            if region.box is None:
                return detection
        detection = self._confirmed(work, region.box)
        if region.box == whole:
            return detection
        if detection.stats.is_full or not detection.stats.area:  # too near, gone, or missed
            detection = self._confirmed(work, whole)
        return detection

    def _confirmed(self, work: Work, box: GridBox) -> Detection:
        """Look at a part, and remove newcomers that further looks do not confirm."""
        frame = work.frame
        detection = self._placed(work, box)

        def look_at(box: GridBox, *, is_mirrored: bool) -> Floats:
            coarse = np.zeros_like(detection.coarse)
            with suppress(ImplausibleMatteError):  # then this look finds nobody
                answer = _looked(work.grids.part(box), work.look, is_mirrored=is_mirrored)
                put(answer, coarse[box.slices])
            return halved(coarse)

        weights = self.newcomers.confirmed(
            frame, detection.half, look_at, photograph=work.is_photograph
        )
        return detection if weights is None else detection.weighted(weights)

    def _placed(self, work: Work, box: GridBox) -> Detection:
        """Look at a part, and place the answer on the working grid; elsewhere it is 0."""
        part = work.grids.part(box)
        answer = work.look(part)
        if self._is_mirrored or work.is_photograph:
            answer = (answer + _looked(part, work.look, is_mirrored=True)) / np.float32(2)
        return self._buffer.put(answer, box, work.frame.small_planes[0].shape)


class RegionUpdate(Step):
    """Moves the region that `Inference` looks at to where the person is now.

    Parameters
    ----------
    inference : Inference
        Whose region it is.
    with_others : bool
        Whether the region holds those who are left out, too: they must be detected to be told
        from the main person.
    """

    def __init__(self, inference: Inference, *, with_others: bool) -> None:
        self._inference = inference
        self._with_others = with_others

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        self._inference.is_crowded = work.left_out is not None
        region, detection = self._inference.region, work.detection
        if self._with_others:
            (steady,) = calls.on_host(work.history.steady_half)
            coverage = np.maximum(detection.half, steady)
            region.follow(work.frame, extent(coverage, detection.coarse))
        else:
            region.follow_later(work.frame, work.extent)


def _looked(part: Frame, look: Look, *, is_mirrored: bool) -> Floats:
    """Look at a part of a frame, or at its mirror image."""
    return look(part.flipped())[:, ::-1] if is_mirrored else look(part)
