"""A start without work that nobody asked for: a tenth of its processor time and more."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from typing import Final

__all__ = ["begin_start", "end_start"]

# What libraries read when they are imported; what the user has set stays.
_VARIABLES: Final = {
    # Of NumPy and OpenCV: threads for large matrices, which spin when they start and keep memory.
    "OPENBLAS_NUM_THREADS": "1",
    # Looks for plugins in everything that is installed; greenroom has none.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}

# Of glibc's mallopt. Each arena keeps memory that was freed to itself, and there is otherwise one
# for nearly every thread; two save as much as one.
_ARENA_MAX: Final = -8
_ARENAS: Final = 2


def begin_start() -> None:
    """Prepare the process for large imports. To be called before any."""
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)
    _limit_arenas()
    gc.disable()  # modules are no garbage, and there are many


def end_start() -> None:
    """Collect garbage from now on, without looking at what was imported each time."""
    if not gc.isenabled():  # otherwise whoever imports this has garbage of their own
        gc.freeze()
        gc.enable()


def _limit_arenas() -> None:
    """Have threads share memory that was freed, where the C library is glibc."""
    if sys.platform != "linux" or "MALLOC_ARENA_MAX" in os.environ:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, _ARENAS)
