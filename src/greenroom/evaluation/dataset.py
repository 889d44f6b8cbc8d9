"""Labelled pictures and clips: what there is to measure models on.

A dataset is a folder with pictures in ``image/`` and their true mattes, by the same names, in
``mask/``; or a folder of clips, each ``NAME.mp4`` (or another video) with its true matte in
``NAME.alpha.mkv``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from greenroom.errors import SourceError
from greenroom.media.decoding import is_folder
from greenroom.media.image_files import pictures_in

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Case", "find_cases", "not_evaluable"]

_ALPHA: Final = ".alpha.mkv"
_VIDEO_SUFFIXES: Final = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v")


@dataclass(frozen=True, slots=True)
class Case:
    """A labelled picture or clip.

    Attributes
    ----------
    name : str
        The file's name without its suffix.
    path, truth : Path
        The picture or clip, and its true matte.
    is_clip : bool
        Whether it moves.
    """

    name: str
    path: Path
    truth: Path
    is_clip: bool


def find_cases(folder: Path) -> list[Case]:
    """List what is labelled in a folder, by name.

    Raises
    ------
    SourceError
        If it is no dataset, or something has no true matte.
    """
    if is_folder(folder / "image") and is_folder(folder / "mask"):
        masks = {path.stem: path for path in pictures_in(folder / "mask")}
        pictures = pictures_in(folder / "image")
        for path in pictures:
            if path.stem not in masks:
                reason = f"'{path}' has no mask of its name in '{folder / 'mask'}'"
                raise not_evaluable(folder, reason)
        cases = [Case(path.stem, path, masks[path.stem], is_clip=False) for path in pictures]
    else:
        cases = [_clip(folder, truth) for truth in _sorted(folder, f"*{_ALPHA}")]
    if not cases:
        reason = (
            "expected pictures in image/ and their mattes in mask/, or clips NAME.mp4 with "
            f"NAME{_ALPHA}"
        )
        raise not_evaluable(folder, reason)
    return cases


def _clip(folder: Path, truth: Path) -> Case:
    name = truth.name.removesuffix(_ALPHA)
    for suffix in _VIDEO_SUFFIXES:
        if (folder / f"{name}{suffix}").is_file():
            return Case(name, folder / f"{name}{suffix}", truth, is_clip=True)
    reason = f"'{truth.name}' has no clip '{name}.mp4' beside it"
    raise not_evaluable(folder, reason)


def _sorted(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern)) if is_folder(folder) else []


def not_evaluable(path: Path, reason: str) -> SourceError:
    """Make the error for something that cannot be measured on."""
    return SourceError(f"'{path}' cannot be evaluated: {reason}.", path)
