"""Animated pictures as a source: WebP, PNG and AVIF."""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING

from greenroom.errors import SourceError, TruncatedError
from greenroom.media.animation import TIME_BASE, count_frames, moving_frames
from greenroom.media.colour import LIMITED, UNSPECIFIED, Colour
from greenroom.media.layout import Layout
from greenroom.media.limits import MAX_PHOTO_SIDE_PX
from greenroom.media.source_info import SourceInfo
from greenroom.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from greenroom.media.frame import Frame
    from greenroom.settings import Settings

__all__ = ["AnimationSource"]

logger = logging.getLogger(__name__)


class AnimationSource(Source):
    """Decodes an animation like a video: ``yuv420p``, each frame at its time.

    Parameters
    ----------
    path : Path
        The file.
    settings : Settings
        ``allow_truncated`` says whether a damaged file may end early.

    Raises
    ------
    SourceError
        If it cannot be opened.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._allow_truncated = settings.allow_truncated
        try:
            count = count_frames(path, MAX_PHOTO_SIDE_PX)
            first = next(moving_frames(path, MAX_PHOTO_SIDE_PX))
        except ValueError as error:
            message = f"input '{path}' cannot be read: {error}."
            raise SourceError(message, path) from error
        self.info = SourceInfo(
            name=str(path),
            rate=Fraction(1, first.duration or 1) / TIME_BASE,
            time_base=TIME_BASE,
            frames=count,
            files=(path,),
        )

    def __iter__(self) -> Iterator[Frame]:
        """See `Source.__iter__`.

        Raises
        ------
        TruncatedError
            If it is damaged, unless ``allow_truncated``.
        """
        try:
            for frame in moving_frames(self._path, MAX_PHOTO_SIDE_PX):
                colour = Colour(UNSPECIFIED, LIMITED).named(frame.size)
                yield frame.converted(Layout(*frame.size, "yuv420p", colour)).at(frame)
        except ValueError as error:
            if not self._allow_truncated:
                message = (
                    f"input '{self._path}' is damaged or cut off: {error}. To convert what can be "
                    f"decoded, allow truncated input (--allow-truncated)."
                )
                raise TruncatedError(message, self._path) from error
            logger.warning("input '%s': %s", self._path, error)

    def close(self) -> None:
        """See `Source.close`: no file stays open between frames."""
