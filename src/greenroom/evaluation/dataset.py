"""Datasets of labelled pictures and clips.

A dataset is a folder with pictures in ``image/`` and their true mattes, by the same names, in
``mask/``; or a folder of clips, each ``NAME.mp4`` (or another video) with its true matte in
``NAME.alpha.mkv``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from greenroom.errors import SourceError
from greenroom.media.image_files import pictures_in
from greenroom.media.paths import is_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LabelledMedia", "evaluation_error", "find_cases"]

_ALPHA: Final = ".alpha.mkv"
_VIDEO_SUFFIXES: Final = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v")


@dataclass(frozen=True, slots=True)
class LabelledMedia:
    """A labelled picture or clip.

    Attributes
    ----------
    name : str
        The file's name without its suffix.
    path, truth : Path
        The picture or clip, and its true matte.
    is_clip : bool
        Whether it is a clip rather than a picture.
    """

    name: str
    path: Path
    truth: Path
    is_clip: bool


def find_cases(folder: Path) -> list[LabelledMedia]:
    """List the labelled pictures or clips of a folder, sorted by name.

    Raises
    ------
    SourceError
        If the folder is not a dataset, or a picture or clip has no true matte.
    """
    if is_folder(folder / "image") and is_folder(folder / "mask"):
        masks = {path.stem: path for path in pictures_in(folder / "mask")}
        pictures = pictures_in(folder / "image")
        for path in pictures:
            if path.stem not in masks:
                reason = f"'{path}' has no mask of its name in '{folder / 'mask'}'"
                raise evaluation_error(folder, reason)
        cases = [
            LabelledMedia(path.stem, path, masks[path.stem], is_clip=False) for path in pictures
        ]
    else:
        cases = [_clip(folder, truth) for truth in _sorted(folder, f"*{_ALPHA}")]
    if not cases:
        reason = (
            "expected pictures in image/ and their mattes in mask/, or clips NAME.mp4 with "
            f"NAME{_ALPHA}"
        )
        raise evaluation_error(folder, reason)
    return cases


def _clip(folder: Path, truth: Path) -> LabelledMedia:
    name = truth.name.removesuffix(_ALPHA)
    for suffix in _VIDEO_SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return LabelledMedia(name, folder / f"{name}{suffix}", truth, is_clip=True)
    reason = f"'{truth.name}' has no clip '{name}.mp4' beside it"
    raise evaluation_error(folder, reason)


def _sorted(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern)) if is_folder(folder) else []


def evaluation_error(path: Path, reason: str) -> SourceError:
    """Return the error for a file or folder that cannot be evaluated."""
    return SourceError(f"'{path}' cannot be evaluated: {reason}.", path)
