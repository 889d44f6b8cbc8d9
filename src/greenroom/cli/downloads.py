"""Downloads of model weights that a command needs, with progress on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from greenroom.cli.progress import progress_bar
from greenroom.segmenters.catalogue import card_named, required_cards
from greenroom.segmenters.inspection import MODEL_SUFFIXES
from greenroom.segmenters.store import Store

if TYPE_CHECKING:
    from greenroom.segmenters.card import Card
    from greenroom.settings import Settings

__all__ = ["fetch_weights", "get_weights"]


def fetch_weights(settings: Settings) -> None:
    """Download missing weights of the models that settings name.

    Raises
    ------
    SettingsError, ModelError
        If there is no such model, or its weights cannot be downloaded.
    """
    for model in filter(None, map(str.strip, settings.model.split(","))):
        if model.lower().endswith(MODEL_SUFFIXES):
            continue
        for card in required_cards(card_named(model)):
            if card.file is not None and not card.file.embedded:
                get_weights(
                    Store(settings.models_dir), card, accept_license=settings.accept_license
                )


def get_weights(
    store: Store, card: Card, *, accept_license: bool = False, trust: bool = False
) -> str:
    """Return the path of a model's weights, downloading them if necessary."""
    with progress_bar(card.name, counts_bytes=True) as progress:
        path = store.get(
            card,
            accept_license=accept_license,
            trust=trust,
            on_start=lambda text: typer.echo(f"greenroom: {text}", err=True),
            progress=progress,
        )
    return str(path)
