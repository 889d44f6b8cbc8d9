"""Who may use the page: whoever has its token, from a page of this very server.

A page on 127.0.0.1 can be reached by every program and every web page on the machine. So:

- everything needs a random token, in a cookie that no script can read and that no other site's
  page sends, or in a header for programs;
- ``Host`` has to be the page's own address, so that a foreign name that was made to mean
  127.0.0.1 (DNS rebinding) leads nowhere;
- ``Origin`` has to be the page's own on everything that changes something and on WebSockets:
  to a browser, another port of this machine is the same site;
- what is served may load nothing from elsewhere, run no script but its own, and be in no frame.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]

_HARMLESS: Final = ("GET", "HEAD")
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>greenroom</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
</head><body><h1>This is not the whole address</h1><p>{message}</p></body></html>
"""
_NOT_KNOWN: Final = (
    "The page needs the token that belongs to this run of greenroom. Open the address that "
    "greenroom run printed in its terminal: it ends in /?token= and the token. After a restart "
    "there is a new one."
)
_NOT_ASKED: Final = "the request does not come from greenroom's own page"


class Guard:
    """Lets only those requests through that come from the page or have its token.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    token : str
        The secret.
    port : int
        Where the page is served, on 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token
        # Cookies are shared by all ports of a machine, and two greenrooms may run.
        self._cookie = f"greenroom-{port}"
        names = ("127.0.0.1", "localhost")
        self._hosts = {f"{name}:{port}" for name in names}
        if port == 80:  # browsers leave the usual port out
            self._hosts |= set(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        protection = _protection(host if host.lower() in self._hosts else "")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(protection)
            await send(message)

        answer = self._answer(scope, headers, host)
        if answer is None:
            await self._app(scope, receive, send_guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
        else:
            await answer(scope, receive, send_guarded)

    def _answer(self, scope: Scope, headers: Headers, host: str) -> Response | None:
        """Return what to answer in place of the application, or None if it may."""
        if host.lower() not in self._hosts:
            expected = " or ".join(sorted(self._hosts))
            return _refused(400, f"this server is {expected}, and nothing else")
        query = parse_qs(scope["query_string"].decode("latin-1"))
        is_entrance = scope["type"] == "http" and scope["path"] == "/"
        if is_entrance and "token" in query:
            return self._let_in(query["token"][-1])
        has_header = self._is_token(_bearer(headers))
        if not has_header and not self._is_token(self._from_cookie(headers)):
            return _not_the_address() if is_entrance else _refused(403, _NOT_KNOWN)
        is_write = scope["type"] == "websocket" or scope["method"] not in _HARMLESS
        origin = headers.get("origin")
        if origin is None:
            own = has_header or not is_write
        else:
            own = origin.lower() == f"http://{host.lower()}"
        # Says where a request comes from also where there is no Origin: a picture, a link.
        asked_by = headers.get("sec-fetch-site", "none")
        return None if own and asked_by in ("same-origin", "none") else _refused(403, _NOT_ASKED)

    def _let_in(self, token: str) -> Response:
        if not self._is_token(token):
            return _not_the_address()
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(self._cookie, token, path="/", httponly=True, samesite="strict")
        return response

    def _is_token(self, token: str | None) -> bool:
        """Compare in a time that tells nothing about where the difference is."""
        return hmac.compare_digest((token or "").encode(), self._token.encode())

    def _from_cookie(self, headers: Headers) -> str | None:
        return cookie_parser(headers.get("cookie", "")).get(self._cookie)


def _bearer(headers: Headers) -> str | None:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"name": None, "message": message}, status)


def _not_the_address() -> Response:
    return HTMLResponse(_PAGE.format(message=_NOT_KNOWN), 403)


def _protection(host: str) -> dict[str, str]:
    """Return the headers of every answer."""
    # Not every browser takes 'self' to mean WebSockets too.
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
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
