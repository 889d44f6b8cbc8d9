"""Frames as devices take them: opaque, limited range, whole blocks, one plane after the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from greenroom.compositing import composite
from greenroom.media.colour import COVER_RGB, LIMITED, Colour
from greenroom.media.frame import Frame
from greenroom.media.matte import Matte
from greenroom.sinks.sink import check_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from greenroom.media.layout import Layout

__all__ = ["Packer", "over_cover_colour"]


class Packer:
    """Packs frames of one layout as I420: Y, U and V, without anything between rows or planes.

    Nothing is converted where a frame is 4:2:0 of limited range already, which is what cameras
    and codecs give: its samples are copied once. Full range is brought to limited range, which
    is what programs take a camera's picture for.

    Parameters
    ----------
    layout : Layout
        Of the frames that will come.
    name : str
        What messages call the output.
    multiple : (int, int)
        What width and height are to be multiples of, both even; the last column and row are
        repeated up to there.

    Attributes
    ----------
    width, height : int
        Of the packed picture.
    matrix : int
        What the samples mean: 1 BT.709, 5 BT.601, 9 BT.2020.
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

        They stay in memory of the packer, and are overwritten by the next frame. A frame that can
        be seen through is put in front of the cover's colour first.

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
            height, width = plane.shape
            target[:height, :width] = plane
            target[height:, :width] = plane[-1:]
            target[:, width:] = target[:, width - 1 : width]
        return self._samples


def over_cover_colour(frame: Frame) -> Frame:
    """Return what is seen of a frame in front of the cover's colour.

    What is behind alpha is not shown by leaving the alpha out: that may be the room.
    """
    if frame.alpha is None:
        return frame
    matte = Matte(np.ascontiguousarray(frame.alpha))
    return composite(frame.opaque(), matte, Frame.filled(frame.layout, COVER_RGB))
