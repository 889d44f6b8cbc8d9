"""Addresses of clusters, as users type them."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from greenroom.errors import SettingsError

__all__ = ["RAY_HERE", "is_loopback", "parse_ray_address"]

RAY_HERE: Final = "here"
"""In place of the address of a cluster: Ray is started on this machine, for this process."""
_RAY_PORT: Final = 6379


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def parse_ray_address(text: str) -> tuple[str, int]:
    """Read the address of a cluster's head.

    >>> parse_ray_address("10.0.0.5")
    ('10.0.0.5', 6379)

    Raises
    ------
    SettingsError
        If it is not one.
    """
    parts = urlsplit(f"//{text}")
    try:
        host, port = parts.hostname, parts.port or _RAY_PORT
    except ValueError:
        host, port = None, 0
    if host and parts.netloc == text and parts.username is None:
        return host, port
    message = f"--ray: expected HOST or HOST:PORT such as 10.0.0.5:6379, not {text!r}"
    raise SettingsError(message, "ray")
