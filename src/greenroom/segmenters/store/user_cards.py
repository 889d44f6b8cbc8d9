"""Installation and removal of the user's own models."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from greenroom.errors import ModelError, SettingsError
from greenroom.media.file_writing import atomic_file
from greenroom.segmenters.card import Card
from greenroom.segmenters.catalogue import (
    CARD_SUFFIX,
    PACKAGE_CARDS,
    card_named,
    cards,
    user_cards_folder,
)
from greenroom.segmenters.store import Place

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.segmenters.store import Store

__all__ = ["add_card", "remove_card"]


def add_card(
    path: Path, weights: Path | None, store: Store, *, overwrite: bool = False
) -> list[Path]:
    """Copy a card and its weights to the user's models.

    Parameters
    ----------
    path : Path
        The card.
    weights : Path, optional
        Its weights; by default the file named in the card, beside it.
    store : Store
        Stores the weights' hash if the card has none.
    overwrite : bool
        Whether to replace a card of that name.

    Returns
    -------
    list of Path
        The created files.

    Raises
    ------
    SettingsError
        If the card's name is taken, or the weights do not belong to it.
    ModelError
        If the card or the weights are invalid, or cannot be written.
    """
    card = Card.read(path)
    target = _new_card_path(card, overwrite=overwrite)
    source = _weights_source(card, path, weights)
    if overwrite:
        store.remove(card)
    made = []
    if source is not None:
        store.verify(card, source)
        assert card.file is not None
        made.append(_copy(source, target.parent / card.file.name))
        if not card.file.hash:
            store.pin(card, made[0])
    return [*made, _copy(path, target)]


def remove_card(name: str, store: Store) -> list[Path]:
    """Remove a user's card with its weights, or the downloaded weights of a packaged one.

    Returns
    -------
    list of Path
        The removed files.

    Raises
    ------
    SettingsError
        If no card has that name.
    ModelError
        If there is nothing to remove.
    """
    own = user_cards_folder() / f"{name}{CARD_SUFFIX}"
    if not _is_packaged(name) and own.is_file():
        return _remove_own(own, store)
    card = card_named(name)
    if removed := store.remove(card):
        return removed
    found = store.locate(card)
    if card.file is None or (found is not None and found[0] is Place.EMBEDDED):
        why = "it is a part of greenroom"
    elif found is not None:
        why = f"'{found[1]}' is in a folder of your own; remove it there"
    else:
        why = "nothing of it was downloaded"
    message = f"model '{name}' cannot be removed: {why}."
    raise ModelError(message)


def _is_packaged(name: str) -> bool:
    return (PACKAGE_CARDS / f"{name}{CARD_SUFFIX}").is_file()


def _new_card_path(card: Card, *, overwrite: bool) -> Path:
    """Return the path for a new card; raise if its names are taken."""
    if _is_packaged(card.name):
        message = f"'{card.name}' is a model of greenroom. Give the card another name."
        raise SettingsError(message)
    target = user_cards_folder() / f"{card.name}{CARD_SUFFIX}"
    if target.exists() and not overwrite:
        message = f"model '{card.name}' is there already: '{target}'. Replace it with --overwrite."
        raise ModelError(message, target)
    file = card.file
    for other in cards().values():
        if (
            file is not None
            and other.file is not None
            and other.folder == target.parent
            and other.name != card.name
            and other.file.name == file.name
        ):
            message = (
                f"model '{other.name}' has a file '{file.name}' too. Give the file another name in "
                f"the card."
            )
            raise SettingsError(message)
    return target


def _weights_source(card: Card, path: Path, weights: Path | None) -> Path | None:
    """Return the weights to copy; None if they are downloaded later, or do not exist."""
    if card.file is None:
        if weights is not None:
            message = f"model card '{path}' is of a model without weights. Leave them out."
            raise SettingsError(message)
        return None
    if weights is not None:
        return weights
    beside = path.parent / card.file.name
    if beside.is_file():
        return beside
    if card.file.url is None and not card.file.embedded:
        message = (
            f"model card '{path}' has no address for '{card.file.name}', which is not beside it "
            f"either. Give the weights after the card."
        )
        raise ModelError(message, path)
    return None


def _copy(source: Path, target: Path) -> Path:
    """Copy a file atomically."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as original, atomic_file(target, private=False) as copy:
            shutil.copyfileobj(original, copy)
    except OSError as error:
        reason = str(error.strerror or error).lower()
        message = f"'{source}' cannot be copied to '{target}': {reason}."
        raise ModelError(message, source) from error
    return target


def _remove_own(path: Path, store: Store) -> list[Path]:
    """Remove a user's card, even an unreadable one."""
    paths = [path]
    removed: list[Path] = []
    try:
        card = Card.read(path)
    except ModelError:
        card = None
    if card is not None:
        removed = store.remove(card)
        if card.file is not None and (weights := path.parent / card.file.name).is_file():
            paths.append(weights)
    try:
        for one in paths:
            one.unlink()
    except OSError as error:
        message = f"'{path}' cannot be removed: {str(error.strerror).lower()}."
        raise ModelError(message, path) from error
    return [*paths, *removed]
