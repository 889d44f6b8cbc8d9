"""What is not public of Ray Serve: where its server for calls between replicas listens."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["listen_at"]

_ANY_ADDRESS: Final = "[::]:"


def listen_at(host: str) -> None:
    """Have Ray Serve's server for calls between replicas, in this process, listen at one address.

    There are no such calls. Ray Serve has it listen at every address of the machine.
    """
    from ray.serve._private import replica  # noqa: PLC0415 - when Ray was prepared

    _listen_at(replica, host)


def _listen_at(module: Any, host: str) -> None:
    add_port = module.add_port_to_grpc_server
    own = f"[{host}]:" if ":" in host else f"{host}:"

    def add_own_port(server: Any, address: str) -> int:
        return int(add_port(server, address.replace(_ANY_ADDRESS, own)))

    module.add_port_to_grpc_server = add_own_port
