"""Catalogue of the model cards of the package and of the user."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs

from greenroom.errors import ModelError, SettingsError
from greenroom.segmenters.card import Card

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = [
    "CARD_SUFFIX",
    "PACKAGE_CARDS",
    "card_named",
    "cards",
    "read_cards",
    "required_cards",
    "user_cards_folder",
]

CARD_SUFFIX: Final = ".toml"
PACKAGE_CARDS: Final = Path(__file__).parent / "cards"


def user_cards_folder() -> Path:
    """Return the folder of the user's own cards, which may not exist."""
    return platformdirs.user_config_path("greenroom", appauthor=False) / "models"


def cards() -> Mapping[str, Card]:
    """Return all readable cards by name, the package's first."""
    return read_cards()[0]


def read_cards() -> tuple[Mapping[str, Card], list[ModelError]]:
    """Return all readable cards by name, and the errors of the user's others."""
    found, errors = {}, []
    for name, path in _paths().items():
        try:
            found[name] = _read(path)
        except ModelError as error:
            errors.append(error)
    return found, errors


def card_named(model: str) -> Card:
    """Return the card of a model without reading any other.

    Parameters
    ----------
    model : str
        Its name, or the path of a card (``.toml``).

    Raises
    ------
    SettingsError
        If no card has that name.
    ModelError
        If the card cannot be read or says something wrong.
    """
    if model.lower().endswith(CARD_SUFFIX):
        return Card.read(Path(model))
    paths = _paths()
    if model in paths:
        return _read(paths[model])
    near = difflib.get_close_matches(model.lower(), paths, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(paths)}."
    message = f"unknown model '{model}': {hint}"
    raise SettingsError(message, "model")


def required_cards(card: Card) -> list[Card]:
    """Return the cards of the weights that a model needs: its own, or those it chooses from."""
    if card.choose is None:
        return [card]
    return [card_named(card.choose.otherwise), card_named(card.choose.wide)]


def _paths() -> dict[str, Path]:
    """Return the cards' paths by name, the package's first, without reading any."""
    found: dict[str, Path] = {}
    for folder in (PACKAGE_CARDS, user_cards_folder()):
        paths = sorted(folder.glob(f"*{CARD_SUFFIX}"), key=lambda path: path.stem)
        for path in paths:
            found.setdefault(path.stem, path)
    return found


def _read(path: Path) -> Card:
    if path.parent == PACKAGE_CARDS:
        return _read_packaged(path)
    card = Card.read(path)
    if card.name != path.stem:
        message = (
            f"model card '{path}': field 'name': expected '{path.stem}', as the file is called, "
            f"not '{card.name}'."
        )
        raise ModelError(message, path)
    return card


_read_packaged = cache(Card.read)
