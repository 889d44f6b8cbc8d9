"""Description of a source."""

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
    """Description of a source, known before its first frame.

    Attributes
    ----------
    name : str
        The path or address that was opened.
    rate : Fraction
        Average frames per second, for sinks that need one.
    time_base : Fraction
        Unit of the frames' ``pts``, in seconds.
    frames : int or None
        Expected number of frames, if known.
    sample_aspect_ratio : Fraction
        Pixel aspect ratio, width by height.
    pictures : tuple of str
        For unrelated pictures: their file names, in order.
    unreadable : list of SourceError
        Errors of pictures that could not be read so far. The source adds to it before it gives the
        next frame, and the sink skips these names.
    described_by : tuple of Path
        For pictures: the files whose date and resolution are copied, in order.
    files : tuple of Path
        All files that are read; an output may not be one of them.
    streams_from : Path or None
        The file whose sound, subtitles, chapters and tags are copied.
    begin_s : Fraction
        The time in that file that is 0 in the frames.
    negotiated : str
        A camera's negotiated format as text: ``1280x720 MJPEG, 30 frames/s``.
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
        """Return a copy that describes the frames only."""
        return replace(self, streams_from=None, described_by=())
