"""What a worker tells the process in front of it, over a pipe, as JSON.

From the worker, one object a message::

    {"port": 40123}             it takes requests now, at this port of 127.0.0.1
    {"failed": "..."}           it cannot start, and why
    {"report": {...}}           its sessions: whenever one begins or ends, and every second

To the worker::

    {"drain": 10.0}             end within so many seconds

The end of the pipe means that the other side has ended.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

__all__ = [
    "GRANT_HEADER",
    "REPORT_HEADER",
    "SECRET_HEADER",
    "Held",
    "WorkerReport",
    "decode",
    "encode",
]

SECRET_HEADER: Final = "greenroom-secret"  # noqa: S105 - a name
"""Header of a request to a worker: only the process in front knows the secret."""
GRANT_HEADER: Final = "greenroom-grant"
"""Header of a request to a worker: what its client may do, as JSON."""
REPORT_HEADER: Final = "greenroom-report"
"""Header of an answer of a worker: number of the last report that was sent before it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A session that a worker has.

    Attributes
    ----------
    id, stream : str
    owner : str
        Name of the grant.
    """

    id: str
    stream: str
    owner: str


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """State of a worker.

    Attributes
    ----------
    number : int
        Counts the reports of a worker, from 1.
    is_ready : bool
        Whether it would admit another session.
    capacity : int
        Most sessions at once.
    cores_used : float
        Processors that it took of late.
    young : int
        Sessions that are too new to be in that.
    sessions : tuple of Held
    connections : dict
        Connections by the name of their grant, viewers included.
    metrics : str
        All metrics in Prometheus' text format; empty in a report between two seconds.
    """

    number: int = 0
    is_ready: bool = False
    capacity: int = 0
    cores_used: float = 0.0
    young: int = 0
    sessions: tuple[Held, ...] = ()
    connections: dict[str, int] = field(default_factory=dict)
    metrics: str = ""

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_told(cls, told: dict[str, Any]) -> Self:
        """Read it."""
        sessions = tuple(Held(**one) for one in told.pop("sessions"))
        return cls(**told, sessions=sessions)


def encode(message: dict[str, Any]) -> bytes:
    """Return the bytes of a message."""
    return json.dumps(message).encode()


def decode(data: bytes) -> dict[str, Any]:
    """Return the message of some bytes."""
    message = json.loads(data)
    assert isinstance(message, dict)
    return message
