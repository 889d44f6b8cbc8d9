"""Records about models in the cache: accepted licences and hashes."""

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
    """Record of one model.

    Attributes
    ----------
    accepted : str
        The accepted licence.
    pinned : dict of str to str
        Hashes of trusted files without a documented hash, by file name.
    checked : dict of str to (int, int, str)
        Size, modification time and hash of files at their last check, by path.
    """

    accepted: str = ""
    pinned: dict[str, str] = {}
    checked: dict[str, tuple[int, int, str]] = {}

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the record in a model's folder; empty if missing or damaged."""
        try:
            return cls.model_validate_json((folder / _NAME).read_text("utf-8"))
        except (OSError, ValueError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write the record atomically.

        Raises
        ------
        OSError
            If the folder cannot be written to.
        """
        data = self.model_dump_json(indent=1).encode()
        write_atomically(folder / _NAME, data, private=False)


def digest(path: Path, kind: str) -> str:
    """Return the hash of a file in the notation of cards, such as ``sha256:`` and 64 digits."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
