"""Built-in backgrounds: pictures in the package, for a choice from the first minute."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["BUILTIN", "builtin_path"]

BUILTIN: Final = {
    "beach": "Beach",
    "office": "Office wall",
    "study": "Study",
    "lights": "City lights",
    "dusk": "Dusk",
    "studio": "Studio",
}
"""Words for the setting ``background``, and the names that the page shows.

``scripts/draw_backgrounds.py`` makes the files.
"""


def builtin_path(word: str) -> Path:
    """Return the path of a built-in background's file, 1920x1080 JPEG."""
    return Path(__file__).parent / "pictures" / f"{word}.jpg"
