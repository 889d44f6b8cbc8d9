"""Matting for coarse models: tracked region, evidence, temporal averaging, guided filter.

A frame goes through these steps. The model looks at the part of the frame where the person is
(`inference`), and is corrected by what a second one found, if there is one (`correction`). People
who are not to be shown are left out, and colours and the clean plate weighed in (`selection`).
Where the picture stands still the result is averaged over time (`temporal`). A guided filter [1]_
with the frame's own luma moves it to the edges of the picture; its coefficients are computed on a
small grid [2]_ and applied at full size (`upsampling`). All but the last step work on small grids,
where they cost little.

References
----------
.. [1] K. He, J. Sun and X. Tang, "Guided Image Filtering", ECCV 2010.
.. [2] K. He and J. Sun, "Fast Guided Filter", arXiv:1505.00996, 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from greenroom.matting.cadence import Cadence, Rest
from greenroom.matting.correction import CorrectionStep
from greenroom.matting.inference import Inference, RegionUpdate
from greenroom.matting.matting import Matting
from greenroom.matting.selection import (
    EvidenceUpdate,
    EvidenceWeighing,
    ObjectKeeping,
    PeopleSelection,
)
from greenroom.matting.step import Work
from greenroom.matting.temporal import TemporalFilter
from greenroom.matting.upsampling import Hardening, Upsampling
from greenroom.media.cuts import CutDetector
from greenroom.settings import People

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Device
    from greenroom.matting.clean_plate import CleanPlate
    from greenroom.matting.matting import Look
    from greenroom.matting.step import Step
    from greenroom.media.frame import Frame
    from greenroom.media.matte import Matte
    from greenroom.segmenters.second_model import SecondModel
    from greenroom.settings import Settings

__all__ = ["RefinedMatting", "Steps"]


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps that a quality preset takes.

    Attributes
    ----------
    region : bool
        Look where the person is, rather than at the whole frame.
    colours : bool
        Learn the colours of person and room, and weigh them in.
    plate : bool
        Learn the clean plate, and weigh it in.
    guide : bool
        Move the edge to the picture's own.
    mirror : bool
        Look at every part a second time, mirrored, and take the mean.
    cadence : Cadence
        For which frames the model looks at first.
    """

    region: bool = True
    colours: bool = True
    plate: bool = True
    guide: bool = True
    mirror: bool = False
    cadence: Cadence = Cadence.EVERY


class RefinedMatting(Matting):
    """Refines a coarse model's answers in steps.

    Parameters
    ----------
    settings : Settings
        Edge, smoothing, people, clean plate and kept objects.
    steps : Steps, optional
        All but the mirrored look by default.

    Attributes
    ----------
    steps : tuple of Step
        The steps that every frame takes, in their order.

    Latency: none. State, which another size of frame or another scene resets: that of every step,
    the last frame's size and glance, and, for cadences other than every frame, the last matte.
    """

    def __init__(self, settings: Settings, steps: Steps | None = None) -> None:
        steps = steps or Steps()
        self.cadence = steps.cadence
        self._rest = Rest()
        self._cuts = CutDetector()
        self._size: tuple[int, int] | None = None
        self._device: Device | None = None
        inference = Inference(in_region=steps.region, is_mirrored=steps.mirror)
        self._weighing = EvidenceWeighing(
            colours=steps.colours,
            plate=steps.plate,
            picture=settings.plate,
            needs_similarity=settings.keep_region is not None,
            key=(steps, settings.plate),
        )
        self._correction = CorrectionStep(inference)
        self._people = PeopleSelection(settings.people)
        self._temporal = TemporalFilter(settings.smoothing)
        self._keeping = ObjectKeeping(settings, self._weighing)
        self.steps: tuple[Step, ...] = (
            inference,
            self._correction,
            self._people,
            self._weighing,
            self._temporal,
            EvidenceUpdate(self._weighing),
            RegionUpdate(inference, with_others=settings.people is People.MAIN),
            self._keeping,
            Upsampling(settings, is_guided=steps.guide),
            Hardening(settings.threshold),
        )

    @property
    def second(self) -> SecondModel | None:
        """See `Matting.second`."""
        return self._correction.model

    @second.setter
    def second(self, model: SecondModel | None) -> None:
        self._correction.model = model

    def check(self, size: tuple[int, int]) -> None:
        """See `Matting.check`."""
        self._keeping.regions.check(size)
        self._weighing.check(size)

    @property
    def plate(self) -> CleanPlate | None:
        """See `Matting.plate`."""
        plate = self._weighing.evidence.plate
        return None if plate is None else plate.downloaded()

    @property
    def notices(self) -> tuple[str, ...]:
        """See `Matting.notices`."""
        return self._keeping.regions.notices

    @property
    def exempt(self) -> NDArray[np.float32] | None:
        """See `Matting.exempt`."""
        left_out, kept = self._people.left_out, self._keeping.kept
        if left_out is None or kept is None:
            return kept if left_out is None else left_out
        return np.maximum(left_out, kept)

    def take_over(self, previous: Matting) -> None:
        """See `Matting.take_over`: what was learned under other settings is left."""
        if isinstance(previous, RefinedMatting):
            self._continue(previous)

    def _continue(self, previous: RefinedMatting) -> None:
        self._cuts, self._size = previous._cuts, previous._size
        self._device = previous._device
        for step, before in zip(self.steps, previous.steps, strict=True):
            step.take_over(before)

    def reset(self) -> None:
        """See `Matting.reset`."""
        self._cuts.reset()
        self._rest.reset()
        for step in self.steps:
            step.reset()

    def matte(self, frame: Frame, look: Look) -> Matte:
        """See `Matting.matte`.

        A frame without a time and without others before it counts as a photograph, and gets
        more work.
        """
        return self._rest.matte(frame, self.cadence, lambda: self._make(frame, look))

    def matte_there(self, frame: Frame, there: Frame, look: Look) -> Matte:
        """See `Matting.matte_there`.

        Evidence, history, guided filter and the full size are there; what the model found, and
        where it looks, is the host's.
        """
        frame.take_small_planes(there)
        return self._rest.matte(frame, self.cadence, lambda: self._make(frame, look, there))

    def _make(self, frame: Frame, look: Look, there: Frame | None = None) -> Matte:
        device = None if there is None else there.device
        if device is not self._device:  # what was learned is where it was
            self._device, self._size = device, None
        if frame.size != self._size or self._cuts.is_cut(frame):
            self.reset()
            self._size = frame.size
            self._cuts.is_cut(frame)  # the next frame is compared with this one
        most_followed = self.cadence.most_followed if self._rest.moving > 1 else 0
        work = Work(frame, look, self._temporal.frames, most_followed, there)
        for step in self.steps:
            step.apply(work)
        return work.matte
