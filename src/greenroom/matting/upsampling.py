"""Steps that make the full-size matte: moved to the picture's edges, and shaped as asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.compositing.tiled_matte import GuidedMatte, TiledMatte
from greenroom.compositing.tiles import CHUNK, Guide
from greenroom.cuda import calls
from greenroom.matting.detection import halved
from greenroom.matting.guided_kernels import guide
from greenroom.matting.photograph import refine_photograph
from greenroom.matting.shaping import hardened, shifted, softened
from greenroom.matting.step import Step
from greenroom.media.matte import Matte
from greenroom.media.resampling import upsample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.cuda import Device
    from greenroom.matting.step import Work
    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

    Bytes = NDArray[np.uint8]

__all__ = ["Hardening", "Upsampling"]

# The guided filter's regularisation, in squared 8-bit levels: luma that varies less is flat.
_FLAT: Final = 3e-3 * 255**2
# The coverage that becomes one half, and how much steeper the edge is made around it, which the
# model and the filter make too soft. A little more than one half: rather lose a hair than show
# the room.
_MIDDLE: Final = 0.52
_GAIN: Final = 1.25
# Luma within this many standard deviations of the camera's noise is no detail.
_NOISE_SIGMAS: Final = 2.5
# Spacing in pixels of the samples that the noise is estimated from; the period of estimates in
# frames; the weight of each in the exponential moving average; and its first value, in levels.
_NOISE_STRIDE_PX: Final = 16
_NOISE_PERIOD: Final = 8
_NOISE_WEIGHT: Final = 0.3
_INITIAL_NOISE: Final = 1.0
# Median of the absolute difference of two normally distributed numbers, in standard deviations.
_MEDIAN_DIFFERENCE: Final = 0.9539


class Upsampling(Step):
    """Brings the matte to full size: guided, or only enlarged where a soft edge is asked for.

    Parameters
    ----------
    settings : Settings
        Shift and softness of the edge.
    is_guided : bool
        Move the edge to the picture's own.

    State: the estimate of the camera's noise.
    """

    def __init__(self, settings: Settings, *, is_guided: bool) -> None:
        self._shift = settings.edge_shift / 100
        self._softness = settings.edge_softness / 100
        self._is_guided = is_guided and settings.edge_softness <= 0
        self._noise = _NoiseEstimate()

    def reset(self) -> None:
        """See `Step.reset`."""
        self._noise.reset()

    def take_over(self, previous: Upsampling) -> None:
        """See `Step.take_over`."""
        self._noise = previous._noise

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        frame = work.frame
        if self._shift:
            work.coarse = shifted(calls.on_host(work.coarse)[0], self._shift, frame.size)
        coarse = work.coarse
        if self._is_guided and min(coarse.shape) > 1 and not work.is_photograph:
            device = None if work.there is None else work.there.device
            work.matte = self._guided(work) if device is None else self._guided_on(device, work)
            return
        (coarse,) = calls.on_host(coarse)
        values = np.empty(frame.layout.plane_shapes[0], np.uint8)
        if self._is_guided and min(coarse.shape) > 1:
            refine_photograph(frame, coarse, _MIDDLE, _GAIN, values)
        else:
            upsample(softened(coarse, self._softness, frame.size), values)
        work.matte = Matte(values)

    def _guided(self, work: Work) -> Matte:
        """Return the matte by a guided filter with the frame's luma."""
        frame, coarse, history = work.frame, work.coarse, work.history
        half = history.steady_half if coarse is history.steady else halved(coarse)
        kinds, coverage = np.empty(half.shape, np.uint8), np.empty(coarse.shape, np.uint8)
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
            beside=1 + -(-CHUNK * coarse.shape[1] // (2 * frame.size[0])),
        )
        noise = self._noise_of(work)
        luma = frame.planes[0]
        return TiledMatte(Guide(maps[0], maps[1], maps[2], kinds, luma, noise, coverage))

    def _guided_on(self, device: Device, work: Work) -> Matte:
        """Return the same made on a device, where the history is."""
        assert work.there is not None
        coarse, history = work.coarse, work.history
        half: Any = history.steady_half
        if coarse is not history.steady:  # changed by the host
            (half,) = device.upload(halved(coarse))
        given: Any = (history.reference_half, half, history.reference)
        kinds, coverage = device.empties([half.shape, coarse.shape])
        maps = device.empty((3, *coarse.shape), np.float32)
        written: Any = (kinds, maps, coverage)
        guide(*given, *written, flat=_FLAT, middle=_MIDDLE, gain=_GAIN, beside=1)
        luma = work.there.planes[0]
        values = calls.guided_matte(tuple(maps), kinds, luma, self._noise_of(work))
        return GuidedMatte(values, written[2])

    def _noise_of(self, work: Work) -> float:
        """Return the difference of luma that counts as the camera's noise."""
        return _NOISE_SIGMAS * self._noise.follow(work.grids, work.number + 1)


class _NoiseEstimate:
    """Exponential moving average of the camera's noise, from pairs of frames in a row.

    State: the estimate, which a reset keeps, and samples of the first frame of a pair.
    """

    def __init__(self) -> None:
        self._sigma = _INITIAL_NOISE
        self._samples: Bytes | None = None

    def reset(self) -> None:
        """Forget the first frame of a pair."""
        self._samples = None

    def follow(self, frame: Frame, number: int) -> float:
        """Return the standard deviation of the noise in 8-bit levels; ``number`` counts frames."""
        if number % _NOISE_PERIOD < 2:  # a pair of frames in a row
            samples = _samples_of(frame.planes[0])
            if self._samples is not None and number % _NOISE_PERIOD == 1:
                median = float(np.median(cv2.absdiff(samples, self._samples)))
                self._sigma += _NOISE_WEIGHT * (median / _MEDIAN_DIFFERENCE - self._sigma)
            self._samples = samples
        return self._sigma


def _samples_of(luma: Bytes) -> Bytes:
    """Return samples of luma that are evenly apart, in new memory of the host."""
    if calls.on_device(luma):
        samples: Bytes = calls.on_host(calls.samples(luma, _NOISE_STRIDE_PX))[0]
        return samples
    return luma[::_NOISE_STRIDE_PX, ::_NOISE_STRIDE_PX].copy()


class Hardening(Step):
    """Makes the matte hard at a threshold, if there is one.

    State: the last hard matte, for the hysteresis.
    """

    def __init__(self, threshold: float | None) -> None:
        self._threshold = threshold
        self._last: Bytes | None = None

    def reset(self) -> None:
        """See `Step.reset`."""
        self._last = None

    def apply(self, work: Work) -> None:
        """See `Step.apply`."""
        if self._threshold is not None:
            values = work.matte.downloaded().values
            self._last = hardened(values, self._threshold, self._last)
            work.matte = Matte(self._last)
