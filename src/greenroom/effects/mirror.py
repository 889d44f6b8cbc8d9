"""Mirror image of frames and mattes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from greenroom.cuda import calls
from greenroom.media.frame import Frame
from greenroom.media.matte import Matte

if TYPE_CHECKING:
    from greenroom.media.frame import Plane

__all__ = ["mirrored", "mirrored_matte"]


def mirrored(frame: Frame) -> Frame:
    """Return a frame with left and right exchanged, alpha too.

    Returns
    -------
    Frame
        The same layout and time, in new memory.
    """
    result = Frame.empty(frame.layout, alpha=frame.alpha is not None, device=frame.device)
    if frame.device is not None:
        for plane, target in zip(frame.all_planes, result.all_planes, strict=True):
            calls.mirror(plane, target, paired=_is_paired(plane, frame.layout.width))
        return result.at(frame)
    for plane, target in zip(frame.all_planes, result.all_planes, strict=True):
        cv2.flip(_paired(plane, frame.layout.width), 1, target)
    return result.at(frame)


def mirrored_matte(matte: Matte) -> Matte:
    """Return a matte with left and right exchanged, in new memory."""
    if matte.device is not None:
        values = matte.device.empty(matte.shape)
        calls.mirror(matte.values, values)
        return Matte(values)  # type: ignore[arg-type]
    return Matte(np.asarray(cv2.flip(matte.values, 1), np.uint8))


def _is_paired(plane: Plane, width: int) -> bool:
    """Whether columns of luma no longer share a sample of chroma after flipping."""
    return width % 2 == 1 and plane.shape[1] != width


def _paired(plane: Plane, width: int) -> Plane:
    """Return a plane to be flipped, with chroma shifted by half a sample for odd widths.

    In a 4:2:0 frame of odd width, columns of luma that shared a sample of chroma no longer do after
    flipping: each sample then becomes the mean of an old one and the one before.
    """
    if not _is_paired(plane, width):
        return plane
    before = np.concatenate([plane[:, :1], plane[:, :-1]], axis=1)
    return np.asarray(cv2.addWeighted(plane, 0.5, before, 0.5, 0), np.uint8)
