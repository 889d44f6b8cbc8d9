"""Sources of frames: videos, pictures, folders and sequences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.media.animation import moves
from greenroom.media.decoding import STDIN
from greenroom.media.image_files import is_picture
from greenroom.media.limits import MAX_PHOTO_SIDE_PX
from greenroom.media.paths import is_folder, path_exists
from greenroom.sources.animation_source import AnimationSource
from greenroom.sources.picture_source import PictureSource, folder_source, sequence_source
from greenroom.sources.source import Source
from greenroom.sources.video_source import VideoSource

if TYPE_CHECKING:
    from greenroom.media.source_info import SourceInfo
    from greenroom.settings import Settings

__all__ = [
    "AnimationSource",
    "PictureSource",
    "Source",
    "VideoSource",
    "check_source",
    "create_source",
]


def check_source(name: str | Path, settings: Settings) -> SourceInfo | None:
    """Check that an input can be opened, before the engine is loaded.

    Returns
    -------
    SourceInfo or None
        Facts about it; None for standard input and pipes, which can be opened only once.

    Raises
    ------
    SourceError
        As in `create_source`.
    """
    path = Path(name)
    if str(name) == STDIN or (path_exists(path) and path.is_fifo()):
        return None
    source = create_source(name, settings)
    source.close()
    return source.info


def create_source(name: str | Path, settings: Settings) -> Source:
    """Open a video, a picture, a folder, a ``%04d`` sequence, or ``-`` for standard input.

    Raises
    ------
    SourceError
        If it cannot be read.
    """
    name = str(name)
    path = Path(name)
    if name == STDIN:
        return VideoSource(name, settings)
    if is_folder(path):
        return folder_source(path)
    if "%" in path.name and not path_exists(path):
        return sequence_source(path)
    if moves(path, MAX_PHOTO_SIDE_PX):
        return AnimationSource(path, settings)
    if is_picture(path):
        return PictureSource([path], name=name, related=False)
    return VideoSource(name, settings)
