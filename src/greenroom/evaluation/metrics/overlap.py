"""Overlap of two mattes cut at a threshold: IoU, boundary IoU and leak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from greenroom.evaluation.metrics.matte_arrays import check_pair, mask_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.evaluation.metrics.matte_arrays import Mask, MatteArray

__all__ = ["BAND_PX", "boundary_iou", "iou", "leak"]

BAND_PX: Final = 8
"""Width of the band of `boundary_iou` to either side of the edge."""

TOLERANCE_PX: Final = 4
"""Distance outside the true matte within which `leak` ignores coverage."""

TRANSPARENT: Final = 0.05
"""Coverage up to which `leak` counts a pixel as outside the true matte."""

OPAQUE: Final = 0.5
"""Coverage above which a pixel belongs to the foreground."""


def iou(prediction: MatteArray, truth: MatteArray) -> float:
    """Intersection over union of two mattes cut at one half: the Jaccard index [1]_ of the masks.

    Returns
    -------
    float
        0 (disjoint) to 1 (the same mask). 1 if neither matte has foreground;
        0 if only one of them has.

    References
    ----------
    .. [1] P. Jaccard, "The distribution of the flora in the alpine zone",
       New Phytologist 11(2), 1912.

    Examples
    --------
    >>> truth = np.array([[0, 255, 255, 255]], dtype=np.uint8)
    >>> prediction = np.array([[0.0, 0.2, 0.9, 1.0]])
    >>> round(iou(prediction, truth), 3)
    0.667
    """
    check_pair(prediction, truth)
    found, true = mask_of(prediction, OPAQUE), mask_of(truth, OPAQUE)
    return _overlap(found, true, empty=1.0)


def boundary_iou(prediction: MatteArray, truth: MatteArray) -> float:
    """Intersection over union near the true edge ("band IoU").

    `iou` over only the pixels that have a pixel of the other side of the true
    edge within a disk of radius `BAND_PX` around them. A whole-picture IoU hardly
    sees the edge of a large person; this one sees nothing else.

    It is a variant of the boundary IoU of [1]_: there each mask brings its own
    inner band; here one band, to both sides of the true edge, serves both masks,
    so that a prediction cannot choose where it is looked at. The picture's
    border is no edge. Not symmetric: the truth alone decides the band.

    Returns
    -------
    float
        0 to 1. NaN if the truth has no edge (all foreground or none).

    References
    ----------
    .. [1] B. Cheng, R. Girshick, P. Dollár, A. C. Berg and A. Kirillov,
       "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation",
       CVPR 2021.

    Examples
    --------
    >>> truth = np.zeros((64, 64))
    >>> truth[:, 32:] = 1
    >>> prediction = np.roll(truth, 4, axis=1)
    >>> boundary_iou(truth, truth)
    1.0
    >>> boundary_iou(prediction, truth)
    0.5
    """
    check_pair(prediction, truth)
    found, true = mask_of(prediction, OPAQUE), mask_of(truth, OPAQUE)
    disk = _disk(BAND_PX)
    band = np.where(true, _dilated(~true, disk), _dilated(true, disk))
    return _overlap(found & band, true & band, empty=float("nan"))


def leak(prediction: MatteArray, truth: MatteArray) -> float:
    """Percent of the room that is shown although it should be covered.

    Room is every pixel that lies more than `TOLERANCE_PX` rows or columns from
    the true matte, soft edge included (true coverage over 0.05); it leaks where
    the predicted coverage is over 0.5. The tolerance keeps out the error of the
    edge, which `boundary_iou` measures. Not symmetric.

    Returns
    -------
    float
        0 (nothing leaks) to 100, in percent of the room's pixels. NaN if the
        truth leaves no room; where it is empty the whole picture is room.

    Examples
    --------
    >>> truth = np.zeros((1, 20))
    >>> truth[:, :6] = 1
    >>> prediction = np.zeros((1, 20))
    >>> prediction[:, :12] = 1
    >>> leak(prediction, truth)
    20.0
    """
    check_pair(prediction, truth)
    side = 2 * TOLERANCE_PX + 1
    square = np.ones((side, side), dtype=np.uint8)
    room = ~_dilated(mask_of(truth, TRANSPARENT), square)
    shown = np.count_nonzero(mask_of(prediction, OPAQUE) & room)
    total = np.count_nonzero(room)
    return float(100 * shown / total) if total else float("nan")


def _overlap(found: Mask, true: Mask, *, empty: float) -> float:
    """Intersection over union of two masks, `empty` if both are empty."""
    union = np.count_nonzero(found | true)
    return float(np.count_nonzero(found & true) / union) if union else empty


def _disk(radius_px: int) -> NDArray[np.uint8]:
    """Return a disk to dilate with, rasterised as OpenCV's ellipse is."""
    offset = np.arange(-radius_px, radius_px + 1)
    half_width = np.rint(np.sqrt(radius_px**2 - offset**2))
    return (np.abs(offset) <= half_width[:, np.newaxis]).astype(np.uint8)


def _dilated(mask: Mask, element: NDArray[np.uint8]) -> Mask:
    """Return the mask dilated by a structuring element."""
    return cv2.dilate(mask.astype(np.uint8), element).astype(np.bool_)
