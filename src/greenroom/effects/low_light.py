"""A dark picture made brighter, as a camera would that opened its iris."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.effects.effect_kernels import scale_chroma, tone_rgb
from greenroom.media.frame import Frame
from greenroom.media.resampling import halve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.frame import Plane
    from greenroom.media.layout import Layout

__all__ = ["LowLight", "Tone", "brightened", "brightness"]

# The mean brightness, in shares of white, that a dark picture is brought up to: about that of
# well lit webcam pictures. Brighter ones stay as they are.
_ENOUGH: Final = 0.40
# Black's slope at the most: two stops. What is darker than that is noise.
_MOST_GAIN: Final = 4.0
# Darkest and brightest samples, such as lamps and windows, say nothing about the light.
_TRIM: Final = (0.05, 0.95)
# So many rows of the small planes, and as many samples of each in proportion, are enough.
_ROWS: Final = 96
# It starts to move when the picture asks for more than a twelfth more or less, and rests when
# that is nearly reached: so it stands still in a picture that does.
_DEAD: Final = math.log(13 / 12)
_REACHED: Final = math.log(1.01)
# Time constant of changes, and what a frame without a time stands for.
_SETTLE_S: Final = 1.0
_FRAME_S: Final = 1 / 30
# Gains of chroma are in 64ths, of which 255 are nearly four.
_CHROMA_UNIT: Final = 64


@dataclass(frozen=True, slots=True)
class Tone:
    """A tone curve for one layout.

    Attributes
    ----------
    curve : (256,) float32
        Luma for every sample of luma.
    gain : (256,) float32
        What chroma is multiplied by, for every sample of luma: the square root of what luma
        is, because noise has more colour than dark things have.
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
            0 to 1: how much of what is missing is added, in stops.

        Returns
        -------
        Frame
            The frame itself if it is bright enough; otherwise new memory, with its time.
        """
        self._follow(_missing(brightness(frame)), frame.time_s)
        exponent = math.exp(strength * (self._settled or 0.0))
        return frame if exponent < 1 + _REACHED else brightened(frame, exponent)

    def _follow(self, wanted: float, time_s: float | None) -> None:
        passed_s = _FRAME_S
        if time_s is not None and self._time_s is not None:
            passed_s = max(0.0, time_s - self._time_s)
        self._time_s = time_s
        if self._settled is None:
            self._settled = wanted
        distance = wanted - self._settled
        self._moves = abs(distance) > (_REACHED if self._moves else _DEAD)
        if self._moves:
            self._settled -= math.expm1(-passed_s / _SETTLE_S) * distance


def brightness(frame: Frame) -> float:
    """Return the mean luma of a frame in shares of white, without what is brightest or darkest."""
    step = max(1, min(frame.small_planes[0].shape) // _ROWS)
    luma = frame.small_planes[0][::step, ::step]
    if frame.format == "gbrp":
        planes = np.stack([plane[::step, ::step] for plane in frame.small_planes])
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
    result = Frame.empty(layout)
    if layout.format == "gbrp":
        green, blue, red = frame.planes
        weights = _coefficients(layout)
        tone_rgb(green, blue, red, weights, tone.curve, tone.gain, *result.planes)
        return result.at(frame)
    luma = frame.planes[0]
    cv2.LUT(luma, np.rint(tone.curve).astype(np.uint8), result.planes[0])
    gains = np.rint(np.minimum(_CHROMA_UNIT * tone.gain, 255)).astype(np.uint8)
    gain = None
    for plane, target in zip(frame.planes[1:], result.planes[1:], strict=True):
        gain = cv2.LUT(_at(luma, plane.shape), gains) if gain is None else gain
        scale_chroma(plane, np.asarray(gain, np.uint8), target)
    return result.at(frame)


def _missing(brightness: float) -> float:
    """Return the logarithm of the exponent that brings a brightness up to what is enough."""
    if brightness >= _ENOUGH:
        return 0.0
    exponent = math.log1p(-_ENOUGH) / math.log1p(-max(brightness, 1e-3))
    return math.log(min(exponent, _MOST_GAIN))


def _at(luma: Plane, shape: tuple[int, ...]) -> Plane:
    """Return luma at the resolution of a plane of chroma."""
    if luma.shape == shape:
        return luma
    half = np.empty(shape, np.uint8)
    halve(luma, half)
    return half


def _coefficients(layout: Layout) -> NDArray[np.float32]:
    """Return the weights of green, blue and red in luma."""
    red, blue = layout.colour.luma_coefficients(layout.size)
    return np.array([1 - red - blue, blue, red], np.float32)


def _range(layout: Layout) -> tuple[int, int]:
    """Return the samples of black and white in a plane that is not chroma."""
    return layout.samples(0, 0, 0)[0], layout.samples(255, 255, 255)[0]
