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

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.cuts import CutTest
from greenroom.errors import ImplausibleMatteError
from greenroom.frames import Frame, Matte
from greenroom.matting.cadence import Cadence, Rest
from greenroom.matting.edge_kernels import follow, guide, place, settle, sharpen
from greenroom.matting.evidence import Evidence
from greenroom.matting.following import Follower
from greenroom.matting.guided_kernels import classify, fit
from greenroom.matting.keep import KeptRegions
from greenroom.matting.newcomers import Newcomers
from greenroom.matting.people import PeopleFilter
from greenroom.matting.photograph import refine_photograph
from greenroom.matting.plate import CleanPlate
from greenroom.matting.plate_picture import check_shape, decode_plate, fitted_plate
from greenroom.matting.region import Box, RegionTracker, box_of, extent
from greenroom.matting.shaping import hardened, shifted, softened
from greenroom.resampling import upsample
from greenroom.settings import People

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.matting.base import Look, Matting
    from greenroom.settings import Settings

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

__all__ = ["RefinedMatting", "Steps"]

# A change of brightness up to which the picture stands still, in 8-bit levels: above the noise
# that is left after averaging, below what movement makes (docs/quality.md).
_STILL: Final = 3.0
_PIXEL: Final = (3, 3)
# What the model says for certain is believed so far, so that evidence may change it.
_SUREST: Final = 0.997
# Coverage from which there is somebody.
_SOMEBODY: Final = 0.5
# Every so many samples one is looked at to tell whether somebody fills the part that is looked at.
_STRIDE: Final = 4
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
    """

    region: bool = True
    colours: bool = True
    plate: bool = True
    guide: bool = True
    mirror: bool = False

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
        self.cadence = Cadence.EVERY
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
        coarse = self._found(frame, look)
        seen = self._settle(frame, coarse, history)
        self._history = history
        self._frames += 1
        self._region.follow(frame, extent(seen, history.steady))
        values = np.empty(frame.layout.plane_shapes[0], np.uint8)
        self._enlarge(frame, history, values)
        hard = hardened(values, self._settings.threshold, self._last)
        self._last = None if self._settings.threshold is None else hard
        return Matte(hard)

    def _found(self, frame: Frame, look: Look) -> Floats:
        """Return what the model finds, or what it found in the frame before where that is now."""
        known = self._frames >= _EAGER and frame.time_s is not None and self._rest.moving > 1
        if self.cadence is not Cadence.SECOND or not known:
            self._follower.reset()
            return self._coarse(frame, look)
        if not self._region.needs_whole(frame):
            followed = self._follower.follow(frame)
            if followed is not None:
                return followed
        coarse = self._coarse(frame, look)
        self._follower.found(frame, coarse)
        return coarse

    def _coarse(self, frame: Frame, look: Look) -> Floats:
        """Return what the model finds, on the working grid."""
        luma = frame.small_planes[0]
        whole = Box(0, 0, luma.shape[1], luma.shape[0])
        if not self._steps.region:
            return self._confirmed(frame, self._placed(frame, whole, look), look)
        region = self._region
        if region.needs_whole(frame):
            coarse = self._confirmed(frame, self._placed(frame, whole, look), look)
            region.found(frame, box_of(_halved(coarse), coarse))
            if region.box is None:
                return coarse
        assert region.box is not None  # noqa: S101 - without one the whole is needed
        coarse = self._confirmed(frame, self._placed(frame, region.box, look), look)
        if region.box == whole:
            return coarse
        is_full = np.min(coarse[region.box.slices][::_STRIDE, ::_STRIDE]) >= _SOMEBODY
        if is_full or extent(_halved(coarse), coarse) is None:  # too near, gone, or missed
            coarse = self._confirmed(frame, self._placed(frame, whole, look), look)
        return coarse

    def _confirmed(self, frame: Frame, coarse: Floats, look: Look) -> Floats:
        """Take from what was found who is not there, in place."""

        def look_at(box: Box, is_mirrored: bool) -> Floats:  # noqa: FBT001
            again = np.zeros_like(coarse)
            with suppress(ImplausibleMatteError):  # then they are not found in this look
                _put(_looked(frame.part(box), look, is_mirrored=is_mirrored), again[box.slices])
            return _halved(again)

        weights = self._newcomers.confirmed(
            frame, _halved(coarse), look_at, photograph=self._is_photograph
        )
        if weights is not None:
            height, width = coarse.shape
            coarse *= cv2.resize(weights, (width, height), interpolation=cv2.INTER_LINEAR)
        return coarse

    def _placed(self, frame: Frame, box: Box, look: Look) -> Floats:
        """Look at a part, and put what is found where it belongs; elsewhere nobody is."""
        part = frame.part(box)
        found = look(part)
        if self._steps.mirror or self._is_photograph:
            found = (found + _looked(part, look, is_mirrored=True)) / np.float32(2)
        coarse = np.zeros(frame.small_planes[0].shape, np.float32)
        _put(found, coarse[box.slices])
        return coarse

    def _recorded(self, frame: Frame) -> CleanPlate | None:
        """Read the room that the settings name."""
        if self._room is None:
            return None
        picture = fitted_plate(self._room, self._settings.plate, frame.size)
        return CleanPlate.from_picture(picture, frame.layout)

    def _settle(self, frame: Frame, coarse: Floats, history: _History) -> Floats:
        """Weigh the evidence, and follow the result over time; return where anybody is."""
        prior = _halved(coarse)
        self._newcomers.follow(prior)
        if self._steps.evidence:
            probability = self._evidence.weigh(frame, prior)
        else:
            probability = np.full(prior.shape, 0.5, np.float32)
        weights = self._people.weights(coarse, frame)
        self._left_out = None
        if weights is not None:
            coarse *= weights
            if self._people.people is People.MAIN:
                self._left_out = np.maximum(prior - _halved(coarse), 0)
        share = history.share(frame, self._settings.smoothing)
        surest = _SUREST if self._steps.evidence else 1.0
        luma = frame.small_planes[0]
        settle(coarse, surest, probability, share, luma, history.steady, history.reference)
        if cv2.minMaxLoc(coarse)[1] < _SOMEBODY:  # nobody, so nothing is left of who was there
            history.steady[...] = 0
        elif weights is not None and self._people.people is People.ALL:
            history.steady *= weights  # nor is anything that is far from all of them
        history.steady_half = _halved(history.steady)
        # Those who are not shown are no part of the room, either.
        everybody = np.maximum(prior, history.steady_half)
        # Every second frame once something is known: neighbouring frames tell much the same.
        if self._steps.evidence and (self._frames < _EAGER or self._frames % 2):
            self._evidence.learn(frame, everybody)
        return everybody if self._people.people is People.MAIN else history.steady_half

    def _enlarge(self, frame: Frame, history: _History, values: Bytes) -> None:
        """Make the matte at full size: guided, or where a soft edge is asked for, only enlarged."""
        settings = self._settings
        steady = history.steady
        if settings.keep_region is not None:
            steady = self._with_kept(frame, steady)
        steady = shifted(steady, settings.edge_shift / 100, frame.size)
        if not self._steps.guide or settings.edge_softness > 0 or min(steady.shape) == 1:
            upsample(softened(steady, settings.edge_softness / 100, frame.size), values)
            return
        if self._is_photograph:
            refine_photograph(frame, steady, _MIDDLE, _GAIN, values)
            return
        half = history.steady_half if steady is history.steady else _halved(steady)
        slopes, offsets = np.empty_like(half), np.empty_like(half)
        fit(history.reference_half, half, _FLAT, slopes, offsets)
        kinds = np.empty(half.shape, np.uint8)
        classify(slopes, offsets, 255.0, _MIDDLE - 0.5 / _GAIN, _MIDDLE + 0.5 / _GAIN, kinds)
        base, slope = np.empty_like(steady), np.empty_like(steady)
        guide(slopes, offsets, history.reference, _MIDDLE, _GAIN, base, slope)
        core = _NOISE_SIGMAS * self._noise_of(frame)
        sharpen(base, slope, history.reference, kinds, frame.planes[0], core, values)

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
        shape = frame.small_planes[0].shape
        half = frame.half_planes[0].shape
        self.steady = np.zeros(shape, np.float32)
        self.reference = np.zeros(shape, np.float32)
        self.steady_half = np.zeros(half, np.float32)
        self.reference_half = np.zeros(half, np.float32)
        self._age = np.zeros(half, np.float32)

    def share(self, frame: Frame, smoothing: float) -> Floats:
        """Return how far the matte is to move toward a new frame's, on the half grid."""
        luma = frame.half_planes[0]
        change = cv2.blur(cv2.absdiff(luma.astype(np.float32), self.reference_half), _PIXEL)
        share = np.empty_like(self._age)
        follow(change, luma, _STILL, 1 - smoothing, self._age, self.reference_half, share)  # type: ignore[arg-type]
        return share


def _looked(part: Frame, look: Look, *, is_mirrored: bool) -> Floats:
    """Look at a part of a frame, or at its mirror image."""
    if not is_mirrored:
        return look(part)
    planes = tuple(np.ascontiguousarray(plane[:, ::-1]) for plane in part.planes)
    return look(Frame(planes, part.layout).at(part))[:, ::-1]


def _put(found: Floats, target: Floats) -> None:
    """Put an answer in its place on the working grid."""
    if found.shape[0] > target.shape[0] and found.shape[1] > target.shape[1]:
        size = target.shape[1], target.shape[0]
        target[...] = cv2.resize(found, size, interpolation=cv2.INTER_AREA)
    else:
        place(np.ascontiguousarray(found), target)


def _halved(values: Floats) -> Floats:
    """Take the mean of every 2x2 samples; the last row and column repeat if odd."""
    height, width = values.shape
    if height % 2 or width % 2:
        values = np.pad(values, ((0, height % 2), (0, width % 2)), mode="edge")
    return cv2.resize(  # type: ignore[return-value]
        values, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA
    )
