"""Memory of sessions that have ended goes back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["keep_what_is_there", "return_freed_memory"]


def keep_what_is_there() -> None:
    """Have `return_freed_memory` look at none of the objects of now; for processes of the service.

    There are 100,000 of imported modules, which take 70 ms to look at.
    """
    gc.collect()
    gc.freeze()


def return_freed_memory() -> None:
    """Free what sessions have left, and have glibc give its free pages back to the system.

    Objects of an ended session refer to each other, with frames and encoders behind them: until
    Python looks for such circles by itself they were up to 200 MiB. glibc keeps pages between
    blocks that live on, such as caches of libraries: after a few sessions they were two thirds of
    what it had. Takes a few milliseconds.
    """
    gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
