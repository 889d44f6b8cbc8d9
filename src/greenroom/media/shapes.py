"""Frames padded to even sizes, or scaled to square pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from greenroom.media.frame import Frame
from greenroom.media.limits import MAX_SIDE_PX

if TYPE_CHECKING:
    from fractions import Fraction

    from greenroom.media.frame import Plane

__all__ = ["pad_into", "padded_to_even", "scaled_to_square_pixels", "square_size"]


def square_size(size: tuple[int, int], aspect: Fraction) -> tuple[int, int]:
    """Return the (width, height) with square pixels; neither side shrinks.

    Parameters
    ----------
    size : (int, int)
        Width and height now.
    aspect : Fraction
        Pixel aspect ratio, width by height. Implausible ones, which would exceed the maximum
        size, are ignored.
    """
    width, height = size
    if aspect > 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    return size if max(width, height) > MAX_SIDE_PX else (width, height)


def scaled_to_square_pixels(frame: Frame, size: tuple[int, int]) -> Frame:
    """Scale a frame and its alpha to the size from `square_size`."""
    layout = replace(frame.layout, width=size[0], height=size[1])
    scaled = frame.converted(layout)
    if frame.alpha is None:
        return scaled.at(frame)
    alpha = cv2.resize(frame.alpha, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    return Frame(scaled.planes, layout, alpha=alpha).at(frame)


def padded_to_even(frame: Frame) -> Frame:
    """Repeat the last column and row where width or height is odd."""
    width, height = frame.size
    layout = replace(frame.layout, width=width + width % 2, height=height + height % 2)
    result = Frame.empty(layout, alpha=frame.alpha is not None)
    for target, plane in zip(result.all_planes, frame.all_planes, strict=True):
        pad_into(target, plane)
    return result.at(frame)


def pad_into(target: Plane, plane: Plane) -> None:
    """Copy a plane into one that may be larger, whose rest repeats the last column and row."""
    height, width = plane.shape
    target[:height, :width] = plane
    target[height:, :width] = plane[-1:]
    target[:, width:] = target[:, width - 1 : width]
