"""Virtual backgrounds as a WebRTC service, for browsers, WHIP and WHEP clients."""

from __future__ import annotations

from greenroom.errors import MissingExtraError

try:
    from greenroom.hosted.app import create_app, sessions_of
    from greenroom.hosted.options import ServeOptions
    from greenroom.hosted.rtc import IceServer
    from greenroom.hosted.sessions import SessionEvent
    from greenroom.hosted.tokens import AccessDeniedError, Action, Grant
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in ("aiortc", "prometheus_client"):
        raise
    message = (
        "a hosted service needs an extra that is not installed. To install it: "
        "pip install 'greenroom[hosted]'"
    )
    raise MissingExtraError(message) from error

__all__ = [
    "AccessDeniedError",
    "Action",
    "Grant",
    "IceServer",
    "ServeOptions",
    "SessionEvent",
    "create_app",
    "sessions_of",
]
