"""Backgrounds that clients may choose: words, the operator's files, and a session's own uploads.

A client names a file only by an id that it was told: no path or address of its own is ever opened.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from greenroom.backgrounds.builtin import builtin_path
from greenroom.errors import BackgroundError, SettingsError
from greenroom.hosted.upload_folders import UploadFolder
from greenroom.media.file_writing import new_file
from greenroom.specs import BACKGROUND_KINDS, BUILTIN, ROOM_WORDS, Argument
from greenroom.web.gallery import display_name
from greenroom.web.uploads import first_picture, make_background

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["Choice", "OperatorBackgrounds", "Uploads"]

_PREFIX: Final = "picture:"
_MAX_UPLOADS: Final = 8
_VIDEO_SUFFIXES: Final = (".gif", ".mov", ".mp4", ".webm", ".webp")
_SUFFIXES: Final = (*_VIDEO_SUFFIXES, ".avif", ".bmp", ".heic", ".jpeg", ".jpg", ".png", ".tiff")
_NOT_HOSTED: Final = (*ROOM_WORDS, "transparent")


@dataclass(frozen=True, slots=True)
class Choice:
    """A background that a client may choose.

    Attributes
    ----------
    id : str
        In addresses.
    name : str
        To display.
    kind : str
        ``picture`` or ``video``.
    background : str
        The value of the setting ``background`` that a client sends.
    path : Path
        The file, which no client is told.
    is_own : bool
        Whether the session's client uploaded it.
    """

    id: str
    name: str
    kind: str
    background: str
    path: Path
    is_own: bool = False

    def told(self, thumbnail: str) -> dict[str, Any]:
        """Return what a client is told, with the address of the thumbnail."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "background": self.background,
            "thumbnail": thumbnail,
            "is_own": self.is_own,
        }


class OperatorBackgrounds:
    """The built-in pictures, and those in the operator's folder.

    Parameters
    ----------
    folder : Path, optional
        Read once, at the start.

    Raises
    ------
    BackgroundError
        If the folder cannot be read.
    """

    def __init__(self, folder: Path | None = None) -> None:
        choices = [
            Choice(word, name, "picture", word, builtin_path(word))
            for word, name in BUILTIN.items()
        ]
        for path in [] if folder is None else _files(folder):
            number = hashlib.sha256(path.name.encode("utf-8", "replace")).hexdigest()[:16]
            choices.append(_choice(number, display_name(path.name), path.resolve()))
        self._choices = {choice.id: choice for choice in choices}
        self._thumbnails: dict[str, bytes] = {}
        self._making = threading.Lock()  # one decoded picture in memory at a time

    @property
    def choices(self) -> tuple[Choice, ...]:
        """All of them, the built-in ones first."""
        return tuple(self._choices.values())

    def thumbnail(self, number: str) -> bytes:
        """Return a small JPEG.

        Raises
        ------
        KeyError
            If the id is unknown.
        BackgroundError
            If it cannot be read.
        """
        choice = self._choices[number]
        with self._making:
            if number not in self._thumbnails:
                self._thumbnails[number] = first_picture(choice.path)
            return self._thumbnails[number]


class Uploads:
    """Backgrounds of one session: those of everybody, and the client's uploads.

    Parameters
    ----------
    shared : OperatorBackgrounds
        What everybody may choose.

    Notes
    -----
    State: a private temporary folder, from the first upload to `close`. All methods may be called
    on any thread.
    """

    def __init__(self, shared: OperatorBackgrounds) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._folder: UploadFolder | None = None
        self._own: dict[str, Choice] = {}
        self._coming: set[Path] = set()
        self._closed = False

    def open_upload(self) -> tuple[BinaryIO, Path]:
        """Return a new private file for an upload, and its path: `end_upload` has to follow.

        Raises
        ------
        BackgroundError
            If there are too many, the session has ended, or there is no room for it.
        """
        with self._lock:
            if self._closed:
                message = "the session has ended"
                raise BackgroundError(message)
            if len(self._own) + len(self._coming) >= _MAX_UPLOADS:
                message = f"there are {_MAX_UPLOADS} uploads in this session, which are all it may"
                raise BackgroundError(message)
            try:
                path = self._private_folder() / f"upload-{secrets.token_hex(8)}"
                file = new_file(path, private=True)
            except OSError as error:
                message = f"the upload cannot be kept: {error.strerror}"
                raise BackgroundError(message) from error
            self._coming.add(path)
        return file, path

    def end_upload(self, path: Path) -> None:
        """Delete a file of `open_upload`."""
        with self._lock:
            self._coming.discard(path)
        path.unlink(missing_ok=True)

    def add(self, upload: Path, name: str) -> Choice:
        """Make a background of an uploaded file.

        Raises
        ------
        BackgroundError
            If it is not a picture or video, or is too large or damaged.
        """
        number = secrets.token_hex(8)
        shown = display_name(name)
        path = make_background(upload, upload.with_name(number), shown)
        choice = _choice(number, shown, path, is_own=True)
        with self._lock:
            self._coming.discard(upload)
            if self._closed or len(self._own) >= _MAX_UPLOADS:
                path.unlink(missing_ok=True)
                message = "the session has ended, or has too many uploads"
                raise BackgroundError(message)
            self._own[number] = choice
        return choice

    def thumbnail(self, number: str) -> bytes:
        """Return a small JPEG of one of the session's own.

        Raises
        ------
        KeyError
            If the id is unknown.
        """
        return first_picture(self._own[number].path)

    def resolve(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return a client's settings with the background as the engine names it.

        Raises
        ------
        SettingsError
            If the background is neither a word, a colour nor the id of a known picture.
        """
        resolved = dict(values)
        if "background" in values:
            resolved["background"] = self._resolved(values["background"])
        return resolved

    def shown(self, background: str) -> str:
        """Return a background in force as clients name it."""
        for choice in self._all():
            if background == str(choice.path):
                return choice.background
        return background if _is_word(background) else "operator"

    def close(self) -> None:
        """Delete the uploads."""
        with self._lock:
            self._closed = True
            self._own.clear()
            folder, self._folder = self._folder, None
        if folder is not None:
            folder.delete()

    def _private_folder(self) -> Path:
        if self._folder is None:
            self._folder = UploadFolder()
        return self._folder.path

    def _resolved(self, background: object) -> str:
        if isinstance(background, str):
            for choice in self._all():
                if background == choice.background:
                    return str(choice.path)
            if _is_word(background):
                return background
        kinds = ", ".join(word for word in BACKGROUND_KINDS if word not in _NOT_HOSTED)
        message = (
            f"setting 'background': expected {kinds} (with a value after a colon), "
            f"{', '.join(BUILTIN)}, or a picture's value from the list of backgrounds"
        )
        raise SettingsError(message, "background")

    def _all(self) -> tuple[Choice, ...]:
        with self._lock:
            return (*self._shared.choices, *self._own.values())


def _is_word(background: str) -> bool:
    """Whether a background is a word or colour that a client may choose, and never a file.

    A word without the value that it needs would be taken for the name of a file.
    """
    word, colon, value = background.partition(":")
    kind = BACKGROUND_KINDS.get(word)
    if kind is None or word in _NOT_HOSTED:
        return False
    return bool(value) if colon else kind.argument is not Argument.REQUIRED


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(
            path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()
        )
    except OSError as error:
        message = f"the folder of backgrounds '{folder}' cannot be read: {error.strerror}"
        raise BackgroundError(message, folder) from error


def _choice(number: str, name: str, path: Path, *, is_own: bool = False) -> Choice:
    kind = "video" if path.suffix.lower() in _VIDEO_SUFFIXES else "picture"
    return Choice(number, name, kind, f"{_PREFIX}{number}", path, is_own)
