"""A start without work that nobody asked for: a tenth of its processor time and more."""

from __future__ import annotations

import gc
import os
from typing import Final

__all__ = ["begin_start", "end_start"]

# What libraries read when they are imported; what the user has set stays.
_VARIABLES: Final = {
    # Of NumPy and OpenCV: threads for large matrices, which spin when they start and keep memory.
    "OPENBLAS_NUM_THREADS": "1",
    # Looks for plugins in everything that is installed; greenroom has none.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}


def begin_start() -> None:
    """Prepare the process for large imports. To be called before any."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    gc.disable()  # modules are no garbage, and there are many


def end_start() -> None:
    """Collect garbage from now on, without looking at what was imported each time."""
    if not gc.isenabled():  # otherwise whoever imports this has garbage of their own
        gc.freeze()
        gc.enable()
