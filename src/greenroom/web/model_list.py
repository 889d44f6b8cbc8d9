"""List of models for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom.segmenters.catalogue import cards, required_cards
from greenroom.segmenters.store import Store, size_text
from greenroom.segmenters.store.speeds import read_speeds

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["list_models"]


def list_models(models_dir: Path | None) -> list[dict[str, Any]]:
    """Return every model that has a readable card, as plain values.

    Parameters
    ----------
    models_dir : Path, optional
        Looked into before the other places; see `greenroom.settings.Settings.models_dir`.
    """
    store, speeds = Store(models_dir), read_speeds()
    models = []
    for card in cards().values():
        needed = required_cards(card)
        sizes = [part.file.size for part in needed if part.file is not None]
        timed = needed if card.members is None else [card]
        ran = [speeds[part.name] for part in timed if part.name in speeds]
        models.append(
            {
                "name": card.name,
                "description": card.description,
                "task": card.task.value,
                "license": card.license,
                "classes": list(card.output.classes),
                "is_here": all(part.file is None or store.locate(part) for part in needed),
                "size": size_text(sum(size or 0 for size in sizes)) if all(sizes) else "",
                "ms": ran[0].ms if ran else None,
            }
        )
    return models
