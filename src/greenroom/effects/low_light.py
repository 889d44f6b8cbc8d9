"""Low light: a tone curve that brightens dark pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.cuda import calls
from greenroom.effects.effect_kernels import scale_chroma, tone_rgb
from greenroom.media.frame import Frame
from greenroom.media.resampling import halve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Plane
    from greenroom.media.layout import Layout

__all__ = ["LowLight", "Tone", "brightened", "brightness"]

# Mean brightness, as a share of white, to which dark pictures are raised: about that of well lit
# webcam pictures. Brighter ones stay unchanged.
_TARGET: Final = 0.40
# Largest slope at black, two stops: darker samples are noise.
_MAX_GAIN: Final = 4.0
# Percentiles outside of which samples are clipped: lamps and windows do not represent the light.
_TRIM: Final = (0.05, 0.95)
# Number of rows of the small planes that are sampled, with columns in proportion.
_SAMPLED_ROWS: Final = 96
# Log difference from which the curve starts to move, and within which it stops: so it stands still
# for a still picture.
_DEAD_ZONE: Final = math.log(13 / 12)
_ARRIVED: Final = math.log(1.01)
# Time constant of changes, and duration of a frame without a time.
_SETTLE_S: Final = 1.0
_FRAME_S: Final = 1 / 30
# Unit of chroma gains, in 64ths: 255 is nearly four.
_CHROMA_UNIT: Final = 64


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone curve for one layout.

    Attributes
    ----------
    curve : (256,) float32
        Luma for every sample of luma.
    gain : (256,) float32
        Factor of chroma for every sample of luma: the square root of luma's factor, because
        noise has more colour than dark objects.
    """

    curve: NDArray[np.float32]
    gain: NDArray[np.float32]

    @classmethod
    def of(cls, layout: Layout, exponent: float) -> Tone:
        """Bend luma up from black: ``1 - (1 - luma) ** exponent``, which leaves white alone."""
        black, white = _range(layout)
        luma = (np.arange(256) - black) / (white - black)
        inside = np.clip(luma, 0, 1)
        bent = 1 - (1 - inside) ** exponent
        ratio = np.divide(bent, inside, out=np.full(256, float(exponent)), where=inside > 0)
        curve = np.clip(black + (bent + luma - inside) * (white - black), 0, 255)
        return cls(curve.astype(np.float32), np.sqrt(ratio).astype(np.float32))


class LowLight:
    """Brightens dark frames.

    State: the exponent of the curve, which follows the frames' brightness over about a second of
    their time. The first frame gets its own at once.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames."""
        self._settled: float | None = None
        self._moves = False
        self._time_s: float | None = None

    def apply(self, frame: Frame, strength: float) -> Frame:
        """Return a frame brightened.

        Parameters
        ----------
        frame : Frame
            Read only.
        strength : float
            0 to 1: share of the missing brightness that is added, in stops.

        Returns
        -------
        Frame
            The frame itself if it is bright enough; otherwise new memory, with its time.
        """
        self._follow(_missing(brightness(frame)), frame.time_s)
        exponent = math.exp(strength * (self._settled or 0.0))
        return frame if exponent < 1 + _ARRIVED else brightened(frame, exponent)

    def _follow(self, wanted: float, time_s: float | None) -> None:
        passed_s = _FRAME_S
        if time_s is not None and self._time_s is not None:
            passed_s = max(0.0, time_s - self._time_s)
        self._time_s = time_s
        if self._settled is None:
            self._settled = wanted
        distance = wanted - self._settled
        self._moves = abs(distance) > (_ARRIVED if self._moves else _DEAD_ZONE)
        if self._moves:
            self._settled -= math.expm1(-passed_s / _SETTLE_S) * distance


def brightness(frame: Frame) -> float:
    """Return the trimmed mean luma of a frame, as a share of white."""
    step = max(1, min(frame.small_planes[0].shape) // _SAMPLED_ROWS)
    used = frame.small_planes if frame.format == "gbrp" else frame.small_planes[:1]
    smalls: tuple[Plane, ...] = calls.on_host(*used)
    luma = smalls[0][::step, ::step]
    if frame.format == "gbrp":
        planes = np.stack([plane[::step, ::step] for plane in smalls])
        weighted = np.tensordot(_coefficients(frame.layout), planes, 1)
        luma = np.rint(weighted).astype(np.uint8)
    counts = np.bincount(luma.ravel(), minlength=256)
    low, high = np.searchsorted(np.cumsum(counts), luma.size * np.array(_TRIM))
    black, white = _range(frame.layout)
    mean = float(counts @ np.clip(np.arange(256), low, high)) / luma.size
    return min(max((mean - black) / (white - black), 0.0), 1.0)


def brightened(frame: Frame, exponent: float) -> Frame:
    """Return a frame with its luma bent up from black, and its colours with it.

    Parameters
    ----------
    frame : Frame
        Read only.
    exponent : float
        The slope at black, 1 or more; see `Tone`.

    Returns
    -------
    Frame
        The same layout and time, in new memory.
    """
    layout = frame.layout
    tone = Tone.of(layout, exponent)
    result = Frame.empty(layout, device=frame.device)
    if layout.format == "gbrp":
        green, blue, red = frame.planes
        weights = _coefficients(layout)
        tone_rgb(green, blue, red, weights, tone.curve, tone.gain, *result.planes)
        return result.at(frame)
    luma = frame.planes[0]
    _look_up(luma, np.rint(tone.curve).astype(np.uint8), result.planes[0])
    gains = np.rint(np.minimum(_CHROMA_UNIT * tone.gain, 255)).astype(np.uint8)
    gain: Plane | None = None
    for plane, target in zip(frame.planes[1:], result.planes[1:], strict=True):
        if gain is None:
            gain = calls.empty(plane.shape, plane)
            _look_up(_at(luma, plane.shape), gains, gain)
        scale_chroma(plane, gain, target)
    return result.at(frame)


def _missing(brightness: float) -> float:
    """Return the logarithm of the exponent that raises a brightness to the target."""
    if brightness >= _TARGET:
        return 0.0
    exponent = math.log1p(-_TARGET) / math.log1p(-max(brightness, 1e-3))
    return math.log(min(exponent, _MAX_GAIN))


def _look_up(plane: Plane, table: Plane, out: Plane) -> None:
    if calls.on_device(plane):
        calls.look_up(plane, table, out)
    else:
        cv2.LUT(plane, table, out)


def _at(luma: Plane, shape: tuple[int, ...]) -> Plane:
    """Return luma at the resolution of a plane of chroma."""
    if luma.shape == shape:
        return luma
    half: Plane = calls.empty(shape, luma)
    halve(luma, half)
    return half


def _coefficients(layout: Layout) -> NDArray[np.float32]:
    """Return the weights of green, blue and red in luma."""
    red, blue = layout.colour.luma_coefficients(layout.size)
    return np.array([1 - red - blue, blue, red], np.float32)


def _range(layout: Layout) -> tuple[int, int]:
    """Return the samples of black and white in a plane that is not chroma."""
    return layout.samples(0, 0, 0)[0], layout.samples(255, 255, 255)[0]
