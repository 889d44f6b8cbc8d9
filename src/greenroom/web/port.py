"""The page's port, on the loopback interface only."""

from __future__ import annotations

import errno
import socket
import sys
from typing import Final

from greenroom.errors import SinkError

__all__ = ["DEFAULT_PORT", "check_port", "listen"]

DEFAULT_PORT: Final = 8477


def listen(port: int, backlog: int = 1) -> socket.socket:
    """Listen at a port of 127.0.0.1, exclusively; 0 takes a free one.

    Up to ``backlog`` connections wait to be accepted.

    Raises
    ------
    SinkError
        If it is in use or may not be used.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform == "win32":  # or another program could bind the same port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(backlog)
    except (OSError, OverflowError) as error:
        listening.close()
        raise SinkError(_why_not(port, error), port) from error
    return listening


def check_port(port: int) -> None:
    """Check that a port can be opened, before anything slow is loaded.

    Raises
    ------
    SinkError
        As in `listen`.
    """
    listen(port).close()


def _why_not(port: int, error: OSError | OverflowError) -> str:
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return (
            f"page: port {port} of 127.0.0.1 is in use, perhaps by another greenroom. Take another "
            f"with --port {other}, or any that is free with --port 0."
        )
    reason = getattr(error, "strerror", None) or str(error)
    return (
        f"page: port {port} of 127.0.0.1 cannot be opened ({str(reason).lower()}). Take another "
        f"with --port {DEFAULT_PORT}, or any that is free with --port 0."
    )
