"""Layout of a frame: size, pixel format and colour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from greenroom.errors import FormatError
from greenroom.media.colour import UNSPECIFIED_COLOUR, Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WITH_ALPHA", "Format", "Layout"]

Format = Literal["yuv420p", "yuv444p", "gbrp", "gray"]
"""Pixel formats of frames, by FFmpeg's names; ``gray`` is for mattes written as pictures."""
_FORMATS: Final = get_args(Format)
WITH_ALPHA: Final = {"yuv420p": "yuva420p", "yuv444p": "yuva444p", "gbrp": "gbrap"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything about a frame except its samples and its time.

    Two frames of equal layout can be blended plane by plane.
    """

    width: int
    height: int
    format: Format
    colour: Colour = UNSPECIFIED_COLOUR
    size: tuple[int, int] = field(init=False, repr=False, compare=False)
    """(width, height) in pixels."""
    plane_shapes: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    """(height, width) of each plane; odd sizes round up."""

    def __post_init__(self) -> None:
        if self.format not in _FORMATS:
            message = f"expected one of the formats {', '.join(_FORMATS)}, not {self.format!r}"
            raise FormatError(message)
        if self.width < 1 or self.height < 1:
            message = f"a frame has at least 1x1 pixels, not {self.width}x{self.height}"
            raise FormatError(message)
        # Stored, because both are read dozens of times a frame.
        object.__setattr__(self, "size", (self.width, self.height))
        object.__setattr__(self, "plane_shapes", self._shapes())

    def _shapes(self) -> tuple[tuple[int, int], ...]:
        full = (self.height, self.width)
        if self.format == "gray":
            return (full,)
        if self.format != "yuv420p":
            return full, full, full
        half = ((self.height + 1) // 2, (self.width + 1) // 2)
        return full, half, half

    def name(self, *, alpha: bool) -> str:
        """Return FFmpeg's name of the format, with or without alpha."""
        return WITH_ALPHA[self.format] if alpha else self.format

    def samples(self, red: int, green: int, blue: int) -> tuple[int, ...]:
        """Encode an sRGB colour (0 to 255 each) as one sample for each plane."""
        if self.format == "gray":
            return (round(0.299 * red + 0.587 * green + 0.114 * blue),)
        if self.format == "gbrp":
            return green, blue, red
        k_r, k_b = self.colour.luma_coefficients(self.size)
        luma = k_r * red + (1 - k_r - k_b) * green + k_b * blue
        c_b = (blue - luma) / (2 * (1 - k_b))
        c_r = (red - luma) / (2 * (1 - k_r))
        if not self.colour.is_full_range:
            luma, c_b, c_r = 16 + luma * 219 / 255, c_b * 224 / 255, c_r * 224 / 255
        return round(luma), min(255, round(128 + c_b)), min(255, round(128 + c_r))

    def to_rgb_matrix(self) -> NDArray[np.float32]:
        """Return the (3, 4) matrix that maps (sample, sample, sample, 1) to RGB in 0..1.

        Raises
        ------
        FormatError
            For gray, which has one sample only.
        """
        if self.format == "gray":
            message = "expected a colour frame, not a gray one"
            raise FormatError(message)
        if self.format == "gbrp":
            return np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]], np.float32) / np.float32(
                255
            )
        k_r, k_b = self.colour.luma_coefficients(self.size)
        k_g = 1 - k_r - k_b
        full = self.colour.is_full_range
        y_scale, c_scale, black = (255.0, 255.0, 0.0) if full else (219.0, 224.0, 16.0)
        r_v, b_u = 2 * (1 - k_r), 2 * (1 - k_b)
        matrix = np.array(
            [[1, 0, r_v], [1, -k_b * b_u / k_g, -k_r * r_v / k_g], [1, b_u, 0]], np.float64
        ) / np.array([y_scale, c_scale, c_scale])
        offset = -matrix @ np.array([black, 128.0, 128.0])
        return np.asarray(np.column_stack([matrix, offset]), np.float32)
