"""Built-in backgrounds: pictures in the package, for a choice from the first minute."""

from __future__ import annotations

from pathlib import Path

__all__ = ["builtin_path"]


def builtin_path(word: str) -> Path:
    """Return the path of a built-in background's file, 1920x1080 JPEG.

    `greenroom.specs.BUILTIN` has the words; ``scripts/draw_backgrounds.py`` makes the files.
    """
    return Path(__file__).parent / "pictures" / f"{word}.jpg"
