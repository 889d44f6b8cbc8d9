"""The end of the process, whatever threads that were left behind are still doing."""

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
    """End with a status, and with nothing else.

    A model or a picture that is being made cannot be interrupted, so its thread is left behind.
    The interpreter would end it where it comes back from native code, which OpenCV and others
    answer by ending the process with SIGABRT.
    """
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()  # as the interpreter does
    if threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            with suppress(GreenroomError, OSError, ValueError):  # nobody is left to be told
                if stream is not None:
                    stream.flush()
        os._exit(status)
    sys.exit(status)
