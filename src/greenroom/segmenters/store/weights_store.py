"""Where the weights of models are: found on this machine, or downloaded once.

They are looked for beside a user's own card, in the package, in the models folder, and in
the cache, in this order. Nothing is downloaded unless it is said before, and a file whose
hash is not the expected one is never given to a runtime.
"""

from __future__ import annotations

import contextlib
import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from greenroom.errors import ModelError, SettingsError
from greenroom.media.decoding import is_folder
from greenroom.segmenters.catalogue import PACKAGE_CARDS
from greenroom.segmenters.store.download import Download
from greenroom.segmenters.store.licences import concern
from greenroom.segmenters.store.records import Record, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.segmenters.card import Card, FileSpec

__all__ = ["MODELS_DIR_VARIABLE", "Place", "Store", "size_text"]

# Names the models folder where nothing else does.
MODELS_DIR_VARIABLE: Final = "GREENROOM_MODELS_DIR"
_EMBEDDED: Final = Path(__file__).parents[1] / "embedded"
# The hash of a smaller file costs less than to remember it.
_REMEMBERED_BYTES: Final = 8 << 20
_LOG: Final = logging.getLogger(__name__)


class Place(StrEnum):
    """Where weights were found."""

    OWN = "own"
    EMBEDDED = "embedded"
    MODELS_DIR = "models folder"
    CACHE = "cache"


class Store:
    """The weights on this machine.

    Parameters
    ----------
    models_dir : Path, optional
        A folder of the user's own; by default what ``GREENROOM_MODELS_DIR`` names. It is
        only read.
    cache_dir : Path, optional
        Where downloads go; by default the user's cache.

    Raises
    ------
    SettingsError
        If the models folder is not there.
    """

    def __init__(self, models_dir: Path | None = None, cache_dir: Path | None = None) -> None:
        named = os.environ.get(MODELS_DIR_VARIABLE)
        self._models_dir = models_dir or (Path(named) if named else None)
        self._cache_dir = (
            cache_dir or platformdirs.user_cache_path("greenroom", appauthor=False) / "models"
        )
        if self._models_dir is not None and not is_folder(self._models_dir):
            message = (
                f"models folder '{self._models_dir}' is not there. Give a folder with model files, "
                f"by --models-dir or {MODELS_DIR_VARIABLE}."
            )
            raise SettingsError(message, "models_dir")

    def locate(self, card: Card) -> tuple[Place, Path] | None:
        """Tell where a model's weights are, without a look at what they are."""
        if card.file is None:
            return None
        expected = self.expected_hash(card)
        for place, path in self._places(card, card.file):
            # A file in the cache that nothing vouches for was not put there by `get`.
            if path.is_file() and (expected or place is not Place.CACHE):
                return place, path
        return None

    def find(self, card: Card) -> Path | None:
        """Return a model's weights if they are on this machine.

        The hash of a large file is computed once, and again when its size or time changes.

        Raises
        ------
        ModelError
            If they are not what the card says.
        """
        found = self.locate(card)
        if found is None:
            return None
        self.check(card, found[1])
        return found[1]

    def get(
        self,
        card: Card,
        *,
        accept_license: bool = False,
        trust: bool = False,
        on_start: Callable[[str], None] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Path:
        """Return a model's weights, downloaded if they are not on this machine.

        Parameters
        ----------
        card : Card
            The model.
        accept_license : bool
            Whether its licence is accepted; needed once if it is not a permissive one.
        trust : bool
            Whether a file without a documented hash is taken. Its hash is remembered then,
            and expected from then on.
        on_start : callable, optional
            Called before a download with a sentence that says what comes, from where, how
            large, and under which licence. By default the sentence is logged as a warning.
        progress : callable, optional
            Called with the bytes so far, and all of them where that is known.

        Raises
        ------
        ModelError
            If they cannot be had, or are not what the card says.
        """
        found = self.find(card)
        if found is not None:
            return found
        file, url = _downloadable(card)
        self._ask(card, accept_license=accept_license, trust=trust)
        (on_start or _LOG.warning)(_announcement(card, file))
        target = self._folder(card) / file.name
        download = Download(url, target, file.size, progress)
        download.run(lambda part: self._compare(card, file, part, url))
        if not self.expected_hash(card):
            self.pin(card, target)
        return target

    def expected_hash(self, card: Card) -> str:
        """Return the hash of the card, or else the one that was pinned; empty without both."""
        if card.file is None:
            return ""
        return card.file.hash or Record.read(self._folder(card)).pinned.get(card.file.name, "")

    def check(self, card: Card, path: Path) -> None:
        """Compare a file with what the card says, unless it was done before.

        Raises
        ------
        ModelError
            If it is not the same, or cannot be read.
        """
        if card.file is None:
            return
        record = Record.read(self._folder(card))
        try:
            status = path.stat()
            key = str(path.resolve())
        except OSError as error:
            raise _unreadable(path, error) from error
        known = (status.st_size, status.st_mtime_ns, self.expected_hash(card))
        if record.checked.get(key) == known:
            return
        self._compare(card, card.file, path, str(path))
        if status.st_size < _REMEMBERED_BYTES:
            return
        record.checked[key] = known
        # A cache that cannot be written to only means that it is computed again.
        with contextlib.suppress(OSError):
            record.write(self._folder(card))

    def verify(self, card: Card, path: Path) -> None:
        """Compare a file with what the card says, whatever was found before.

        Raises
        ------
        ModelError
            If it is not the same, or cannot be read.
        """
        if card.file is not None:
            self._compare(card, card.file, path, str(path))

    def pin(self, card: Card, path: Path) -> None:
        """Remember a file's hash as the one to expect, or remove the file.

        Raises
        ------
        ModelError
            If it cannot be remembered.
        """
        try:
            record = Record.read(self._folder(card))
            record.pinned[path.name] = digest(path, "sha256")
            record.write(self._folder(card))
        except OSError as error:
            path.unlink(missing_ok=True)
            message = (
                f"the hash of '{path}' cannot be remembered in '{self._folder(card)}': "
                f"{str(error.strerror).lower()}. Make room, or make that folder writable."
            )
            raise ModelError(message, path) from error

    def remove(self, card: Card) -> list[Path]:
        """Remove what was downloaded and remembered of a model, and tell which files.

        Raises
        ------
        ModelError
            If it cannot be removed.
        """
        folder = self._folder(card)
        try:
            removed = sorted(folder.iterdir()) if folder.is_dir() else []
            for path in removed:
                path.unlink()
            if removed:
                folder.rmdir()
        except OSError as error:
            message = f"folder '{folder}' cannot be removed: {str(error.strerror).lower()}."
            raise ModelError(message, folder) from error
        return removed

    def _places(self, card: Card, file: FileSpec) -> Iterator[tuple[Place, Path]]:
        if card.folder is not None and card.folder != PACKAGE_CARDS:
            yield Place.OWN, card.folder / file.name
        if file.embedded:
            yield Place.EMBEDDED, _EMBEDDED / file.name
        if self._models_dir is not None:
            yield Place.MODELS_DIR, self._models_dir / file.name
        yield Place.CACHE, self._folder(card) / file.name

    def _ask(self, card: Card, *, accept_license: bool, trust: bool) -> None:
        """Refuse a download that the user has not agreed to."""
        reason = concern(card.license)
        record = Record.read(self._folder(card))
        if reason is not None and record.accepted != card.license:
            if not accept_license:
                message = (
                    f"the licence of model '{card.name}' is {reason}: {_licence(card)}. If you "
                    f"accept it, get the model with --accept-license."
                )
                raise ModelError(message)
            record.accepted = card.license
            with contextlib.suppress(OSError):
                record.write(self._folder(card))
        if not trust and not self.expected_hash(card):
            message = (
                f"no hash of the weights of model '{card.name}' is documented, so what comes "
                f"cannot be checked. If you trust the address, run greenroom models get "
                f"{card.name} --trust."
            )
            raise ModelError(message)

    def _compare(self, card: Card, file: FileSpec, path: Path, what: str) -> None:
        """Raise unless a file has the size and hash that are expected."""
        expected = self.expected_hash(card)
        try:
            size = path.stat().st_size
            same_size = file.size in (None, size)
            kind = expected.partition(":")[0]
            got = digest(path, kind) if expected and same_size else expected
        except OSError as error:
            raise _unreadable(path, error) from error
        if same_size and got == expected:
            return
        wrong = f"{expected}, but has {got}"
        if not same_size:
            wrong = f"{file.size:,} bytes, but has {size:,}"
        elif not file.hash:
            wrong = f"{expected}, as it had when it was first trusted, but has {got}"
        message = (
            f"'{what}' is not the file of model '{card.name}': it should have {wrong}. Do not use "
            f"it; greenroom models remove {card.name} forgets what was downloaded."
        )
        raise ModelError(message, path)

    def _folder(self, card: Card) -> Path:
        return self._cache_dir / card.name


def size_text(size: int | None) -> str:
    """Write a number of bytes for reading, "-" for none and "unknown" for no number.

    Examples
    --------
    >>> size_text(2779264), size_text(395434), size_text(0), size_text(None)
    ('2.8 MB', '0.4 MB', '-', 'unknown')
    """
    if not size:
        return "unknown" if size is None else "-"
    return f"{size / 1e6:,.1f} MB"


def _downloadable(card: Card) -> tuple[FileSpec, str]:
    """Return a card's file and its address, or say why there is nothing to download."""
    if card.file is None:
        message = f"model '{card.name}' has no weights of its own."
        raise ModelError(message)
    if card.file.embedded:
        path = _EMBEDDED / card.file.name
        message = (
            f"the weights of model '{card.name}' are missing from the installation: expected "
            f"'{path}'. Install greenroom again with pip."
        )
        raise ModelError(message, path)
    if card.file.url is None:
        message = (
            f"the weights of model '{card.name}' are not here, and its card has no address for "
            f"them: put '{card.file.name}' beside the card or into the folder of --models-dir."
        )
        raise ModelError(message)
    return card.file, card.file.url


def _announcement(card: Card, file: FileSpec) -> str:
    return (
        f"downloading model '{card.name}', size {size_text(file.size)}, from {file.url}, "
        f"licence {_licence(card)}"
    )


def _licence(card: Card) -> str:
    return f"{card.license} ({card.license_url})" if card.license_url else card.license


def _unreadable(path: Path, error: OSError) -> ModelError:
    message = f"model file '{path}' cannot be read: {str(error.strerror).lower()}."
    return ModelError(message, path)
