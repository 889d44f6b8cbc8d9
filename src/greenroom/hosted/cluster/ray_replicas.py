"""The replicas that Ray Serve runs, started and listed."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import ray
from ray import serve
from ray.exceptions import GetTimeoutError, RayError
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy
from ray.serve.schema import ApplicationStatus, LoggingConfig
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from greenroom.errors import SinkError
from greenroom.hosted.cluster.cluster_fleet import Replicas
from greenroom.hosted.cluster.directory import Directory, Listing
from greenroom.hosted.cluster.names import APPLICATION, DIRECTORY, NAMESPACE
from greenroom.hosted.cluster.replica_process import ReplicaProcess

if TYPE_CHECKING:
    from greenroom.hosted.options import ServeOptions

__all__ = ["RayReplicas"]

_SECRET_BYTES: Final = 32
_ASK_S: Final = 15.0
# Time for a replica to end once its sessions have.
_END_S: Final = 10.0
_POLICY: Final = "greenroom.hosted.cluster.scaling:replicas_wanted"
_FAILED: Final = (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY)
_QUIET: Final = LoggingConfig(log_level="WARNING", enable_access_log=False)


class RayReplicas(Replicas):
    """Replicas of one service in the cluster that this process is connected to.

    Parameters
    ----------
    options : ServeOptions

    State: a handle of the directory.
    """

    def __init__(self, options: ServeOptions) -> None:
        self._options = options
        self._directory: Any = None

    async def start(self) -> str:
        """See `Replicas.start`."""
        try:
            return await asyncio.to_thread(self._start)
        except (RayError, RuntimeError, TimeoutError) as error:
            message = f"Ray Serve does not start: {error}"
            raise SinkError(message) from error

    async def listing(self, known: int) -> Listing:
        """See `Replicas.listing`."""
        try:
            async with asyncio.timeout(_ASK_S):
                listing = await self._directory.listing.remote(known)
        except (RayError, TimeoutError) as error:
            raise ConnectionError(str(error)) from error
        assert isinstance(listing, Listing)
        return listing

    async def trouble(self) -> str:
        """See `Replicas.trouble`."""
        return await asyncio.to_thread(self._trouble)

    async def end(self) -> None:
        """See `Replicas.end`."""
        await asyncio.to_thread(self._end)

    def _start(self) -> str:
        here = ray.get_runtime_context().get_node_id()
        self._directory = (
            ray.remote(Directory)
            .options(
                name=DIRECTORY,
                namespace=NAMESPACE,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True),
            )
            .remote(secrets.token_urlsafe(_SECRET_BYTES))
        )
        secret = ray.get(self._directory.secret.remote(), timeout=4 * _ASK_S)
        serve.start(proxy_location="Disabled", logging_config=_QUIET)
        target = serve.RunTarget(
            self._deployment().bind(self._replica_options()), name=APPLICATION, route_prefix=None
        )
        serve.run_many([target], wait_for_applications_running=False)
        return str(secret)

    def _replica_options(self) -> ServeOptions:
        """Return what a replica needs to know: it has no tokens, and a part of all sessions."""
        most = self._options.max_sessions
        least = self._options.replicas[0]
        return replace(
            self._options,
            tokens=None,
            max_sessions=None if most is None else -(-most // least),
        )

    def _deployment(self) -> serve.Deployment:
        least, most = self._options.replicas
        return serve.deployment(ReplicaProcess).options(
            name="Replica",
            ray_actor_options={"num_cpus": 1},
            autoscaling_config=AutoscalingConfig(
                min_replicas=least,
                initial_replicas=least,
                max_replicas=most,
                metrics_interval_s=2.0,
                look_back_period_s=4.0,
                # The policy waits where that is meant. By default Ray waits until it has wanted
                # another replica for half a minute, or one fewer for ten, which it never does.
                upscale_delay_s=0.0,
                downscale_delay_s=0.0,
                policy=AutoscalingPolicy(policy_function=_POLICY),
            ),
            health_check_period_s=2.0,
            health_check_timeout_s=10.0,
            graceful_shutdown_wait_loop_s=0.1,
            graceful_shutdown_timeout_s=self._options.grace_s + _END_S,
            logging_config=_QUIET,
        )

    def _trouble(self) -> str:
        application = serve.status().applications.get(APPLICATION)
        if application is None or application.status not in _FAILED:
            return ""
        told = [one.message.strip() for one in application.deployments.values()]
        # The last line of a traceback is the error.
        lines = [one.splitlines()[-1] for one in (application.message.strip(), *told) if one]
        return " ".join(lines) or "Ray does not say why"

    def _end(self) -> None:
        try:
            serve.delete(APPLICATION, _blocking=False)
            ray.kill(self._directory)
        except (GetTimeoutError, RayError, RuntimeError) as error:
            message = f"the replicas do not end: {error}"
            raise SinkError(message) from error
