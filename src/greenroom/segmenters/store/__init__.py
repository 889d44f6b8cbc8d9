"""Storage of model weights, and records about them."""

from __future__ import annotations

from greenroom.segmenters.store.weights_store import (
    MODELS_DIR_VARIABLE,
    Place,
    Store,
    cache_folder,
    size_text,
)

__all__ = ["MODELS_DIR_VARIABLE", "Place", "Store", "cache_folder", "size_text"]
