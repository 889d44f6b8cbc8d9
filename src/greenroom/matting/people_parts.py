"""Connected parts of a matte, and tests of whose they may be by their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.matting.people_kernels import (
    AREA,
    BOTTOM,
    COLUMNS,
    LEFT,
    RIGHT,
    TOP,
    find_parts,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Grid = NDArray[np.uint8]
    Cells = NDArray[np.bool_]
    Whole = NDArray[np.int32]

__all__ = [
    "SOMEBODY",
    "SPECK",
    "arrives",
    "dilated",
    "enlarged",
    "in_cells",
    "is_beside",
    "is_hand",
    "is_in_line",
    "parts_of",
    "scores",
]

SPECK: Final = 0.0005
"""A part smaller than this share of the frame's area is a speck."""

SOMEBODY: Final = 0.5
"""Coverage from which a cell is foreground: with less, haze would join two people."""


def in_cells(alpha: Floats) -> Floats:
    """Return the mean of every 2x2 samples of a working matte."""
    height, width = alpha.shape
    size = ((width + 1) // 2, (height + 1) // 2)
    return np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)


def enlarged(cells: Cells, shape: tuple[int, ...]) -> Floats:
    """Return cells as weights for samples, interpolated between the cells' centres."""
    weights = cv2.resize(cells.astype(np.float32), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(weights, np.float32)


def dilated(cells: Cells, reach: int) -> Cells:
    """Dilate by ``reach`` cells in every direction."""
    box = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(cells.view(np.uint8), box), np.uint8).view(np.bool_)


def parts_of(cells: Floats, past: Grid) -> tuple[Whole, Whole]:
    """Label the parts of a coverage in cells, and describe each in a row: see `find_parts`.

    Row 0 stands for the background and is all zero.
    """
    height, width = cells.shape
    labels: Whole = np.empty(cells.shape, np.int32)
    parts: Whole = np.empty((((height + 1) // 2) * ((width + 1) // 2) + 1, COLUMNS), np.int32)
    find_parts(cells, SOMEBODY, past, labels, parts)
    parts = parts[: parts[0, 0] + 1]
    parts[0] = 0
    return labels, parts


def scores(parts: Whole, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return scores for the choice of the main person: area x centrality x lowness.

    Centrality falls from 1 in the middle to 1/2 at the sides of the frame; lowness is the
    square of how far down the part reaches, 1 at the bottom edge.
    """
    height, width = shape
    middle = (parts[:, LEFT] + parts[:, RIGHT]) / (2 * width)
    centrality = 1 - np.abs(middle - 0.5)
    return np.asarray(parts[:, AREA] * centrality * (parts[:, BOTTOM] / height) ** 2)


def arrives(parts: Whole, width: int) -> NDArray[np.bool_]:
    """Whether parts touch the left, right or upper edge, as those of somebody who walks in."""
    edges = (parts[:, LEFT] == 0) | (parts[:, TOP] == 0) | (parts[:, RIGHT] == width)
    return np.asarray(edges)


def is_hand(part: Whole, body: Whole, shape: tuple[int, ...]) -> bool:
    """Whether a new part is at the bottom edge below someone who sits there."""
    height, width = shape
    margin = (body[RIGHT] - body[LEFT]) // 2
    return bool(
        part[BOTTOM] == height == body[BOTTOM]
        and 4 * part[AREA] < body[AREA]
        and max(1, body[LEFT] - margin) <= part[LEFT]
        and part[RIGHT] <= min(width - 1, body[RIGHT] + margin)
    )


def is_in_line(part: Whole, body: Whole) -> bool:
    """Whether a part is above or below another, so that it may be the rest of the person."""
    return bool(
        2 * _shared(part, body, LEFT, RIGHT) > part[RIGHT] - part[LEFT]
        and 4 * _shared(part, body, TOP, BOTTOM) < part[BOTTOM] - part[TOP]
    )


def is_beside(part: Whole, body: Whole) -> bool:
    """Whether a part that came off the main person is another person beside them."""
    shared = _shared(part, body, LEFT, RIGHT)
    return bool(2 * part[AREA] > body[AREA] and 2 * shared < part[RIGHT] - part[LEFT])


def _shared(part: Whole, body: Whole, first: int, last: int) -> int:
    """Return the number of columns or rows that two parts share; negative for a gap."""
    return int(min(part[last], body[last]) - max(part[first], body[first]))
