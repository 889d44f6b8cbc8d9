"""Limit of requests with a body at once: slow ones of one client leave connections for others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from greenroom.hosted.refusals import too_many_at_once

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["BodyLimit", "BodyLimitMiddleware", "has_body"]

_MAX_AT_ONCE: Final = 32
"""An eighth of all connections."""
# Key in a request's scope: the client that it is counted for.
_COUNTED: Final = "greenroom.body_of"


def has_body(request: Request) -> bool:
    """Return whether a request has a body, by its headers."""
    headers = request.headers
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class BodyLimit:
    """Counts the requests with a body that each client has under way.

    A request of a client that is known is never closed for others, so its number is limited.

    State: the clients of requests under way. Used on the loop's thread.
    """

    def __init__(self) -> None:
        self._under_way: Counter[str] = Counter()

    def enter(self, request: Request, client: str) -> None:
        """Count a request until its end, once however often it is entered.

        Raises
        ------
        UnavailableError
            If the client has too many.
        """
        if _COUNTED in request.scope or not has_body(request):
            return
        if self._under_way[client] >= _MAX_AT_ONCE:
            raise too_many_at_once(_MAX_AT_ONCE)
        self._under_way[client] += 1
        request.scope[_COUNTED] = client

    def leave(self, scope: Scope) -> None:
        """Count a request no more."""
        client = scope.pop(_COUNTED, None)
        if client is not None:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]


class BodyLimitMiddleware:
    """Tells a limit of the end of requests.

    Parameters
    ----------
    app : ASGI application
    limit : BodyLimit
    """

    def __init__(self, app: ASGIApp, limit: BodyLimit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, until it has been answered."""
        try:
            await self._app(scope, receive, send)
        finally:
            self._limit.leave(scope)
