"""The weights of models on this machine, and what is remembered of them."""

from __future__ import annotations

from greenroom.segmenters.store.weights_store import MODELS_DIR_VARIABLE, Place, Store, size_text

__all__ = ["MODELS_DIR_VARIABLE", "Place", "Store", "size_text"]
