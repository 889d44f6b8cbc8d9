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
    from collections.abc import Iterator, Mapping

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
            card = _read(path)
            if card.members is not None:
                required_cards(card)
            found[name] = card
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
    """Return the cards of the weights that a model needs, without repetition.

    They are its own, or those of the models that it chooses from or fuses.

    Raises
    ------
    SettingsError, ModelError
        As `card_named`; also if a model consists of itself.
    """
    return list({part.name: part for part in _required(card, ())}.values())


def _required(card: Card, within: tuple[str, ...]) -> Iterator[Card]:
    """Yield the cards of weights, in order; ``within`` are the models that this is a part of."""
    way = (*within, card.name)
    if card.name in within:
        message = f"model '{card.name}' consists of itself: {' -> '.join(way)}. Correct its card."
        raise ModelError(message, card.folder)
    parts: tuple[str, ...] = card.members or ()
    if card.choose is not None:
        parts = card.choose.otherwise, card.choose.wide
    if not parts:
        yield card
    for part in parts:
        yield from _required(_part_of(card, part), way)


def _part_of(card: Card, part: str) -> Card:
    """Return the card of a model that a card names."""
    try:
        return card_named(part)
    except SettingsError as error:
        message = f"model '{card.name}' consists of '{part}' and others: {error}"
        raise ModelError(message, card.folder) from error


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
