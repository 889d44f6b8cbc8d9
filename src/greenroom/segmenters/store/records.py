"""What the store remembers of a model, beside its file in the cache."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Self

from pydantic import BaseModel

from greenroom.media.file_writing import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Record", "digest"]

_NAME: Final = "record.json"


class Record(BaseModel):
    """What is remembered of one model.

    Attributes
    ----------
    accepted : str
        The licence that was accepted.
    pinned : dict of str to str
        The hash of a file that came without one, by the file's name.
    checked : dict of str to (int, int, str)
        The hash that a file had, by its path, with its size and time of change then.
    """

    accepted: str = ""
    pinned: dict[str, str] = {}
    checked: dict[str, tuple[int, int, str]] = {}

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record of a model's folder; an empty one if there is none that can be used."""
        try:
            return cls.model_validate_json((folder / _NAME).read_text("utf-8"))
        except (OSError, ValueError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write the record in one step.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        """
        data = self.model_dump_json(indent=1).encode()
        write_atomically(folder / _NAME, data, private=False)


def digest(path: Path, kind: str) -> str:
    """Return the hash of a file as cards write it, such as ``sha256:`` and 64 digits."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
