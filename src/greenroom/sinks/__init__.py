"""Sinks for frames: videos, pictures, standard output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.errors import SettingsError
from greenroom.media.decoding import STDIN
from greenroom.media.image_files import PICTURE_SUFFIXES
from greenroom.media.numbered_names import NUMBER, NumberedNames
from greenroom.media.paths import is_folder
from greenroom.media.source_info import SourceInfo
from greenroom.sinks.codecs import CONTAINERS
from greenroom.sinks.picture_sink import WITH_ALPHA, WRITTEN_SUFFIXES, PictureSink, numbered_paths
from greenroom.sinks.sink import Sink
from greenroom.sinks.video_sink import VideoSink
from greenroom.sinks.y4m import Y4MSink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from greenroom.settings import Settings

__all__ = [
    "CONTAINERS",
    "WRITTEN_SUFFIXES",
    "PictureSink",
    "Sink",
    "VideoSink",
    "Y4MSink",
    "check_sink",
    "create_sink",
    "written_name",
]

_PHONE_SUFFIXES: Final = (".heic", ".heif", ".avif")


def create_sink(name: str | Path, settings: Settings, info: SourceInfo) -> Sink:
    """Open an output: a video, a picture, a folder, a ``%04d`` pattern, or ``-``.

    Raises
    ------
    SettingsError
        If the kind is unknown, or cannot hold what the source gives.
    SinkError
        If it cannot be written.
    """
    path = Path(name)
    suffix = path.suffix.lower()
    if str(name) == STDIN:
        return Y4MSink(info)
    if len(info.pictures) > 1 or (info.pictures and is_folder(path)):
        pictures = _in_folder(path, settings, info)
        return PictureSink(
            _readable(pictures, info),
            settings,
            info.files,
            described_by=_readable(info.described_by, info),
        )
    if suffix in WRITTEN_SUFFIXES:
        return PictureSink(_named(path), settings, info.files, described_by=info.described_by)
    if suffix in CONTAINERS:
        return VideoSink(path, settings, info)
    message = (
        f"output '{path}' has an unknown extension: expected one of "
        f"{', '.join([*CONTAINERS, *WRITTEN_SUFFIXES])}, a folder for pictures, or -."
    )
    raise SettingsError(message)


def check_sink(name: str | Path, settings: Settings, info: SourceInfo | None) -> None:
    """Check that an output can be written, before any work is done for it.

    Parameters
    ----------
    name : path
        As in `create_sink`.
    settings : Settings
        Kind of picture or video, and whether to overwrite.
    info : SourceInfo or None
        Facts about the source, if known.

    Raises
    ------
    SettingsError, SinkError
        As in `create_sink`.
    """
    sink = create_sink(name, settings, info or SourceInfo(str(name)))
    if isinstance(sink, PictureSink):
        sink.check()
    sink.abort()


def written_name(name: str, *, transparent: bool) -> str:
    """Return an output's file name for an input: the same, if that format can be written.

    Formats of phones become JPEG, other pictures PNG, and everything else MP4. Transparent
    pictures become PNG if their own format has no alpha.

    Parameters
    ----------
    name : str
        File name of the input.
    transparent : bool
        Whether the background is transparent.
    """
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix in CONTAINERS or (suffix in WRITTEN_SUFFIXES and not transparent):
        return path.name
    if suffix not in PICTURE_SUFFIXES:
        return f"{path.stem}.mp4"
    if transparent:
        return path.name if suffix in WITH_ALPHA else f"{path.stem}.png"
    return f"{path.stem}{'.jpg' if suffix in _PHONE_SUFFIXES else '.png'}"


def _readable(paths: Iterable[Path], info: SourceInfo) -> Iterator[Path]:
    """Yield the paths that belong to readable pictures; unreadable ones become known meanwhile."""
    for path, name in zip(paths, info.pictures, strict=False):
        if not any(Path(str(error.path)).name == name for error in info.unreadable):
            yield path


def _named(path: Path) -> Iterable[Path]:
    """Return the paths of pictures: one, or those of a pattern."""
    names = NumberedNames.of(path.name)
    if names is not None:
        return numbered_paths(path, names)
    if len(NUMBER.findall(path.name)) > 1:
        message = f"output '{path}': expected a pattern with one number in it, such as %04d.png"
        raise SettingsError(message)
    return [path]


def _in_folder(folder: Path, settings: Settings, info: SourceInfo) -> list[Path]:
    """Return the output paths of unrelated pictures, named after them."""
    if not is_folder(folder) and (folder.suffix or NUMBER.search(folder.name)):
        message = (
            f"output '{folder}': several pictures need a folder to go to. To read them as the "
            f"frames of a video, give the input as a pattern such as frames/%04d.png."
        )
        raise SettingsError(message)
    transparent = settings.background == "transparent"
    own, taken = set(info.pictures), set[str]()
    names = []
    for name in info.pictures:
        written = written_name(name, transparent=transparent)
        # Phones write IMG_1.HEIC beside IMG_1.JPG.
        if written in taken or (written != name and written in own):
            written = f"{name}{Path(written).suffix}"
        taken.add(written)
        names.append(written)
    return [folder / name for name in names]
