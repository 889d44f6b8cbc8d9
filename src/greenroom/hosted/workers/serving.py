"""The service with several workers, until a signal ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.errors import SinkError
from greenroom.hosted.server import run_server
from greenroom.hosted.workers.front import create_front
from greenroom.hosted.workers.local_fleet import LocalFleet

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.hosted.options import ServeOptions

__all__ = ["serve_with_workers"]


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
    fleet = LocalFleet(options)
    try:
        run_server(create_front(options, fleet), options, fleet.drain, on_started)
    except SinkError:
        if fleet.failure:
            message = f"the service did not start: {fleet.failure}"
            raise SinkError(message) from None
        raise
