"""Synthetic person of two ellipses, swaying in front of a room of one colour."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import numpy as np

from greenroom.media.colour import Colour
from greenroom.media.frame import Frame
from greenroom.media.layout import Layout
from greenroom.media.source_info import SourceInfo
from greenroom.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from greenroom.media.layout import Format

__all__ = ["PERSON_RGB", "ROOM_RGB", "PersonSource", "person_mask"]

ROOM_RGB: Final = (255, 0, 255)
"""The colour of the synthetic room: a watermark that occurs nowhere else."""
PERSON_RGB: Final = (230, 180, 140)
"""The colour of the synthetic person."""


class PersonSource(Source):
    """A person, drawn as a head on shoulders, who sways in front of a magenta room.

    Parameters
    ----------
    size : (int, int)
        Width and height in pixels.
    frames : int
        Number of frames.
    rate : Fraction
        Frames a second.
    format : str
        Pixel format of the frames.
    """

    def __init__(
        self,
        size: tuple[int, int] = (128, 72),
        frames: int = 10,
        rate: Fraction = Fraction(25),
        format: Format = "yuv420p",
    ) -> None:
        self._frames = frames
        self._layout = Layout(*size, format, Colour(matrix=1, range=1))
        if format == "gbrp":
            self._layout = Layout(*size, format, Colour(matrix=0, range=2))
        self.info = SourceInfo("synthetic person", rate=rate, time_base=1 / rate, frames=frames)
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`."""
        for number in range(self._frames):
            yield self.frame(number)

    def close(self) -> None:
        """See `Source.close`."""
        self.closed = True

    def frame(self, number: int) -> Frame:
        """Draw one frame, in new memory."""
        frame = Frame.filled(self._layout, ROOM_RGB)
        samples = self._layout.samples(*PERSON_RGB)
        for plane, sample in zip(frame.planes, samples, strict=True):
            plane[person_mask(plane.shape, number)] = sample
        made = Frame(frame.planes, frame.layout, number, self.info.time_base, 1)
        return made.copy()


def person_mask(shape: tuple[int, ...], number: int) -> NDArray[np.bool_]:
    """Return the mask of the synthetic person in a frame, at a plane's resolution."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width]
    u, v = (x + 0.5) / width - 0.5 - 0.1 * np.sin(number / 5), (y + 0.5) / height
    head = (u / 0.12) ** 2 + ((v - 0.35) / 0.2) ** 2 < 1
    shoulders = (u / 0.3) ** 2 + ((v - 1.0) / 0.5) ** 2 < 1
    return np.asarray(head | shoulders)
