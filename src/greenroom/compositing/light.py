"""Light of the scene on the person: light wrap at their edge, and matched exposure and colour.

Both are off by default. With a transparent background there is no scene, and neither has any
effect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from greenroom.compositing.blend_kernels import spill
from greenroom.cuda import calls
from greenroom.media.frame import Frame
from greenroom.media.resampling import shrink

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.layout import Layout
    from greenroom.media.matte import Matte

    Floats = NDArray[np.float32]

__all__ = ["LightMatch", "wrap_light"]

# Standard deviation of the light over the edge, as a share of the shorter side.
_BLUR_SIGMA: Final = 0.02
# Shorter side at which it is blurred, at most; nothing is lost of so smooth a picture.
_BLUR_SIZE_PX: Final = 128

# The person follows the scene's brightness by this exponent: between lit rooms and sunlight
# cameras have evened out the rest already.
_EXPOSURE: Final = 0.5
_MIN_GAIN, _MAX_GAIN = 0.7, 1.4
# Share of the difference by which white balance follows, and its limits: in 8-bit levels of chroma,
# and as a ratio of red, green and blue. More would leave the range of skin.
_CAST: Final = 0.4
_MAX_SHIFT: Final = 8.0
_MAX_RATIO: Final = 1.08
# Percentiles outside of which samples are clipped: extremes do not represent a scene's light.
_TRIM: Final = (0.05, 0.95)
# Stride of the samples of the small planes, in each direction.
_STRIDE: Final = 2
# Visible share below which the room does not count; the person is compared instead.
_MIN_ROOM: Final = 0.02
# Time constant of changes, and duration of a frame without a time.
_SETTLE_S: Final = 1.0
_FRAME_S: Final = 1 / 30


def wrap_light(result: Frame, matte: Matte, background: Frame, strength: float) -> None:
    """Let the background's light fall over the person's edge.

    The blurred background is added where it is lighter than the person, weighted by its
    brightness times the blurred inverse matte: it falls off within
    about 4 % of the shorter side. Samples where the matte is 0 stay as they are.

    Parameters
    ----------
    result : Frame
        The composite of that matte and background, without alpha; changed in place.
    matte : Matte
        Of its size. Read only.
    background : Frame
        Of equal layout. Read only.
    strength : float
        0 to 1.
    """
    height, width = matte.shape
    scale = min(1.0, _BLUR_SIZE_PX / min(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    sigma = max(_BLUR_SIGMA * min(height, width) * scale, 0.5)
    smalls = background.small_planes
    coverage, *planes = calls.on_host(matte.reduced_to(smalls[0].shape), *smalls)
    clear = 255 - _reduced(coverage, size)
    lights = [_blurred(_reduced(plane, size), 2 * sigma) for plane in planes]
    black, white = _range(result.layout)
    brightness = np.clip((lights[0] - black) / (white - black), 0, 1)
    # At an edge half of the blurred inverse matte is left: there the light has full strength.
    near = np.minimum(_blurred(clear, sigma) * (2 / 255), 1)
    weight = np.asarray(strength * near * brightness, np.float32)
    grids: Any = (weight, *lights)
    if result.device is not None:
        grids = result.device.upload(*grids)
    share, *lights = grids
    for index, (target, behind, light) in enumerate(
        zip(result.planes, background.planes, lights, strict=True)
    ):
        only_lighter = not _is_chroma(result.layout, index)
        spill(light, share, behind, matte.for_plane(target.shape), only_lighter, target)


class LightMatch:
    """Moves the person's exposure and white balance toward the scene they are put into.

    The light of the old room and that of the background are compared by trimmed means. The
    person becomes brighter or darker by the square root of the ratio, 0.7 to 1.4 times; the
    colour cast follows by less than half, 8 levels at most. Over a blur of the room itself that
    is nearly nothing.

    State: the present change, which settles over about a second of the frames' time. The first
    frame takes the wanted change at once.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._settled: NDArray[np.float64] | None = None
        self._layout: Layout | None = None
        self._time_s: float | None = None

    def match(
        self, frame: Frame, matte: Matte, background: Frame, strength: float, person: Frame
    ) -> Frame:
        """Return the person in the background's light.

        Parameters
        ----------
        frame : Frame
            The camera's frame.
        matte : Matte
            Of its size.
        background : Frame
            Of equal layout.
        strength : float
            0 to 1.
        person : Frame
            The frame to change: the camera's, or the person's own colours in it.

        Returns
        -------
        Frame
            New memory, with the person's time.
        """
        if frame.layout != self._layout:
            self.reset()
            self._layout = frame.layout
        wanted = _wanted(frame, matte, background)
        change = self._settle(wanted, frame.time_s)
        result = Frame.empty(person.layout, device=person.device)
        for index, (plane, target) in enumerate(zip(person.planes, result.planes, strict=True)):
            table = _table(person.layout, index, strength * float(change[index]))
            if person.device is not None:
                calls.look_up(plane, table, target)
            else:
                cv2.LUT(plane, table, target)
        return result.at(person)

    def _settle(self, wanted: NDArray[np.float64], time_s: float | None) -> NDArray[np.float64]:
        """Return the change, moved toward the wanted one by the time that has passed."""
        passed_s = _FRAME_S
        if time_s is not None and self._time_s is not None:
            passed_s = max(0.0, time_s - self._time_s)
        self._time_s = time_s
        if self._settled is None:
            self._settled = wanted
        else:
            share = -math.expm1(-passed_s / _SETTLE_S)
            self._settled = self._settled + share * (wanted - self._settled)
        return self._settled


def _wanted(frame: Frame, matte: Matte, background: Frame) -> NDArray[np.float64]:
    """Return the wanted change for each plane: the logarithm of a gain, or a shift of chroma."""
    olds, news = [], []
    pictures = (calls.on_host(*one.small_planes) for one in (frame, background))
    for old, new in zip(*pictures, strict=True):
        (small,) = calls.on_host(matte.reduced_to(old.shape))
        coverage = small[::_STRIDE, ::_STRIDE]
        seen = coverage == 0
        if seen.mean() < _MIN_ROOM:
            seen = coverage == coverage.max()
        olds.append(_trimmed_mean(old[::_STRIDE, ::_STRIDE][seen]))
        news.append(_trimmed_mean(new[::_STRIDE, ::_STRIDE].ravel()))
    black, _ = _range(frame.layout)
    result = np.zeros(len(olds))
    if frame.layout.format == "gbrp":
        ratios = np.log(
            [max(new, 1.0) / max(old, 1.0) for old, new in zip(olds, news, strict=True)]
        )
        cast = _CAST * (ratios - ratios.mean())
        limit = math.log(_MAX_RATIO)
        result[:] = _bounded_gain(float(ratios.mean())) + np.clip(cast, -limit, limit)
        return result
    result[0] = _bounded_gain(math.log(max(news[0] - black, 1.0) / max(olds[0] - black, 1.0)))
    shifts = _CAST * (np.array(news[1:]) - np.array(olds[1:]))
    result[1:] = np.clip(shifts, -_MAX_SHIFT, _MAX_SHIFT)
    return result


def _bounded_gain(ratio: float) -> float:
    """Return the log gain for a log ratio of brightness."""
    return min(max(_EXPOSURE * ratio, math.log(_MIN_GAIN)), math.log(_MAX_GAIN))


def _table(layout: Layout, index: int, change: float) -> NDArray[np.uint8]:
    """Return the lookup table of a plane.

    Darkening scales light; brightening bends the curve up from black and leaves white where it
    is, so that nothing is burnt out.
    """
    samples = np.arange(256, dtype=np.float64)
    if _is_chroma(layout, index):
        changed = samples + change
    else:
        black, white = _range(layout)
        light = (samples - black) / (white - black)
        gain = math.exp(change)
        inside = np.clip(light, 0, 1)
        bent = inside * gain if gain < 1 else 1 - (1 - inside) ** gain
        changed = black + (bent + light - inside) * (white - black)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def _trimmed_mean(samples: NDArray[np.uint8]) -> float:
    """Return the mean with samples outside of the middle 90 % clipped to it."""
    counts = np.bincount(samples, minlength=256)
    low, high = np.searchsorted(np.cumsum(counts), len(samples) * np.array(_TRIM))
    return float(counts @ np.clip(np.arange(256), low, high)) / len(samples)


def _is_chroma(layout: Layout, index: int) -> bool:
    return index > 0 and layout.format.startswith("yuv")


def _range(layout: Layout) -> tuple[int, int]:
    """Return the samples of black and white in a plane that is not chroma."""
    return layout.samples(0, 0, 0)[0], layout.samples(255, 255, 255)[0]


def _reduced(plane: NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    if plane.shape[0] < size[1] or plane.shape[1] < size[0]:
        return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
    reduced = np.empty(size[::-1], np.float32)
    shrink(plane, reduced)
    return reduced


def _blurred(values: Floats, sigma: float) -> Floats:
    # Not cv2.GaussianBlur: OpenCV's worker threads spin long after.
    weights = cv2.getGaussianKernel(2 * math.ceil(3 * sigma) + 1, sigma, cv2.CV_32F)
    blurred = cv2.sepFilter2D(values, -1, weights, weights, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)
