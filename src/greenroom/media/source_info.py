"""Description of a source, known before its first frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.errors import SourceError

__all__ = ["SourceInfo"]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its first frame.

    Attributes
    ----------
    name : str
        The path, or what else it was opened by.
    rate : Fraction
        Frames a second, on average, for sinks that have to say one.
    time_base : Fraction
        Unit of the frames' ``pts``, in seconds.
    frames : int or None
        How many frames are to be expected, if that is known.
    sample_aspect_ratio : Fraction
        Width by height of a pixel as it is to be shown.
    pictures : tuple of str
        For pictures that have nothing to do with each other: their file names, in order.
    unreadable : list of SourceError
        Those of the pictures that could not be read so far: whoever reads them adds to it before
        the next frame is given, and for a sink their names are not there.
    described_by : tuple of Path
        For pictures: the files whose date and resolution belong to the frames, in order.
    files : tuple of Path
        What is read: an output may not be one of them.
    streams_from : Path or None
        The file whose sound, subtitles, chapters and tags belong to the frames.
    begin_s : Fraction
        The time in that file which is 0 of the frames.
    negotiated : str
        What a camera was brought to give, to be shown: ``1280x720 MJPEG, 30 frames/s``.
    """

    name: str
    rate: Fraction = Fraction(25)
    time_base: Fraction = Fraction(1, 25)
    frames: int | None = None
    sample_aspect_ratio: Fraction = Fraction(1)
    pictures: tuple[str, ...] = ()
    unreadable: list[SourceError] = field(default_factory=list, compare=False)
    described_by: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    streams_from: Path | None = None
    begin_s: Fraction = Fraction(0)
    negotiated: str = ""

    def without_streams(self) -> SourceInfo:
        """Return the same with only the frames."""
        return replace(self, streams_from=None, described_by=())
