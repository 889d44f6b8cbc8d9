"""Store of model weights: files on this machine, or downloaded once.

Weights are searched beside a user's card, in the package, in the models folder, and in the cache,
in this order. Every download is announced, and a file with an unexpected hash never reaches a
runtime.
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
from greenroom.media.paths import is_folder
from greenroom.segmenters.catalogue import PACKAGE_CARDS
from greenroom.segmenters.store.download import Download
from greenroom.segmenters.store.licences import concern
from greenroom.segmenters.store.records import Record, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from greenroom.segmenters.card import Card, FileSpec

__all__ = ["MODELS_DIR_VARIABLE", "Place", "Store", "cache_folder", "size_text"]

# Environment variable with the default models folder.
MODELS_DIR_VARIABLE: Final = "GREENROOM_MODELS_DIR"
_EMBEDDED: Final = Path(__file__).parents[1] / "embedded"
# Hashing a smaller file is cheaper than recording its hash.
_MIN_RECORDED_BYTES: Final = 8 << 20
logger = logging.getLogger(__name__)


class Place(StrEnum):
    """Kind of place of weights."""

    OWN = "own"
    EMBEDDED = "embedded"
    MODELS_DIR = "models folder"
    CACHE = "cache"


class Store:
    """Weights on this machine.

    Parameters
    ----------
    models_dir : Path, optional
        A folder of the user's, read only; by default from ``GREENROOM_MODELS_DIR``.
    cache_dir : Path, optional
        Folder for downloads; by default in the user's cache.

    Raises
    ------
    SettingsError
        If the models folder does not exist.
    """

    def __init__(self, models_dir: Path | None = None, cache_dir: Path | None = None) -> None:
        named = os.environ.get(MODELS_DIR_VARIABLE)
        self._models_dir = models_dir or (Path(named) if named else None)
        self._cache_dir = cache_dir or _cache()
        if self._models_dir is not None and not is_folder(self._models_dir):
            message = (
                f"models folder '{self._models_dir}' is not there. Give a folder with model files, "
                f"by --models-dir or {MODELS_DIR_VARIABLE}."
            )
            raise SettingsError(message, "models_dir")

    def locate(self, card: Card) -> tuple[Place, Path] | None:
        """Find a model's weights without checking them."""
        if card.file is None:
            return None
        expected = self.expected_hash(card)
        for place, path in self._places(card, card.file):
            # Without a known hash a file in the cache does not come from `get`.
            if path.is_file() and (expected or place is not Place.CACHE):
                return place, path
        return None

    def find(self, card: Card) -> Path | None:
        """Return a model's checked weights if they are on this machine.

        A large file is hashed again only after a change of its size or modification time.

        Raises
        ------
        ModelError
            If they do not match the card.
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
        """Return a model's weights, downloading them if needed.

        Parameters
        ----------
        card : Card
            The model.
        accept_license : bool
            Whether its licence is accepted; needed once unless it is permissive.
        trust : bool
            Whether to accept a file without a documented hash. Its hash is then stored, and
            expected from then on.
        on_start : callable, optional
            Called before a download with a sentence about source, size and licence, which is
            logged as a warning by default.
        progress : callable, optional
            Called with the bytes so far, and the total if known.

        Raises
        ------
        ModelError
            If they are unavailable, or do not match the card.
        """
        found = self.find(card)
        if found is not None:
            return found
        file, url = _downloadable(card)
        self._check_consent(card, accept_license=accept_license, trust=trust)
        (on_start or logger.warning)(_announcement(card, file))
        target = self._folder(card) / file.name
        download = Download(url, target, file.size, progress)
        download.run(lambda part: self._compare(card, file, part, url))
        if not self.expected_hash(card):
            self.pin(card, target)
        return target

    def expected_hash(self, card: Card) -> str:
        """Return the hash from the card or the record; empty if there is neither."""
        if card.file is None:
            return ""
        return card.file.hash or Record.read(self._folder(card)).pinned.get(card.file.name, "")

    def check(self, card: Card, path: Path) -> None:
        """Check a file against the card, unless it is unchanged since the last check.

        Raises
        ------
        ModelError
            If it does not match, or cannot be read.
        """
        record = Record.read(self._folder(card))
        try:
            status = path.stat()
            key = str(path.resolve())
        except OSError as error:
            raise _unreadable(path, error) from error
        known = (status.st_size, status.st_mtime_ns, self.expected_hash(card))
        if record.checked.get(key) == known:
            return
        self.verify(card, path)
        if status.st_size < _MIN_RECORDED_BYTES:
            return
        record.checked[key] = known
        # Without a writable cache the hash is computed again next time.
        with contextlib.suppress(OSError):
            record.write(self._folder(card))

    def verify(self, card: Card, path: Path) -> None:
        """Check a file against the card, regardless of earlier checks.

        Raises
        ------
        ModelError
            If it does not match, or cannot be read.
        """
        if card.file is not None:
            self._compare(card, card.file, path, str(path))

    def pin(self, card: Card, path: Path) -> None:
        """Store a file's hash as the expected one; remove the file if that fails.

        Raises
        ------
        ModelError
            If it cannot be stored.
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
        """Remove a model's downloads and record, and return the removed files.

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

    def _check_consent(self, card: Card, *, accept_license: bool, trust: bool) -> None:
        """Raise unless the user has consented to the download."""
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
        """Raise unless a file has the expected size and hash."""
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


def cache_folder(card: Card) -> Path:
    """Return the folder in the user's cache of what is downloaded for a model, or made of it.

    It may not exist. `Store.remove` removes it.
    """
    return _cache() / card.name


def _cache() -> Path:
    return platformdirs.user_cache_path("greenroom", appauthor=False) / "models"


def size_text(size: int | None) -> str:
    """Return a number of bytes as text, "-" for 0 and "unknown" for None.

    Examples
    --------
    >>> size_text(2779264), size_text(395434), size_text(0), size_text(None)
    ('2.8 MB', '0.4 MB', '-', 'unknown')
    """
    if not size:
        return "unknown" if size is None else "-"
    return f"{size / 1e6:,.1f} MB"


def _downloadable(card: Card) -> tuple[FileSpec, str]:
    """Return a card's file and its address; raise if it cannot be downloaded."""
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
