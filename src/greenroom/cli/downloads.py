"""Weights that a command needs, downloaded before it begins, with progress on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from greenroom.cli.progress import download_bar

if TYPE_CHECKING:
    from greenroom.segmenters.card import Card
    from greenroom.segmenters.store import Store
    from greenroom.settings import Settings

__all__ = ["fetch_weights", "get_weights"]


def fetch_weights(settings: Settings) -> None:
    """Download what the models of some settings need and is not here; usually that is nothing.

    Raises
    ------
    SettingsError, ModelError
        If there is no such model, or its weights cannot be had.
    """
    from greenroom.segmenters.catalogue import card_named, required_cards  # noqa: PLC0415 - help stays fast
    from greenroom.segmenters.inspection import MODEL_SUFFIXES  # noqa: PLC0415

    for model in filter(None, map(str.strip, settings.model.split(","))):
        if model.lower().endswith(MODEL_SUFFIXES):
            continue
        for card in required_cards(card_named(model)):
            if card.file is not None and not card.file.embedded:
                from greenroom.segmenters.store import Store  # noqa: PLC0415

                get_weights(
                    Store(settings.models_dir), card, accept_license=settings.accept_license
                )


def get_weights(
    store: Store, card: Card, *, accept_license: bool = False, trust: bool = False
) -> str:
    """Return where a model's weights are, downloaded if they are not here."""
    with download_bar(card.name) as progress:
        path = store.get(
            card,
            accept_license=accept_license,
            trust=trust,
            on_start=lambda text: typer.echo(f"greenroom: {text}", err=True),
            progress=progress,
        )
    return str(path)
