"""The service on the machines of a cluster, until a signal ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.cluster.connection import connected
from greenroom.hosted.cluster.cluster_fleet import ClusterFleet
from greenroom.hosted.cluster.names import NAMESPACE
from greenroom.hosted.tokens import TokenFile
from greenroom.hosted.workers.front import run_front

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.hosted.options import ServeOptions

__all__ = ["serve_with_ray"]


def serve_with_ray(
    options: ServeOptions, on_started: Callable[[str], None] = lambda _url: None
) -> None:
    """Serve from the replicas of a cluster until a signal ends it; on the main thread.

    Parameters
    ----------
    options : ServeOptions
        `ServeOptions.ray` says which cluster.
    on_started : callable
        Told the address when connections are taken.

    Raises
    ------
    GreenroomError
        If the options are wrong, the port cannot be used, the cluster does not answer, or no
        replica starts.
    """
    options.check()
    assert options.ray is not None
    tokens = None if options.tokens is None else TokenFile(options.tokens)
    with connected(options.ray, NAMESPACE):
        # Ray reads its environment when it is imported.
        from greenroom.hosted.cluster.ray_replicas import RayReplicas  # noqa: PLC0415

        holds_name = (lambda _name: True) if tokens is None else tokens.holds_name
        fleet = ClusterFleet(options, RayReplicas(options), holds_name)
        run_front(options, fleet, on_started)
