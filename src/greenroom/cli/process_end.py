"""Process exit while abandoned threads may still run in native code."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import Final, NoReturn

from greenroom.errors import GreenroomError

__all__ = [
    "STATUS_FAILED",
    "STATUS_INTERRUPTED",
    "STATUS_TERMINATED",
    "STATUS_USAGE",
    "end_process",
]

STATUS_FAILED: Final = 1
STATUS_USAGE: Final = 2
STATUS_INTERRUPTED: Final = 130
STATUS_TERMINATED: Final = 143


def end_process(status: int) -> NoReturn:
    """End the process with an exit status, whatever abandoned threads are doing.

    Inference and image encoding cannot be interrupted, so their daemon threads are abandoned.
    When the interpreter shuts down it ends such a thread as it returns from native code; OpenCV
    and others then abort the process (SIGABRT). ``os._exit`` avoids this.
    """
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()  # as the interpreter does at exit
    if threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            with suppress(GreenroomError, OSError, ValueError):  # there is no way left to report it
                if stream is not None:
                    stream.flush()
        os._exit(status)
    sys.exit(status)
