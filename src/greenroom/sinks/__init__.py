"""Sinks: where frames go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.decoding import STDIN
from greenroom.errors import SettingsError
from greenroom.sinks.base import Sink
from greenroom.sinks.codecs import CONTAINERS
from greenroom.sinks.pictures import WRITTEN_SUFFIXES, PictureSink, numbered
from greenroom.sinks.video import VideoSink
from greenroom.sinks.y4m import Y4MSink
from greenroom.sources.base import SourceInfo

if TYPE_CHECKING:
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
]


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
    if len(info.pictures) > 1 or (info.pictures and path.is_dir()):
        return PictureSink(_in_folder(path, settings, info), settings, info.files)
    if suffix in WRITTEN_SUFFIXES:
        names = numbered(path) if "%" in path.name else [path]
        return PictureSink(names, settings, info.files)
    if suffix in CONTAINERS:
        return VideoSink(path, settings, info)
    message = (
        f"output '{path}' has an unknown extension: expected one of "
        f"{', '.join([*CONTAINERS, *WRITTEN_SUFFIXES])}, a folder for pictures, or -."
    )
    raise SettingsError(message)


def check_sink(name: str | Path, settings: Settings, info: SourceInfo | None) -> None:
    """Refuse an output that cannot be written, before anything is made for it.

    Parameters
    ----------
    name : path
        As in `create_sink`.
    settings : Settings
        Kind of picture or video, and whether to overwrite.
    info : SourceInfo or None
        Of the source, if it is known.

    Raises
    ------
    SettingsError, SinkError
        As in `create_sink`.
    """
    sink = create_sink(name, settings, info or SourceInfo(str(name)))
    if isinstance(sink, PictureSink):
        sink.check()
    sink.abort()


def _in_folder(folder: Path, settings: Settings, info: SourceInfo) -> list[Path]:
    """Name the outputs of unrelated pictures after them."""
    if folder.suffix or "%" in folder.name:
        message = (
            f"output '{folder}': several pictures need a folder to go to. To read them as the "
            f"frames of a video, give the input as a pattern such as frames/%04d.png."
        )
        raise SettingsError(message)
    keeps_kind = settings.background != "transparent"
    return [folder / _written_name(name, keeps_kind=keeps_kind) for name in info.pictures]


def _written_name(name: str, *, keeps_kind: bool) -> str:
    path = Path(name)
    return name if keeps_kind and path.suffix.lower() in WRITTEN_SUFFIXES else f"{path.stem}.png"
