"""Steps that correct the model by what is known of the stream: evidence, people, kept objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from greenroom.cuda import calls
from greenroom.matting.clean_plate import CleanPlate
from greenroom.matting.detection import halved
from greenroom.matting.evidence import Evidence
from greenroom.matting.grid_kernels import mask_coverage
from greenroom.matting.inference import WARM_UP_FRAMES
from greenroom.matting.keep import KeptRegions
from greenroom.matting.people import PeopleFilter
from greenroom.matting.plate_picture import check_shape, decode_plate, fitted_plate
from greenroom.matting.step import Step
from greenroom.settings import People

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from greenroom.matting.step import Work
    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

    Floats = NDArray[np.float32]

__all__ = ["EvidenceUpdate", "EvidenceWeighing", "ObjectKeeping", "PeopleSelection"]


class EvidenceWeighing(Step):
    """Computes the probability of foreground from colours and the clean plate.

    Parameters
    ----------
    colours, plate : bool
        Whether each of the two counts.
    picture : path or None
        A recorded picture of the room. It is read now, so that a bad one is an error at once.
    needs_similarity : bool
        Whether every frame is compared with the whole room, not only those learned from.
    key : object
        Evidence is taken over from a step with an equal key.

    State: the evidence.

    Raises
    ------
    SettingsError
        If the picture cannot be read.
    """

    def __init__(
        self,
        *,
        colours: bool,
        plate: bool,
        picture: Path | None,
        needs_similarity: bool,
        key: object,
    ) -> None:
        self.is_active = colours or plate
        self.evidence = Evidence(colours=colours, plate=plate)
        self._path = picture
        self._picture = None if picture is None else decode_plate(picture)
        self._needs_similarity = needs_similarity
        self._key = key
        self._has_begun = False  # whether the recorded picture is in the evidence

    def check(self, size: tuple[int, int]) -> None:
        """See `Matting.check`."""
        if self._picture is not None:
            check_shape(self._picture, self._path, size)

    def reset(self) -> None:
        """See `Step.reset`."""
        self.evidence.reset()

    def take_over(self, previous: EvidenceWeighing) -> None:
        """See `Step.take_over`."""
        if self._key == previous._key:
            self.evidence, self._has_begun = previous.evidence, previous._has_begun

    def learns(self, work: Work) -> bool:
        """Whether a frame is learned from: after warm-up every second one is enough."""
        return self.is_active and (work.number < WARM_UP_FRAMES or work.number % 2 == 1)

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        if work.number == 0 or not self._has_begun:  # also one that takes over in mid-stream
            self.evidence.reset(self._recorded(work.frame))
            self._has_begun = True
        if self.is_active:
            in_part = not self.learns(work) and not self._needs_similarity
            _, prior = work.found
            work.probability = self.evidence.weigh(work.grids, prior, in_part=in_part)

    def _recorded(self, frame: Frame) -> CleanPlate | None:
        """Return the recorded picture as a clean plate for a frame's size."""
        if self._picture is None:
            return None
        picture = fitted_plate(self._picture, self._path, frame.size)
        return CleanPlate.from_picture(picture, frame.layout)


class EvidenceUpdate(Step):
    """Learns colours and room from the result of a frame.

    People who are left out are no part of the room, either.
    """

    def __init__(self, weighing: EvidenceWeighing) -> None:
        self._weighing = weighing

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        if self._weighing.learns(work):
            evidence = self._weighing.evidence
            _, half = work.found
            evidence.learn(work.grids, half, work.history.steady_half)


class PeopleSelection(Step):
    """Leaves out people who are not to be shown, and haze far from everybody.

    State: the people filter, and the coverage left out of the last frame.
    """

    def __init__(self, people: People) -> None:
        self._filter = PeopleFilter(people)
        self.left_out: Floats | None = None
        """Coverage of people left out of the last frame, on the half grid."""

    def reset(self) -> None:
        """See `Step.reset`."""
        self._filter.reset()

    def take_over(self, previous: PeopleSelection) -> None:
        """See `Step.take_over`."""
        if self._filter.people is previous._filter.people:
            self._filter = previous._filter

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        detection = work.detection
        shown = self._filter.shown(detection.half, work.frame)
        work.is_nobody = not detection.stats.is_anybody
        if shown is not None:
            mask = shown.view(np.uint8)
            work.is_nobody = not mask_coverage(mask, detection.coarse)
            if self._filter.people is People.MAIN:
                work.left_out = np.maximum(detection.half - halved(detection.coarse), 0)
            else:
                work.shown = mask
        self.left_out = work.left_out


class ObjectKeeping(Step):
    """Adds objects of the room that stay visible to the matte.

    State: the objects' outlines, and their coverage in the last frame.
    """

    def __init__(self, settings: Settings, weighing: EvidenceWeighing) -> None:
        self._setting = settings.keep_region
        self._weighing = weighing
        self.regions = KeptRegions(settings)
        self.kept: Floats | None = None
        """Coverage of kept objects in the last frame, on the half grid."""

    def reset(self) -> None:
        """See `Step.reset`."""
        self.regions.reset()

    def take_over(self, previous: ObjectKeeping) -> None:
        """See `Step.take_over`."""
        if self._setting == previous._setting:
            self.regions = previous.regions

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        if self._setting is None:
            return
        evidence, frame = self._weighing.evidence, work.frame
        nothing = np.zeros(frame.half_planes.shape[1:], np.float32)
        plate = None if evidence.plate is None else evidence.plate.downloaded()
        kept = self.regions.apply(nothing, plate, evidence.similarity, frame.layout)
        self.kept = kept
        height, width = work.coarse.shape
        enlarged = cv2.resize(kept, (width, height))
        (coarse,) = calls.on_host(work.coarse)
        work.coarse = np.asarray(np.maximum(coarse, enlarged), np.float32)
