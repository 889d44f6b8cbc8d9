"""Pictures as a source: a single one, those of a folder, or a numbered sequence."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from greenroom.errors import SourceError
from greenroom.media.image_files import decode_picture, pictures_in
from greenroom.media.limits import MAX_PHOTO_SIDE_PX
from greenroom.media.numbered_names import NumberedNames
from greenroom.media.paths import is_folder, unreadable_reason
from greenroom.media.source_info import SourceInfo
from greenroom.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from greenroom.media.frame import Frame

__all__ = ["PictureSource", "folder_source", "sequence_source"]

# Frame rate of numbered pictures, as in FFmpeg, in frames/s.
SEQUENCE_RATE: Final = Fraction(25)


class PictureSource(Source):
    """Decodes pictures one after the other.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    name : str
        Their common name, for messages.
    related : bool
        Whether they are the frames of one video, and thus all of one size.
    """

    def __init__(self, paths: Sequence[Path], *, name: str, related: bool) -> None:
        self._paths = paths
        self._related = related
        self._alone = related or len(paths) == 1
        for path in paths if self._alone else ():
            reason = unreadable_reason(path)
            if reason is not None:
                raise _unreadable(path, reason)
        self.info = SourceInfo(
            name=name,
            rate=SEQUENCE_RATE,
            time_base=1 / SEQUENCE_RATE,
            frames=len(paths),
            files=tuple(paths),
            pictures=() if related else tuple(path.name for path in paths),
            described_by=tuple(paths),
        )

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`.

        Unrelated pictures that cannot be read are skipped and listed in `SourceInfo.unreadable`,
        as long as there are others.
        """
        first: Frame | None = None
        for number, path in enumerate(self._paths):
            frame = self._decoded(path)
            if frame is None:
                continue
            first = first or frame
            if not self._related:  # without time stamps
                yield frame
                continue
            if frame.layout != first.layout:
                frame = frame.converted(first.layout)
            yield replace(frame, pts=number, time_base=self.info.time_base, duration=1)
        if first is None:
            raise self.info.unreadable[0]

    def _decoded(self, path: Path) -> Frame | None:
        try:
            return decode_picture(path, MAX_PHOTO_SIDE_PX)
        except ValueError as error:
            if self._alone:
                raise _unreadable(path, error) from error
            self.info.unreadable.append(_unreadable(path, error))
            return None

    def close(self) -> None:
        """See `Source.close`: no file stays open."""


def folder_source(folder: Path) -> PictureSource:
    """Open the unrelated pictures of a folder.

    Raises
    ------
    SourceError
        If there are none.
    """
    paths = pictures_in(folder)
    if not paths:
        raise _unreadable(folder, "it is a folder without pictures")
    return PictureSource(paths, name=str(folder), related=False)


def sequence_source(pattern: Path) -> PictureSource:
    """Open the pictures that match a pattern such as ``frames/%04d.png``.

    Raises
    ------
    SourceError
        If the pattern has no number in it, or no file fits.
    """
    names = NumberedNames.of(pattern.name)
    if names is None:
        reason = "there is no such file, nor is it a pattern with one number in it, such as %04d"
        raise _unreadable(pattern, reason)
    numbered = {}
    if is_folder(pattern.parent):
        for path in pattern.parent.iterdir():
            number = names.number(path.name)
            if number is not None:
                numbered[number] = path
    if not numbered:
        raise _unreadable(pattern, "no file fits the pattern")
    return PictureSource(
        [numbered[number] for number in sorted(numbered)], name=str(pattern), related=True
    )


def _unreadable(path: Path, reason: object) -> SourceError:
    return SourceError(f"input '{path}' cannot be read: {reason}.", path)
