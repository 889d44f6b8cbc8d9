"""A replica: a process that Ray Serve runs, which has sessions and their UDP ports."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import RayError

from greenroom.cluster.ray_environment import require_token
from greenroom.errors import GreenroomError, SinkError
from greenroom.hosted.cluster import ray_internals
from greenroom.hosted.cluster.control import Control
from greenroom.hosted.cluster.directory import BEAT_S, Replica
from greenroom.hosted.cluster.names import DIRECTORY, NAMESPACE
from greenroom.hosted.cluster.scaling import LOAD, load_of
from greenroom.hosted.logs import log_json
from greenroom.hosted.options import Part
from greenroom.hosted.workers.worker_server import WorkerServer

if TYPE_CHECKING:
    from greenroom.hosted.options import ServeOptions

__all__ = ["PUBLIC_ADDRESS", "ReplicaProcess"]

logger = logging.getLogger(__name__)

PUBLIC_ADDRESS: Final = "GREENROOM_PUBLIC_ADDRESS"
"""Environment variable of a machine: the address at which clients reach it."""
_NAME_BYTES: Final = 4
_START_S: Final = 60.0
_END_S: Final = 3.0
_ASK_S: Final = 10.0


class ReplicaProcess:
    """What Ray Serve makes in each of its processes. Its methods are called on Serve's threads.

    Parameters
    ----------
    options : ServeOptions
        Of the service.

    Raises
    ------
    GreenroomError
        If its machine lets programs in without a token, or something of the options is not there.

    State: a thread that serves, and one that enters it in the directory.
    """

    def __init__(self, options: ServeOptions) -> None:
        require_token()
        host = ray.util.get_node_ip_address()
        ray_internals.listen_at(host)
        name = secrets.token_hex(_NAME_BYTES)
        self._part = Part(os.cpu_count() or 1, name)
        self._grace_s = options.grace_s
        self._control = Control()
        self._ended = threading.Event()
        secret = ray.get(_directory().secret.remote(), timeout=_ASK_S)
        own = replace(options, part=self._part, public_address=os.environ.get(PUBLIC_ADDRESS))
        self._server = WorkerServer(
            own,
            secret,
            host,
            self._control.tell,
            holds=self._control.holds,
            wrap=self._control.wrap,
        )
        self._control.drain = self._server.sessions.drain
        self._entry = Replica(name, host, self._server.port)
        self._serving = threading.Thread(target=self._serve, name="sessions", daemon=True)
        self._serving.start()
        self._await_start()
        threading.Thread(target=self._keep_entered, name="directory", daemon=True).start()

    def check_health(self) -> None:
        """Raise if it does not serve; Ray Serve starts another one then."""
        if not self._serving.is_alive():
            message = "the server of this replica has ended"
            raise SinkError(message)

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what `greenroom.hosted.cluster.scaling` goes by."""
        return {LOAD: load_of(self._control.last, self._part.cores)}

    def __del__(self) -> None:
        """End; Ray Serve calls it when a replica is one too many, or the service ends."""
        if not hasattr(self, "_entry") or self._ended.is_set():
            return
        self._ended.set()
        with suppress(RayError, ValueError):
            ray.get(_directory().leave.remote(self._entry.name), timeout=_ASK_S)
        self._server.begin_drain(self._grace_s)
        self._serving.join(self._grace_s + _END_S)

    def _serve(self) -> None:
        log_json(self._server.sessions.session_of)
        try:
            self._server.run()
        except GreenroomError as error:
            logger.exception("the replica does not start: %s", error)

    def _await_start(self) -> None:
        end_s = time.monotonic() + _START_S
        while not self._control.last:
            if time.monotonic() > end_s or not self._serving.is_alive():
                message = "the server of this replica did not start; its log says why"
                raise SinkError(message)
            time.sleep(0.05)

    def _keep_entered(self) -> None:
        """Enter the replica in the directory, again and again."""
        while not self._ended.is_set():
            try:
                ray.get(_directory().enter.remote(self._entry), timeout=_ASK_S)
            except (RayError, ValueError) as error:
                logger.warning("the directory does not answer: %s", error)
            self._ended.wait(BEAT_S)


def _directory() -> Any:
    """Return the actor that is the directory.

    Raises
    ------
    ValueError
        If there is none.
    """
    return ray.get_actor(DIRECTORY, NAMESPACE)
