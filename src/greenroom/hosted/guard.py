"""Middleware of the service: origins, security headers, and hosts where no token is needed.

Tokens travel in a header that no browser sends by itself, so a foreign page that does not have one
can do nothing. Still ``Origin`` has to be the service's own or one that the operator named: a token
that leaked is of no use to pages elsewhere. Without tokens this machine alone is served, and so
``Host`` has to be one of its own names, against foreign names that resolve to 127.0.0.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response

from greenroom.cluster.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RequestGuard"]

_UNIQUE_HEADERS: Final = ("host", "origin", "authorization", "content-length", "content-type")
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(:[0-9]{1,5})?")
_PUBLIC_FILES: Final = "/static/"
_METHODS: Final = "GET, POST, PATCH, DELETE, OPTIONS"
_EXPOSED: Final = "ETag, Link, Location, Retry-After"
_ALLOWED: Final = "Authorization, Content-Type, If-Match"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class RequestGuard:
    """Refuses requests of foreign pages, and adds security headers to every answer.

    Parameters
    ----------
    app : ASGI application
    origins : collection of str
        Origins that are allowed besides the service's own.
    local_only : bool
        Whether only this machine is served.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = (), *, local_only: bool) -> None:
        self._app = app
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._local_only = local_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "").lower()
        is_file = _is_file(scope)
        added = dict(_HEADERS)
        if origin in self._origins or (is_file and origin):
            added |= {"Access-Control-Allow-Origin": headers["origin"], "Vary": "Origin"}
            added |= {"Access-Control-Expose-Headers": _EXPOSED}
        added["Cross-Origin-Resource-Policy"] = "cross-origin" if is_file else "same-origin"

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(added)
            await send(message)

        answer = self._refusal(scope, headers, origin, is_file=is_file)
        if answer is None and scope["method"] == "OPTIONS" and origin in self._origins:
            answer = _preflight(headers)
        await (answer or self._app)(scope, receive, send_guarded)

    def _refusal(
        self, scope: Scope, headers: Headers, origin: str, *, is_file: bool
    ) -> Response | None:
        for name in _UNIQUE_HEADERS:
            if len(headers.getlist(name)) > 1:
                return _refused(400, f"expected one header '{name}', not several")
        if self._local_only and not _is_local(scope, headers):
            message = "this server has no tokens, and so serves its own machine alone"
            return _refused(403, message)
        if not origin or is_file or origin in self._origins:
            return None
        # The scheme may differ behind a proxy that ends TLS.
        is_own = origin.partition("://")[2] == headers.get("host", "").lower()
        return None if is_own else _refused(403, "pages of this origin may not use this server")


def _is_file(scope: Scope) -> bool:
    """Whether a request is for one of the page's files, which hold no data."""
    path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
    return scope["method"] in ("GET", "HEAD") and path.startswith(_PUBLIC_FILES)


def _is_local(scope: Scope, headers: Headers) -> bool:
    """Whether a request comes from this machine, by one of its own names."""
    client = scope.get("client")
    host = _HOST.fullmatch(headers.get("host", "").lower())
    is_own_name = host is not None and is_loopback(host[1])
    return is_own_name and (client is None or is_loopback(client[0]))


def _preflight(headers: Headers) -> Response | None:
    """Answer a browser's question whether a page elsewhere may send a request."""
    if "access-control-request-method" not in headers:
        return None
    allowed = {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _ALLOWED,
        "Access-Control-Max-Age": "600",
    }
    return Response(status_code=204, headers=allowed)


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"name": None, "message": message}, status)
