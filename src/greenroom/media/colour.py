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
"""What is shown where a background has nothing of its own to show: a dark grey."""

# Codes of ITU-T H.273, which FFmpeg uses as they are.
UNSPECIFIED: Final = 2
BT709: Final = 1
BT601: Final = (5, 6)
BT2020: Final = 9
RGB: Final = 0
LIMITED: Final = 1
FULL: Final = 2
# Players take what is at least so wide, or higher than that, for high definition.
_HD_WIDTH: Final = 1280
_SD_HEIGHT: Final = 576


@dataclass(frozen=True, slots=True)
class Colour:
    """What the numbers of a frame mean, in the codes of ITU-T H.273.

    Attributes
    ----------
    matrix : int
        Matrix coefficients: 0 RGB, 1 BT.709, 5 or 6 BT.601, 9 BT.2020, 2 not said.
    range : int
        1 limited ("TV"), 2 full ("PC"), 0 not said.
    primaries, transfer : int
        Colour primaries and transfer characteristics, carried but not interpreted.
    """

    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @property
    def is_full_range(self) -> bool:
        """Whether samples use all of 0 to 255. Not said means limited, except for RGB."""
        return self.range == FULL or (self.range == 0 and self.matrix == RGB)

    def luma_coefficients(self, size: tuple[int, int]) -> tuple[float, float]:
        """Weights of red and blue in luma.

        Where the matrix is not said it is what players assume: BT.709 for high
        definition, BT.601 below.
        """
        matrix = self.resolved_matrix(size)
        if matrix == BT2020:
            return 0.2627, 0.0593
        if matrix == BT709:
            return 0.2126, 0.0722
        return 0.299, 0.114

    def means(self, other: Colour, size: tuple[int, int]) -> bool:
        """Whether samples stand for the same light and colour in both."""
        return (
            self.is_full_range == other.is_full_range
            and (self.matrix == RGB) == (other.matrix == RGB)
            and self.resolved_matrix(size) == other.resolved_matrix(size)
        )

    def named(self, size: tuple[int, int]) -> Colour:
        """Return the same with the matrix said that players would assume."""
        if self.matrix != UNSPECIFIED:
            return self
        return replace(self, matrix=self.resolved_matrix(size))

    def resolved_matrix(self, size: tuple[int, int]) -> int:
        """Return BT.709 (1), BT.601 (5) or BT.2020 (9): the matrix said, or the usual one."""
        width, height = size
        if self.matrix in (BT709, BT2020):
            return self.matrix
        if self.matrix in (10, 14):  # BT.2020 constant luminance, ICtCp: nearest that is known
            return BT2020
        if self.matrix == UNSPECIFIED and (width >= _HD_WIDTH or height > _SD_HEIGHT):
            return BT709
        return BT601[0]


UNSPECIFIED_COLOUR: Final = Colour()
FULL_RANGE_RGB: Final = Colour(RGB, FULL)
