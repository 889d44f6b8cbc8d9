"""The model of quality ``best``: two models fused, where the weights of both are here."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from greenroom.segmenters.catalogue import card_named, required_cards
from greenroom.segmenters.store import Store, size_text
from greenroom.settings import Quality

if TYPE_CHECKING:
    from greenroom.segmenters.card import Card
    from greenroom.settings import Settings

__all__ = ["BEST_MODEL", "best_notice", "with_best_model"]

BEST_MODEL: Final = "selfie-duo"
"""Name of the model."""

logger = logging.getLogger(__name__)


def with_best_model(settings: Settings) -> Settings:
    """Return settings with the model that quality ``best`` uses where there is time for it.

    Other qualities, and settings that name a model or classes, are returned as they are; so are
    all while weights are missing, which is logged (INFO). Nothing is downloaded.

    Raises
    ------
    SettingsError
        If the models folder does not exist.
    """
    if not _asks_for_best(settings):
        return settings
    if notice := best_notice(settings):
        logger.info("%s", notice)
        return settings
    return settings.changed(model=BEST_MODEL)


def best_notice(settings: Settings) -> str:
    """Return what `with_best_model` lacks, as a sentence with the command that gets it.

    Empty if nothing is missing, or another quality or a model is chosen.
    """
    missing = _missing(settings) if _asks_for_best(settings) else []
    if not missing:
        return ""
    names = " ".join(card.name for card in missing)
    size = size_text(sum(card.file.size or 0 for card in missing if card.file is not None))
    return (
        f"quality best uses the model {settings.model} alone, looking twice: with {names} "
        f"({size}, {missing[0].license}) it misses less of hair and shoulders. Get it by "
        f"greenroom models get {names}."
    )


def _asks_for_best(settings: Settings) -> bool:
    is_chosen = "model" in settings.model_fields_set or settings.keep is not None
    return settings.quality is Quality.BEST and not is_chosen


def _missing(settings: Settings) -> list[Card]:
    """Return the cards of the weights that are not on this machine."""
    store = Store(settings.models_dir)
    return [card for card in required_cards(card_named(BEST_MODEL)) if store.locate(card) is None]
