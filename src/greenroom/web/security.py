"""Access control of the page: every request needs the token, and the page's own origin.

A page on 127.0.0.1 can be reached by every program and every web page on the machine. So:

- everything that reads or changes state needs a random token, in a header that no browser sends
  by itself: not a cookie, which would go to every other port of this machine as well, and not the
  address, which would be logged. Only the page's static files, which hold no data, and the two
  requests by which it gets the token need none;
- ``Host`` has to be the page's own address, against DNS rebinding (a foreign name that resolves
  to 127.0.0.1). ``localhost`` is refused too: browsers may try ::1 first, where another program
  may listen at the same port;
- ``Origin``, if sent, has to be the page's own, and ``Sec-Fetch-Site`` has to be ``same-origin``
  or ``none``: for a browser, another port of this machine is the same site;
- the served page may load nothing from elsewhere, run only its own scripts, and not be framed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from greenroom.web.access import Access

__all__ = ["Guard", "is_trusted", "trust"]

# Key in a request's scope: whether it has the token.
_TRUSTED: Final = "greenroom.trusted"
_SAFE_METHODS: Final = ("GET", "HEAD")
# Prefix of the WebSocket subprotocol that carries the token: browsers cannot set headers there.
_PROTOCOL_PREFIX: Final = "token."
_STATIC: Final = "/static/"
_TOKENLESS_PATHS: Final = ("/api/hello", "/api/enter")
_SOCKETS: Final = ("/ws", "/ws/preview")
# Headers that are checked, and so must not occur twice.
_UNIQUE_HEADERS: Final = ("host", "origin", "authorization", "sec-fetch-site", "content-length")
_FORBIDDEN: Final = (
    "The token of this run of greenroom is missing or wrong. To open the page: greenroom page. "
    "To print its address, which ends in the token: greenroom page --print"
)
_FOREIGN_ORIGIN: Final = "the request does not come from greenroom's own page"


class Guard:
    """ASGI middleware that passes on only requests with the token, from the page's own origin.

    Parameters
    ----------
    app : ASGI application
        The application to protect.
    access : Access
        Authentication, and the port of the page.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        # Browsers omit the default port.
        end = "" if access.port == 80 else f":{access.port}"
        self._host = f"127.0.0.1{end}"
        self._other_host = f"localhost{end}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on to the application."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_own = headers.get("host", "").lower() == self._host
        protection = _security_headers(self._host if is_own else "")

        async def send_guarded(message: Message) -> None:
            if message["type"].endswith("http.response.start"):
                told = MutableHeaders(scope=message)
                told.update(protection)
                if scope["type"] == "websocket":  # older versions of uvicorn would send it twice
                    del told["content-length"]
            await send(message)

        answer = self._answer(scope, headers)
        if answer is None:
            await self._app(scope, receive, send_guarded)
        else:
            await answer(scope, receive, send_guarded)

    def _answer(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer in place of the application's, or None to pass the request on."""
        for name in _UNIQUE_HEADERS:
            if len(headers.getlist(name)) > 1:
                return _refused(400, f"expected one header '{name}', not several")
        is_page = scope["type"] == "http" and scope["path"] == "/"
        is_page = is_page and scope["method"] in _SAFE_METHODS
        host = headers.get("host", "").lower()
        if host == self._other_host and is_page:
            return RedirectResponse(f"http://{self._host}/", status_code=307)
        if host != self._host:
            return _refused(400, f"this server is {self._host}, and nothing else")
        return None if is_page else self._refusal(scope, headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer that refuses a request, or None if it is allowed."""
        if scope["type"] == "websocket" and scope["path"] not in _SOCKETS:
            return _refused(404, "Not Found")
        scope[_TRUSTED] = self._is_trusted(scope, headers)
        if not is_trusted(scope) and not _needs_no_token(scope):
            return _refused(403, _FORBIDDEN, "token")
        own = f"http://{self._host}"
        own_origin = headers.get("origin", own).lower() == own
        asked_by = headers.get("sec-fetch-site", "none")
        if own_origin and asked_by in ("same-origin", "none"):
            return None
        return _refused(403, _FOREIGN_ORIGIN)

    def _is_trusted(self, scope: Scope, headers: Headers) -> bool:
        """Whether the token is in a header, or among the subprotocols of a WebSocket."""
        tokens = [_bearer(headers)]
        if scope["type"] == "websocket":
            # Older versions of uvicorn do not split the list.
            offered = [one.strip() for said in scope["subprotocols"] for one in said.split(",")]
            own = [one for one in offered if one.startswith(_PROTOCOL_PREFIX)]
            # Removed, so that no answer repeats the token.
            scope["subprotocols"] = [one for one in offered if one not in own]
            tokens += [one.removeprefix(_PROTOCOL_PREFIX) for one in own]
        return any(map(self._access.is_token, tokens))


def trust(scope: MutableMapping[str, Any]) -> None:
    """Note that a request has a token, so that its connection is not closed for others."""
    scope[_TRUSTED] = True


def is_trusted(scope: Mapping[str, Any]) -> bool:
    """Return whether a request has the token, after `Guard` has checked it."""
    return bool(scope.get(_TRUSTED, False))


def _needs_no_token(scope: Scope) -> bool:
    """Whether a request needs no token: static files, and the requests to get the token."""
    if scope["type"] != "http":
        return False
    if scope["method"] in _SAFE_METHODS:
        return str(scope["path"]).startswith(_STATIC)
    return scope["method"] == "POST" and scope["path"] in _TOKENLESS_PATHS


def _bearer(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _refused(status: int, message: str, name: str | None = None) -> Response:
    return JSONResponse({"name": name, "message": message}, status)


def _security_headers(host: str) -> dict[str, str]:
    """Return the security headers, which every answer has."""
    # In some browsers 'self' does not include WebSockets.
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        f"connect-src 'self' ws://{host}" if host else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
