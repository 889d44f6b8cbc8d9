"""The service with several workers, until a signal ends it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from greenroom.hosted.workers.front import run_front
from greenroom.hosted.workers.local_fleet import LocalFleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.hosted.options import ServeOptions

__all__ = ["serve_with_workers"]

# Of glibc, for the workers. Memory freed in one arena is not reused by others, and by default
# nearly every thread has one: a worker would grow by a MiB with every session that comes and goes.
_ARENAS: Final = ("MALLOC_ARENA_MAX", "2")


def serve_with_workers(
    options: ServeOptions, on_started: Callable[[str], None] = lambda _url: None
) -> None:
    """Serve from several processes until a signal ends it; on the main thread.

    Parameters
    ----------
    options : ServeOptions
        `ServeOptions.worker_count` says how many.
    on_started : callable
        Told the address when connections are taken.

    Raises
    ------
    GreenroomError
        If the options are wrong, the port cannot be used, or a worker does not start.
    """
    options.check()
    os.environ.setdefault(*_ARENAS)
    fleet = LocalFleet(options)
    run_front(options, fleet, on_started)
