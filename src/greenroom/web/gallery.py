"""Gallery of backgrounds: the built-in ones, and the user's own.

The user's backgrounds are files in a private data folder. Their names are random numbers; an index
beside them holds the displayed names and the order.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

from greenroom.backgrounds.builtin import builtin_path
from greenroom.errors import BackgroundError
from greenroom.media.file_writing import private_folder, write_atomically
from greenroom.specs import BUILTIN
from greenroom.web.uploads import first_picture, make_background

__all__ = ["Gallery", "Item", "display_name"]

logger = logging.getLogger(__name__)

_INDEX: Final = "index.json"
_ID: Final = re.compile(r"[0-9a-f]{16}")
_MAX_OWN_ITEMS: Final = 200
_MAX_NAME_CHARACTERS: Final = 60
# Still pictures are kept as JPEG.
_VIDEO_SUFFIXES: Final = (".gif", ".mov", ".mp4", ".webm", ".webp")


@dataclass(frozen=True, slots=True)
class Item:
    """One background.

    Attributes
    ----------
    id : str
        Identifier in addresses.
    name : str
        Name to display.
    kind : str
        ``picture`` or ``video``.
    path : str
        Value for the setting ``background``.
    is_own : bool
        Whether it is the user's own, so that it can be removed.
    """

    id: str
    name: str
    kind: str
    path: str
    is_own: bool


class Gallery:
    """Collection of backgrounds. All methods may be called on any thread.

    Parameters
    ----------
    folder : Path, optional
        Folder of the user's own backgrounds; by default in the user's data folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        data = platformdirs.user_data_path("greenroom", appauthor=False)
        self.folder = folder or data / "backgrounds"
        self._lock = threading.Lock()
        self._making = threading.Lock()  # one decoded picture in memory at a time

    def items(self) -> list[Item]:
        """Return all backgrounds in the user's order.

        Raises
        ------
        BackgroundError
            If the folder cannot be written to.
        """
        with self._lock:
            if self.folder.exists():  # an older version may have left it readable
                private_folder(self.folder)
            return self._items()

    def add(self, upload: Path, name: str) -> Item:
        """Add an uploaded file, as the first of all.

        Raises
        ------
        BackgroundError
            If it is not a picture or video, is too large or damaged, or there are too many.
        """
        with self._lock:
            if len(self._own_files()) >= _MAX_OWN_ITEMS:
                message = f"there are {_MAX_OWN_ITEMS} backgrounds of your own. Remove one first."
                raise BackgroundError(message)
        number = secrets.token_hex(8)
        name = display_name(name)
        try:
            with self._making:
                make_background(upload, self.folder / number, name)
        except OSError as error:
            raise self.unwritable(error) from error
        with self._lock:
            index = self._read_index()
            index["names"][number] = name
            index["order"] = [number, *(item.id for item in self._items() if item.id != number)]
            self._write_index(index)
            return self._find(number)

    def remove(self, number: str) -> None:
        """Remove a background of the user's own.

        Raises
        ------
        KeyError
            If the id is unknown.
        BackgroundError
            If it is a built-in one.
        """
        with self._lock:
            item = self._find(number)
            if not item.is_own:
                message = f"background '{item.name}' belongs to greenroom and cannot be removed."
                raise BackgroundError(message, item.path)
            try:
                Path(item.path).unlink(missing_ok=True)
                self._thumbnail_path(number).unlink(missing_ok=True)
            except OSError as error:
                raise self.unwritable(error) from error
            index = self._read_index()
            index["names"].pop(number, None)
            index["order"] = [other for other in index["order"] if other != number]
            self._write_index(index)

    def arrange(self, order: list[str]) -> None:
        """Change the order of backgrounds; those that are not listed follow.

        Raises
        ------
        KeyError
            If an id is unknown.
        """
        with self._lock:
            known = {item.id for item in self._items()}
            for number in order:
                if number not in known:
                    raise KeyError(number)
            self._write_index(self._read_index() | {"order": list(dict.fromkeys(order))})

    def find(self, number: str) -> Item:
        """Return one background.

        Raises
        ------
        KeyError
            If the id is unknown.
        """
        with self._lock:
            return self._find(number)

    def thumbnail(self, number: str) -> bytes:
        """Return a small JPEG of a background.

        Raises
        ------
        KeyError
            If the id is unknown.
        BackgroundError
            If it cannot be read.
        """
        item = self.find(number)
        picture = Path(item.path) if item.is_own else builtin_path(number)
        path = self._thumbnail_path(number)
        with suppress(OSError):
            if path.stat().st_mtime_ns >= picture.stat().st_mtime_ns:
                return path.read_bytes()
        data = first_picture(picture)
        with suppress(OSError):  # the thumbnail is made again next time
            write_atomically(path, data, private=True)
        return data

    def _items(self) -> list[Item]:
        index = self._read_index()
        items = {item.id: item for item in (*self._own(index["names"]), *_builtin())}
        placed = [items.pop(number) for number in index["order"] if number in items]
        return [*placed, *items.values()]

    def _find(self, number: str) -> Item:
        for item in self._items():
            if item.id == number:
                return item
        raise KeyError(number)

    def _own_files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*.*") if _ID.fullmatch(path.stem))

    def _own(self, names: dict[str, str]) -> list[Item]:
        return [
            Item(
                path.stem,
                names.get(path.stem, "Unnamed"),
                "video" if path.suffix in _VIDEO_SUFFIXES else "picture",
                str(path),
                is_own=True,
            )
            for path in self._own_files()
        ]

    def _thumbnail_path(self, number: str) -> Path:
        return self.folder / "thumbnails" / f"{number}.jpg"

    def _read_index(self) -> dict[str, Any]:
        """Read names and order; without a readable index both are empty."""
        try:
            read = json.loads((self.folder / _INDEX).read_text("utf-8"))
            names = {str(number): str(name) for number, name in read["names"].items()}
            return {"names": names, "order": [str(number) for number in read["order"]]}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            logger.warning("the names of backgrounds in %s cannot be read", self.folder)
        return {"names": {}, "order": []}

    def _write_index(self, index: dict[str, Any]) -> None:
        try:
            write_atomically(
                self.folder / _INDEX, json.dumps(index, indent=1).encode(), private=True
            )
        except OSError as error:
            raise self.unwritable(error) from error

    def unwritable(self, error: OSError) -> BackgroundError:
        """Make the error for a folder that cannot be written to."""
        message = (
            f"the folder of backgrounds '{self.folder}' cannot be written to: {error.strerror}. "
            f"Check its permissions and the free space."
        )
        return BackgroundError(message, self.folder)


def _builtin() -> list[Item]:
    return [Item(word, name, "picture", word, is_own=False) for word, name in BUILTIN.items()]


def display_name(name: str) -> str:
    """Return a name to display for a file name: without folders, suffix or odd characters."""
    last = re.split(r"[\\/]", name)[-1]
    stem = last.rpartition(".")[0] or last
    printable = "".join(letter for letter in stem if letter.isprintable())
    return (
        " ".join(printable.replace("_", " ").split())[:_MAX_NAME_CHARACTERS].strip(" .")
        or "Unnamed"
    )


def as_dict(item: Item) -> dict[str, Any]:
    """Return an item as plain values, with the address of its thumbnail."""
    return asdict(item) | {"thumbnail": f"/api/backgrounds/{item.id}/thumbnail"}
