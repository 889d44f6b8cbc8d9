"""Packing of frames for devices: opaque I420 in limited range, contiguous planes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from greenroom.compositing import composite
from greenroom.media.colour import COVER_RGB, LIMITED, Colour
from greenroom.media.frame import Frame
from greenroom.media.matte import Matte
from greenroom.media.shapes import pad_into
from greenroom.sinks.sink import check_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.layout import Layout

__all__ = ["Packer", "over_cover_colour"]


class Packer:
    """Packs frames of one layout as I420: Y, U and V, without padding between rows or planes.

    The samples of 4:2:0 frames in limited range, which cameras and codecs give, are only copied.
    Full range is converted to limited range, which programs expect of a camera.

    Parameters
    ----------
    layout : Layout
        Layout of the frames.
    name : str
        Name of the output, for messages.
    multiple : (int, int)
        Units of the width and height, both even; the last column and row are repeated to fill
        them.

    Attributes
    ----------
    width, height : int
        Size of the packed picture.
    matrix : int
        Colour matrix: 1 BT.709, 5 BT.601, 9 BT.2020.
    """

    def __init__(self, layout: Layout, name: str, multiple: tuple[int, int] = (2, 2)) -> None:
        self._layout = layout
        self._name = name
        self.width, self.height = (
            -(-length // unit) * unit for length, unit in zip(layout.size, multiple, strict=True)
        )
        self.matrix = layout.colour.resolved_matrix(layout.size)
        wanted = layout.colour
        if layout.format != "yuv420p" or wanted.is_full_range:
            wanted = Colour(self.matrix, LIMITED)
        self._wanted = replace(layout, format="yuv420p", colour=wanted)
        luma = self.width * self.height
        self._samples = np.empty(luma * 3 // 2, np.uint8)
        y, u, v = np.split(self._samples, (luma, luma + luma // 4))
        self._planes = (
            y.reshape(self.height, self.width),
            u.reshape(self.height // 2, self.width // 2),
            v.reshape(self.height // 2, self.width // 2),
        )

    def pack(self, frame: Frame) -> NDArray[np.uint8]:
        """Return the samples of a frame, (width * height * 3 / 2,) uint8.

        The packer owns the memory and overwrites it with the next frame. A frame with alpha is
        composited over the cover's colour first.

        Raises
        ------
        SinkError
            If the frame is of another layout.
        """
        check_layout(frame, self._layout, self._name)
        frame = over_cover_colour(frame)
        if frame.layout != self._wanted:
            frame = frame.converted(self._wanted)
        for target, plane in zip(self._planes, frame.planes, strict=True):
            pad_into(target, plane)
        return self._samples


def over_cover_colour(frame: Frame) -> Frame:
    """Return an opaque frame: transparent parts are composited over the cover's colour.

    Dropping the alpha instead could show the room behind it.
    """
    if frame.alpha is None:
        return frame
    matte = Matte(np.ascontiguousarray(frame.alpha))
    return composite(frame.opaque(), matte, Frame.filled(frame.layout, COVER_RGB))
