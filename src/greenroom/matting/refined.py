"""Matting for models that find people roughly: followed, weighed, steadied, and given edges.

A frame goes through these steps. The model looks at the part of the frame where the person is
(`region`). What colours and the clean plate tell is weighed in (`evidence`), and who is not to be
shown is left out (`people`). Where the picture stands still the result is averaged over time. A
guided filter [1]_ with the frame's own luma moves it to the edges of the picture; its coefficients
are found on a small grid [2]_ and applied at full size. All but the last step happens on small
grids, where it costs little.

References
----------
.. [1] K. He, J. Sun and X. Tang, "Guided Image Filtering", ECCV 2010.
.. [2] K. He and J. Sun, "Fast Guided Filter", arXiv:1505.00996, 2015.
"""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.compositing.tiled_matte import TiledMatte
from greenroom.compositing.tiles import CHUNK, Guide
from greenroom.errors import ImplausibleMatteError
from greenroom.matting.cadence import Cadence, Rest
from greenroom.matting.evidence import Evidence
from greenroom.matting.following import Follower
from greenroom.matting.found import Canvas, Found, halved, put
from greenroom.matting.grid_kernels import half_of, settle
from greenroom.matting.guided_kernels import guide
from greenroom.matting.keep import KeptRegions
from greenroom.matting.newcomers import Newcomers
from greenroom.matting.people import PeopleFilter
from greenroom.matting.photograph import refine_photograph
from greenroom.matting.plate import CleanPlate
from greenroom.matting.plate_picture import check_shape, decode_plate, fitted_plate
from greenroom.matting.region import Box, RegionTracker, box_of, doubled, extent
from greenroom.matting.shaping import hardened, shifted, softened
from greenroom.media.cuts import CutTest
from greenroom.media.frame import Frame
from greenroom.media.matte import Matte
from greenroom.media.resampling import upsample
from greenroom.settings import People

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.matting.matting import Look, Matting
    from greenroom.settings import Settings

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["RefinedMatting", "Steps"]

# A change of brightness up to which the picture stands still, in 8-bit levels: above the noise
# that is left after averaging, below what movement makes (docs/quality.md).
_STILL: Final = 3.0
# What the model says for certain is believed so far, so that evidence may change it.
_SUREST: Final = 0.997
# Coverage from which there is somebody.
_SOMEBODY: Final = 0.5
# For so many frames every one is learned from.
_EAGER: Final = 12
# The guided filter's regularisation, in squared 8-bit levels: luma that varies less is flat.
_FLAT: Final = 3e-3 * 255**2
# The coverage that becomes one half, and how much steeper the edge is made around it, which the
# model and the filter make too soft. A little more than one half: rather lose a hair than show
# the room.
_MIDDLE: Final = 0.52
_GAIN: Final = 1.25
# Every so many pixels one is looked at to tell the camera's noise, in every so many frames; what is
# within so many of its standard deviations is no detail; and how fast its estimate follows.
_GRID: Final = 16
_NOISE_SIGMAS: Final = 2.5
_NOISE_FOLLOW: Final = 0.3
_NOISE_EVERY: Final = 8
_NOISE_AT_FIRST: Final = 1.0
# Of normally distributed numbers, the median of absolute differences of two is so many standard
# deviations.
_MEDIAN_OF_DIFFERENCES: Final = 0.9539


# What a matting knows of a stream whatever its settings are.
_STREAM: Final = (
    *("_cuts", "_region", "_newcomers", "_size", "_history", "_noise", "_dots", "_frames"),
)


@dataclass(frozen=True, slots=True)
class Steps:
    """Which steps are taken: what a quality is made of.

    Attributes
    ----------
    region : bool
        Look where the person is, rather than at the whole frame.
    colours : bool
        Learn the colours of person and room, and weigh them in.
    plate : bool
        Learn what the room looks like, and weigh that in.
    guide : bool
        Move the edge to the picture's own.
    mirror : bool
        Look at every part a second time, mirrored, and take the mean.
    cadence : Cadence
        For which frames the model looks, until somebody says otherwise.
    """

    region: bool = True
    colours: bool = True
    plate: bool = True
    guide: bool = True
    mirror: bool = False
    cadence: Cadence = Cadence.EVERY

    @property
    def evidence(self) -> bool:
        """Whether anything besides the model counts."""
        return self.colours or self.plate


class RefinedMatting:
    """See the module.

    Parameters
    ----------
    settings : Settings
        Edge, smoothing, who and what stays.
    steps : Steps, optional
        All but the mirrored look if they are not given.

    Latency: none. State, which another size of frame or another scene resets: the person's
    region, colours and clean plate, the steadied matte with the picture that it belongs to, and
    the camera's noise. Besides, for other cadences than that of every frame, the last matte.
    """

    def __init__(self, settings: Settings, steps: Steps | None = None) -> None:
        self._settings = settings
        self._steps = steps or Steps()
        self.cadence = self._steps.cadence
        self._rest = Rest()
        self._follower = Follower()
        self._cuts = CutTest()
        self._region = RegionTracker()
        self._newcomers = Newcomers()
        self._evidence = Evidence(colours=self._steps.colours, plate=self._steps.plate)
        self._people = PeopleFilter(settings.people)
        self._kept = KeptRegions(settings)
        # Read now, so that what cannot be is an error before it is in force.
        self._room = None if settings.plate is None else decode_plate(settings.plate)
        self._canvas = Canvas()
        self._size: tuple[int, int] | None = None
        self._history: _History | None = None
        self._last: Bytes | None = None  # the last hard matte
        self._left_out: Floats | None = None  # who is not shown in the last frame
        self._kept_now: Floats | None = None  # what of the room is
        self._noise = _NOISE_AT_FIRST
        self._dots: Bytes | None = None
        self._is_photograph = False
        self._frames = 0  # since the last reset

    def check(self, size: tuple[int, int]) -> None:
        """See `Matting.check`."""
        self._kept.check(size)
        if self._room is not None:
            check_shape(self._room, self._settings.plate, size)

    @property
    def plate(self) -> CleanPlate | None:
        """See `Matting.plate`."""
        return self._evidence.plate

    @property
    def notices(self) -> tuple[str, ...]:
        """See `Matting.notices`."""
        return self._kept.notices

    @property
    def exempt(self) -> Floats | None:
        """See `Matting.exempt`."""
        if self._left_out is None or self._kept_now is None:
            return self._kept_now if self._left_out is None else self._left_out
        return np.maximum(self._left_out, self._kept_now)

    def take_over(self, previous: Matting) -> None:
        """See `Matting.take_over`: what was learned under other settings is left."""
        if not isinstance(previous, RefinedMatting):
            return
        known = vars(previous)
        ours, others = self._settings, known["_settings"]
        names = set(_STREAM)
        if self._steps == known["_steps"] and ours.plate == others.plate:
            names.add("_evidence")
        if ours.people is others.people:
            names.add("_people")
        if ours.keep_region == others.keep_region:
            names.add("_kept")
        vars(self).update({name: known[name] for name in names})

    def reset(self) -> None:
        """See `Matting.reset`."""
        self._cuts.reset()
        self._region.reset()
        self._newcomers.reset()
        self._evidence.reset()
        self._people.reset()
        self._kept.reset()
        self._rest.reset()
        self._follower.reset()
        self._history = None
        self._last = None
        self._dots = None
        self._frames = 0

    def matte(self, frame: Frame, look: Look) -> Matte:
        """See `Matting.matte`.

        A frame without a time and without others before it is taken for a photograph, and gets
        more work.
        """
        return self._rest.matte(frame, self.cadence, lambda: self._make(frame, look))

    def _make(self, frame: Frame, look: Look) -> Matte:
        if frame.size != self._size or self._cuts.is_cut(frame):
            self.reset()
            self._size = frame.size
            self._cuts.is_cut(frame)  # to compare the next one with it
        if self._history is None:
            self._evidence.reset(self._recorded(frame))
        history = self._history or _History(frame)
        self._is_photograph = self._history is None and frame.time_s is None
        seen = self._settle(frame, self._found(frame, look), history)
        self._history = history
        self._frames += 1
        self._region.follow(frame, seen)
        matte = self._enlarged(frame, history)
        if self._settings.threshold is None:
            self._last = None
            return matte
        self._last = hardened(matte.values, self._settings.threshold, self._last)
        return Matte(self._last)

    def _found(self, frame: Frame, look: Look) -> Found:
        """Return what the model finds, or what it found in the frame before where that is now."""
        known = self._frames >= _EAGER and frame.time_s is not None and self._rest.moving > 1
        # Who is to be told from others is, in every frame.
        is_alone = not self._newcomers.is_waiting and self._left_out is None
        if self.cadence is not Cadence.SECOND or not known or not is_alone:
            self._follower.reset()
            return self._looked_for(frame, look)
        if self._follower.has_answer and not self._region.needs_whole(frame):
            followed = self._follower.follow(frame)
            if followed is not None:
                return Found.everywhere(followed)
        found = self._looked_for(frame, look)
        self._follower.found(frame, found.coarse)
        return found

    def _looked_for(self, frame: Frame, look: Look) -> Found:
        """Return what the model finds, on the grids."""
        height, width = frame.small_planes[0].shape
        whole = Box(0, 0, width, height)
        if not self._steps.region:
            return self._confirmed(frame, whole, look)
        region = self._region
        if region.needs_whole(frame):
            found = self._confirmed(frame, whole, look)
            region.found(frame, box_of(found.half, found.coarse))
            if region.box is None:
                return found
        assert region.box is not None
        found = self._confirmed(frame, region.box, look)
        if region.box == whole:
            return found
        if found.seen.is_full or not found.seen.area:  # too near, gone, or missed
            found = self._confirmed(frame, whole, look)
        return found

    def _confirmed(self, frame: Frame, box: Box, look: Look) -> Found:
        """Look at a part, and take from what is found who is not there."""

        def look_at(box: Box, is_mirrored: bool) -> Floats:  # noqa: FBT001
            again = np.zeros_like(found.coarse)
            with suppress(ImplausibleMatteError):  # then they are not found in this look
                put(_looked(frame.part(box), look, is_mirrored=is_mirrored), again[box.slices])
            return halved(again)

        found = self._placed(frame, box, look)
        weights = self._newcomers.confirmed(
            frame, found.half, look_at, photograph=self._is_photograph
        )
        return found if weights is None else found.weighted(weights)

    def _placed(self, frame: Frame, box: Box, look: Look) -> Found:
        """Look at a part, and put what is found where it belongs; elsewhere nobody is."""
        part = frame.part(box)
        found = look(part)
        if self._steps.mirror or self._is_photograph:
            found = (found + _looked(part, look, is_mirrored=True)) / np.float32(2)
        return self._canvas.put(found, box, frame.small_planes[0].shape)

    def _recorded(self, frame: Frame) -> CleanPlate | None:
        """Read the room that the settings name."""
        if self._room is None:
            return None
        picture = fitted_plate(self._room, self._settings.plate, frame.size)
        return CleanPlate.from_picture(picture, frame.layout)

    def _settle(self, frame: Frame, found: Found, history: _History) -> Box | None:
        """Weigh the evidence, and follow the result over time; return where anybody is."""
        prior = found.half
        self._newcomers.follow(prior)
        # Every second frame once something is known: neighbouring frames tell much the same.
        learns = self._steps.evidence and (self._frames < _EAGER or self._frames % 2 == 1)
        probability = None
        if self._steps.evidence:
            in_part = not learns and self._settings.keep_region is None
            probability = self._evidence.weigh(frame, prior, in_part=in_part)
        weights = self._people.weights(found.coarse, frame, prior)
        is_nobody = not found.seen.is_anybody
        self._left_out = None
        if weights is not None:
            found.coarse *= weights
            is_nobody = cv2.minMaxLoc(found.coarse)[1] < _SOMEBODY
            if self._people.people is People.MAIN:
                self._left_out = np.maximum(prior - halved(found.coarse), 0)
        seen = history.follow(frame, found, probability, self._settings.smoothing, is_nobody)
        if weights is not None and self._people.people is People.ALL and not is_nobody:
            seen = history.weighted(weights)  # nor is anything that is far from all of them
        # Those who are not shown are no part of the room, either.
        if learns:
            self._evidence.learn(frame, prior, history.steady_half)
        if self._people.people is People.MAIN:
            return extent(np.maximum(prior, history.steady_half), found.coarse)
        return seen

    def _enlarged(self, frame: Frame, history: _History) -> Matte:
        """Make the matte at full size: guided, or where a soft edge is asked for, only enlarged."""
        settings = self._settings
        steady = whole = history.steady
        if settings.keep_region is not None:
            steady = self._with_kept(frame, steady)
        steady = shifted(steady, settings.edge_shift / 100, frame.size)
        if not self._steps.guide or settings.edge_softness > 0 or min(steady.shape) == 1:
            values = np.empty(frame.layout.plane_shapes[0], np.uint8)
            upsample(softened(steady, settings.edge_softness / 100, frame.size), values)
            return Matte(values)
        if self._is_photograph:
            values = np.empty(frame.layout.plane_shapes[0], np.uint8)
            refine_photograph(frame, steady, _MIDDLE, _GAIN, values)
            return Matte(values)
        half = history.steady_half if steady is whole else halved(steady)
        kinds, coverage = np.empty(half.shape, np.uint8), np.empty(steady.shape, np.uint8)
        maps = history.maps()
        guide(
            history.reference_half,
            half,
            history.reference,
            kinds,
            maps,
            coverage,
            flat=_FLAT,
            middle=_MIDDLE,
            gain=_GAIN,
            beside=1 + -(-CHUNK * steady.shape[1] // (2 * frame.size[0])),
        )
        noise = _NOISE_SIGMAS * self._noise_of(frame)
        luma = frame.planes[0]
        return TiledMatte(Guide(maps[0], maps[1], maps[2], kinds, luma, noise, coverage))

    def _with_kept(self, frame: Frame, steady: Floats) -> Floats:
        """Add what of the room is to stay."""
        evidence = self._evidence
        nothing = np.zeros(frame.half_planes.shape[1:], np.float32)
        kept = self._kept.apply(nothing, evidence.plate, evidence.similarity, frame.layout)
        self._kept_now = kept
        height, width = steady.shape
        return np.asarray(np.maximum(steady, cv2.resize(kept, (width, height))), np.float32)

    def _noise_of(self, frame: Frame) -> float:
        """Estimate the standard deviation of the camera's noise, in 8-bit levels."""
        if self._frames % _NOISE_EVERY < 2:  # of two frames in a row
            dots = frame.planes[0][::_GRID, ::_GRID].copy()
            if self._dots is not None and self._frames % _NOISE_EVERY == 1:
                median = float(np.median(cv2.absdiff(dots, self._dots)))
                self._noise += _NOISE_FOLLOW * (median / _MEDIAN_OF_DIFFERENCES - self._noise)
            self._dots = dots
        return self._noise


class _History:
    """A steadied matte, the picture that it belongs to, and for how long it has stood still."""

    def __init__(self, frame: Frame) -> None:
        self._shape = shape = frame.small_planes[0].shape
        half = half_of(shape)
        whole, part = math.prod(shape), math.prod(half)
        self._memory = np.zeros(whole + 3 * part, np.float32)
        # The matte on the working grid, and it and the picture on the half grid.
        self.steady: Floats = self._memory[:whole].reshape(shape)
        halves = self._memory[whole:].reshape(3, *half)
        self.steady_half, self.reference_half = halves[0], halves[1]
        # The picture on the working grid, in 128ths of a level.
        self.reference = np.zeros(shape, np.int16)
        self._maps: Floats = np.empty((0, 0, 0), np.float32)
        self._alone = 0  # references to them while nobody else has any

    def follow(
        self,
        frame: Frame,
        found: Found,
        probability: Floats | None,
        smoothing: float,
        is_nobody: bool,  # noqa: FBT001
    ) -> Box | None:
        """Move the matte toward what is found in a new frame; return where anybody is then."""
        box = settle(
            self._memory,
            self.reference,
            found.coarse,
            found.half,
            probability,
            frame.half_planes[0],
            frame.small_planes[0],
            surest=1.0 if probability is None else _SUREST,
            still=_STILL,
            least=1 - smoothing,
            is_nobody=is_nobody,
        )
        return doubled(*box, self._shape) if any(box) else None

    def weighted(self, weights: Floats) -> Box | None:
        """Multiply the matte with weights; return where anybody is then."""
        steady = self.steady
        steady *= weights
        rest = Found.everywhere(steady)
        self.steady_half[...] = rest.half
        return rest.extent

    def maps(self) -> Floats:
        """Return memory for a guided matte, (3, H, W) float32: the last if nobody else has it.

        It is 0, or what it was made with: always a number, as it is multiplied with weights of 0.
        """
        if self._maps.shape[1:] != self._shape or self._references > self._alone:
            self._maps = np.zeros((3, *self._shape), np.float32)
            self._alone = self._references
        return self._maps

    @property
    def _references(self) -> int:
        return sys.getrefcount(self._maps)


def _looked(part: Frame, look: Look, *, is_mirrored: bool) -> Floats:
    """Look at a part of a frame, or at its mirror image."""
    if not is_mirrored:
        return look(part)
    planes = tuple(np.ascontiguousarray(plane[:, ::-1]) for plane in part.planes)
    return look(Frame(planes, part.layout).at(part))[:, ::-1]
