"""Colour descriptions of frames, in the codes of ITU-T H.273."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = [
    "BT709",
    "COVER_RGB",
    "FULL",
    "FULL_RANGE_RGB",
    "LIMITED",
    "RGB",
    "UNSPECIFIED",
    "UNSPECIFIED_COLOUR",
    "Colour",
]

COVER_RGB: Final = (38, 42, 48)
"""Dark grey shown where a background has no picture of its own."""

# Codes of ITU-T H.273, which FFmpeg uses as they are.
UNSPECIFIED: Final = 2
BT709: Final = 1
BT601: Final = (5, 6)
BT2020: Final = 9
RGB: Final = 0
LIMITED: Final = 1
FULL: Final = 2
# Players assume high definition from this width, or above this height.
_HD_WIDTH: Final = 1280
_SD_HEIGHT: Final = 576


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour description of a frame, in the codes of ITU-T H.273.

    Attributes
    ----------
    matrix : int
        Matrix coefficients: 0 RGB, 1 BT.709, 5 or 6 BT.601, 9 BT.2020, 2 unspecified.
    range : int
        1 limited ("TV"), 2 full ("PC"), 0 unspecified.
    primaries, transfer : int
        Colour primaries and transfer characteristics, carried but not interpreted.
    """

    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def is_full_range(self) -> bool:
        """Whether samples use all of 0 to 255. Unspecified means limited, except for RGB."""
        return self.range == FULL or (self.range == 0 and self.matrix == RGB)

    def luma_coefficients(self, size: tuple[int, int]) -> tuple[float, float]:
        """Return the weights of red and blue in luma.

        An unspecified matrix is taken as players do: BT.709 for high definition,
        BT.601 below.
        """
        matrix = self.resolved_matrix(size)
        if matrix == BT2020:
            return 0.2627, 0.0593
        if matrix == BT709:
            return 0.2126, 0.0722
        return 0.299, 0.114

    def means(self, other: Colour, size: tuple[int, int]) -> bool:
        """Whether equal samples mean equal colours in both."""
        return (
            self.is_full_range == other.is_full_range
            and (self.matrix == RGB) == (other.matrix == RGB)
            and self.resolved_matrix(size) == other.resolved_matrix(size)
        )

    def named(self, size: tuple[int, int]) -> Colour:
        """Return the same description with an unspecified matrix resolved."""
        if self.matrix != UNSPECIFIED:
            return self
        return replace(self, matrix=self.resolved_matrix(size))

    def resolved_matrix(self, size: tuple[int, int]) -> int:
        """Return BT.709 (1), BT.601 (5) or BT.2020 (9): the own matrix, or the assumed one."""
        width, height = size
        if self.matrix in (BT709, BT2020):
            return self.matrix
        if self.matrix in (10, 14):  # BT.2020 constant luminance, ICtCp: nearest supported
            return BT2020
        if self.matrix == UNSPECIFIED and (width >= _HD_WIDTH or height > _SD_HEIGHT):
            return BT709
        return BT601[0]


UNSPECIFIED_COLOUR: Final = Colour()
FULL_RANGE_RGB: Final = Colour(RGB, FULL)
