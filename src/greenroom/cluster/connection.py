"""The connection to a cluster of Ray's, or to one of this process' own."""

from __future__ import annotations

import logging
import os
import signal
import socket
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from greenroom.cluster.addresses import RAY_HERE, is_loopback, parse_ray_address
from greenroom.cluster.ray_environment import prepare
from greenroom.errors import MissingExtraError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["connected"]

_LOOPBACK: Final = "127.0.0.1"
_REACH_S: Final = 5.0
# The least that Ray takes: nothing is kept in its store.
_STORE_BYTES: Final = 80 << 20
# RFC 9113, 3.4: both sides begin with their settings, of which a client may have none.
_HTTP2_GREETING: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HTTP2_HEADER_BYTES: Final = 9
_HTTP2_SETTINGS: Final = b"\x04"
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def connected(address: str, namespace: str) -> Iterator[None]:
    """Be connected to a cluster within the block.

    Parameters
    ----------
    address : str
        Of its head, or `RAY_HERE`: Ray is started here then, at the loopback interface, and ends
        with the block.
    namespace : str
        Where names of actors are looked up.

    Raises
    ------
    GreenroomError
        If Ray is not installed, the cluster is not to be reached or does not let this process
        in, or token authentication is turned off.
    """
    if find_spec("ray") is None:
        message = (
            "--ray needs an extra that is not installed. To install it: "
            "pip install 'greenroom[cluster]'"
        )
        raise MissingExtraError(message)
    arguments = _arguments(address)
    import ray  # noqa: PLC0415 - it reads its environment, which was set just now

    logging.getLogger("ray.serve").addFilter(_is_serious)
    before = {one: signal.getsignal(one) for one in _SIGNALS}
    try:
        ray.init(
            namespace=namespace,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **arguments,
        )
    except Exception as error:  # Ray has no class of its own for all of them
        message = f"Ray at '{address}' lets this process not in: {error}"
        raise SinkError(message, address) from error
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _is_serious(record: logging.LogRecord) -> bool:
    """Whether a record says more than what goes on; Ray Serve sets its logger's level itself."""
    return record.levelno >= logging.WARNING


def _arguments(address: str) -> dict[str, Any]:
    """Prepare Ray's environment; return how to connect."""
    if address == RAY_HERE:
        prepare(is_loopback=True, is_own=True)
        return {
            "address": "local",
            "_node_ip_address": _LOOPBACK,
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
    host, port = parse_ray_address(address)
    try:
        _reach(host, port)
    except OSError as error:
        message = (
            f"no Ray answers at {host}:{port} ({error}). Start it with: ray start --head "
            f"--node-ip-address {host} --port {port}"
        )
        raise SinkError(message, address) from error
    prepare(is_loopback=is_loopback(host), is_own=False)
    return {"address": f"{host}:{port}"}


def _reach(host: str, port: int) -> None:
    """Raise `OSError` if no server for gRPC answers in time; Ray itself would wait for minutes."""
    with socket.create_connection((host, port), _REACH_S) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
            return
        connection.settimeout(_REACH_S)
        connection.sendall(_HTTP2_GREETING)
        answer = connection.recv(_HTTP2_HEADER_BYTES, socket.MSG_WAITALL)
        if answer[3:4] != _HTTP2_SETTINGS:
            message = "what listens there is something else"
            raise ConnectionError(message)
