"""Chroma key: a person in front of a green screen, or one of any other saturated colour.

Works on the chroma of a frame's planes, without a network. Every sample is a mixture of the local
screen colour and the local foreground colour [1]_; as both are estimated around it, uneven light on
the screen does no harm. The foreground is assumed to be free of the screen's colour, so the mixture
can be inverted.

References
----------
.. [1] A. R. Smith and J. F. Blinn, "Blue Screen Matting", SIGGRAPH 1996.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.errors import FormatError, SettingsError
from greenroom.media.frame import Frame
from greenroom.media.resampling import halve
from greenroom.media.timings import Timings
from greenroom.segmenters.chroma_kernels import CELL, STATISTICS, add, changes, coverage, statistics
from greenroom.segmenters.chroma_screen import MIN_CHROMA, KeyFinder, ScreenModel
from greenroom.segmenters.segmenter import Segmenter, SegmenterInfo
from greenroom.specs import rgb_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.layout import Layout

    Plane = NDArray[np.uint8]
    Planes = tuple[Plane, Plane, Plane]
    Floats = NDArray[np.float32]

__all__ = ["ChromaSegmenter"]

# Upper bound of the coarse matte's longer side: that of the chroma of 1920x1080.
_LONGEST_PX: Final = 960

# Full-range BT.601 for RGB frames (any matrix would do): from the planes G, B, R to Y, Cb, Cr, and
# from differences of Y, Cb, Cr to those of G, B, R. Differences are stored with 128 added.
_TO_YUV: Final = np.array(
    [
        [0.587, 0.114, 0.299, 0],
        [-0.331264, 0.5, -0.168736, 128],
        [-0.418688, -0.081312, 0.5, 128],
    ]
)
_FROM_YUV: Final = np.array([[1, -0.344136, -0.714136], [1, 1.772, 0], [1, 0, 1.402]])


class ChromaSegmenter(Segmenter):
    """Segmenter for a person in front of a screen of one colour.

    Parameters
    ----------
    key_color : str, optional
        The screen's colour, a CSS name or ``#rrggbb``. Only its hue counts, as saturation varies
        with the light. By default it is estimated from the upper, left and right borders of the
        first frames.
    timings : Timings, optional
        Receives the stage "foreground".

    Raises
    ------
    SettingsError
        If it is no colour, or one too close to gray.

    State: the screen's colour until `reset` or a change of layout, and the screen model of the last
    frame.
    """

    def __init__(self, key_color: str | None = None, timings: Timings | None = None) -> None:
        self.info = SegmenterInfo("chroma", "", "greenroom", "cpu", 1)
        self._rgb = None if key_color is None else rgb_of(key_color, "key_color")
        self._timings = timings or Timings()
        self._layout: Layout | None = None
        self._finder = KeyFinder()
        self._key: Floats | None = None
        self._model: ScreenModel | None = None
        if self._rgb is not None and math.hypot(*_chroma_of(self._rgb)) < MIN_CHROMA:
            message = (
                f"the colour '{key_color}' is too near to gray to tell a person from it: "
                "key_color is that of a screen, such as #00b140"
            )
            raise SettingsError(message, "key_color")

    makes_mattes = True
    remembers = False

    def segment(self, frame: Frame) -> NDArray[np.float32]:
        """See `Segmenter.segment`; at the size of the chroma, halved until small enough.

        Raises
        ------
        ModelOutputError
            If no screen is visible.
        FormatError
            If the frame is gray.
        """
        self._model = None
        if frame.layout != self._layout:
            self.reset()
            self._layout = frame.layout
        luma, c_b, c_r = _planes_at_chroma_size(frame)
        key = self._key_for(frame.layout, c_b, c_r)
        height, width = c_b.shape
        cells = np.empty((STATISTICS, -(-height // CELL), -(-width // CELL)), np.float32)
        statistics(luma, c_b, c_r, key, cells)
        model = ScreenModel.of(cells, key, c_b.size)
        coarse = np.empty((height, width), np.float32)
        coverage(c_b, c_r, model.key, model.maps, coarse)
        self._model = model
        return coarse

    def foreground(self, frame: Frame) -> Frame | None:
        """See `Segmenter.foreground`: the frame despilled, in new memory.

        In mixed samples the screen's share is replaced by the local foreground colour, in all
        planes. Then chroma is limited in the direction of the screen's colour, against light that
        the screen reflects onto the person.
        """
        model = self._model
        if model is None:
            return None
        with self._timings.stage("foreground"):
            _, c_b, c_r = _planes_at_chroma_size(frame)
            height, width = c_b.shape
            added = np.empty((3, height, width), np.uint8)
            changes(c_b, c_r, model.key, model.maps, added)
            return _with_changes(frame, added)

    def reset(self) -> None:
        """See `Segmenter.reset`: an estimated colour is estimated anew."""
        self._layout = self._key = self._model = None
        self._finder.reset()

    def close(self) -> None:
        """See `Segmenter.close`."""
        self.reset()

    def _key_for(self, layout: Layout, c_b: Plane, c_r: Plane) -> Floats:
        """Return the unit vector of the screen's chroma (Cb, Cr), and its length."""
        if self._key is None or not self._finder.is_done:
            self._key = None
            picked = None if self._rgb is None else _chroma_of(self._rgb, layout)
            self._key = _as_key(*self._finder.look(c_b, c_r, picked))
        return self._key


def _as_key(c_b: float, c_r: float) -> Floats:
    length = math.hypot(c_b, c_r)
    return np.array([c_b / length, c_r / length, length], np.float32)


def _chroma_of(rgb: tuple[int, int, int], layout: Layout | None = None) -> tuple[float, float]:
    """Return Cb and Cr, minus 128, in the encoding of `_planes_at_chroma_size`."""
    if layout is not None and layout.format != "gbrp":
        _, c_b, c_r = layout.samples(*rgb)
        return c_b - 128, c_r - 128
    red, green, blue = rgb
    _, c_b, c_r = (_TO_YUV[:, :3] @ (green, blue, red)).tolist()
    return c_b, c_r


def _planes_at_chroma_size(frame: Frame) -> Planes:
    """Return Y, Cb and Cr at the size of the chroma, halved until it is small enough.

    Views of the frame where possible. Read only.
    """
    if frame.format == "gray":
        message = "expected a colour frame, not a gray one"
        raise FormatError(message)
    shape = frame.layout.plane_shapes[-1]
    while max(shape) > _LONGEST_PX:
        shape = _half(shape)
    first, second, third = (_halve_to(plane, shape) for plane in frame.planes)
    if frame.format != "gbrp":
        return first, second, third
    luma, c_b, c_r = cv2.split(cv2.transform(cv2.merge([first, second, third]), _TO_YUV))
    return luma, c_b, c_r  # type: ignore[return-value] # cv2 does not say that they are uint8


def _halve_to(plane: Plane, shape: tuple[int, int]) -> Plane:
    while plane.shape != shape:
        half = np.empty(_half(plane.shape), np.uint8)
        halve(plane, half)
        plane = half
    return plane


def _half(shape: tuple[int, ...]) -> tuple[int, int]:
    height, width = shape
    return (height + 1) // 2, (width + 1) // 2


def _with_changes(frame: Frame, added: Plane) -> Frame:
    """Add differences (3, h, w) of Y, Cb and Cr, stored with 128 added, to a frame's planes."""
    by_plane = list(added)
    if frame.format == "gbrp":
        offset = 128 - 128 * _FROM_YUV.sum(axis=1, keepdims=True)
        matrix = np.column_stack([_FROM_YUV, offset])
        by_plane = list(cv2.split(cv2.transform(cv2.merge(by_plane), matrix)))
    result = Frame.empty(frame.layout)
    for plane, change, target in zip(frame.planes, by_plane, result.planes, strict=True):
        add(plane, _enlarge(np.asarray(change, np.uint8), plane.shape), target)
    return result.at(frame)


def _enlarge(change: Plane, shape: tuple[int, int]) -> Plane:
    """Enlarge a difference plane to twice the size, repeatedly, up to half of ``shape``."""
    shapes = [shape]
    while shapes[-1] != change.shape:
        shapes.append(_half(shapes[-1]))
    for rows, columns in reversed(shapes[1:-1]):
        change = np.asarray(cv2.resize(change, (columns, rows)), np.uint8)
    return change
