"""The environment of Ray: where it listens, who gets in, and that it reports to nobody.

Ray reads its environment when it is first imported in a process, so `prepare` comes before that.
"""

from __future__ import annotations

import os
import secrets
from typing import Final

from greenroom.errors import SettingsError

__all__ = ["prepare", "require_token"]

_MODE: Final = "RAY_AUTH_MODE"
_TOKEN: Final = "RAY_AUTH_TOKEN"  # noqa: S105 - a name
_TOKEN_PATH: Final = "RAY_AUTH_TOKEN_PATH"  # noqa: S105
# Without clusters, Ray takes 127.0.0.1 as it is: otherwise it puts another address of the machine
# in its place, and listens at all of them.
_CLUSTERS: Final = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def prepare(*, is_loopback: bool, is_own: bool) -> None:
    """Set Ray's environment: token authentication, no usage reports, and loopback as such.

    Parameters
    ----------
    is_loopback : bool
        Whether all of Ray is at 127.0.0.1.
    is_own : bool
        Whether Ray is started for this process alone; it gets a token that nobody else has.

    Raises
    ------
    SettingsError
        If token authentication is turned off.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault(_MODE, "token")
    require_token()
    if is_loopback:
        os.environ[_CLUSTERS] = "0"
    if is_own and not (os.environ.get(_TOKEN) or os.environ.get(_TOKEN_PATH)):
        os.environ[_TOKEN] = secrets.token_hex(32)


def require_token() -> None:
    """Refuse to be part of a Ray that lets everybody run programs.

    Raises
    ------
    SettingsError
        If token authentication is turned off.
    """
    if os.environ.get(_MODE, "").lower() != "token":
        message = (
            "Ray has to be started with token authentication, or whoever reaches its ports runs "
            f"programs on its machines. Set {_MODE}=token on every machine before 'ray start', "
            "and give each the same token: ray get-auth-token --generate"
        )
        raise SettingsError(message, "ray")
