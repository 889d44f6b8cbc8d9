"""The service as an ASGI application, on its own or mounted in another one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from greenroom.errors import BackgroundError, GreenroomError, ModelError, SettingsError
from greenroom.hosted.access import Authorize, Gatekeeper
from greenroom.hosted.guard import Guard
from greenroom.hosted.operation_routes import operation_routes
from greenroom.hosted.options import ServeOptions
from greenroom.hosted.page_routes import page_routes
from greenroom.hosted.rtc import SignallingError
from greenroom.hosted.session_routes import background_routes, session_routes
from greenroom.hosted.sessions import (
    SessionEvent,
    Sessions,
    UnavailableError,
    UnknownSessionError,
)
from greenroom.hosted.signalling_routes import signalling_routes
from greenroom.hosted.tokens import AccessDeniedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.requests import Request

__all__ = ["create_app", "sessions_of"]

_DESCRIPTION = (
    "Virtual backgrounds over WebRTC. Every request but those for the page and for operation has "
    "the header 'Authorization: Bearer TOKEN', if the service has tokens."
)
# Refusals that are the client's own doing, and those of a stream that somebody else has.
_TOO_MANY = ("rate", "limit")
_TAKEN = "taken"


def create_app(
    options: ServeOptions | None = None,
    *,
    authorize: Authorize | None = None,
    on_event: Callable[[SessionEvent], None] | None = None,
) -> FastAPI:
    """Make the application of a service.

    Parameters
    ----------
    options : ServeOptions, optional
        Those about listening (host, port, TLS) are left to whoever serves the application.
    authorize : async callable, optional
        Returns the `Grant` of a request, or raises `AccessDeniedError`; in place of the file of
        tokens. Without either, this machine alone is served.
    on_event : callable, optional
        Told of each `SessionEvent`, on the event loop. May not wait.

    Returns
    -------
    FastAPI
        It ends its sessions when it is shut down. Mounted in another application it is not told of
        that: have the other one call ``await sessions_of(app).close()``.

    Raises
    ------
    GreenroomError
        If tokens or backgrounds cannot be read.
    """
    options = options or ServeOptions()
    gatekeeper = Gatekeeper(options, authorize)
    sessions = Sessions(options, on_event, gatekeeper.holds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await sessions.prepare()
        yield
        await sessions.close()

    app = FastAPI(
        title="greenroom",
        version=version("greenroom"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.sessions = sessions
    for router in (
        signalling_routes(sessions, gatekeeper),
        session_routes(sessions, gatekeeper),
        background_routes(sessions, gatekeeper),
        operation_routes(sessions),
        page_routes(),
    ):
        app.include_router(router)
    app.add_middleware(Guard, origins=options.origins, local_only=gatekeeper.is_local)
    app.add_exception_handler(GreenroomError, _refusing(sessions))
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_unexpected_error)
    return app


def sessions_of(app: FastAPI) -> Sessions:
    """Return the sessions of an application that `create_app` made."""
    sessions = app.state.sessions
    assert isinstance(sessions, Sessions)
    return sessions


def _refusing(sessions: Sessions) -> Callable[[Request, Exception], Response]:
    def refuse(_: Request, error: Exception) -> Response:
        status, headers = 422, {}
        reason = "refused"
        if isinstance(error, AccessDeniedError):
            status, reason = error.status, "access"
            if status == 401:
                headers["WWW-Authenticate"] = 'Bearer realm="greenroom"'
        elif isinstance(error, UnavailableError):
            status, reason = _status_of(error), error.reason
            headers["Retry-After"] = str(error.retry_s)
        elif isinstance(error, UnknownSessionError):
            status, reason = 404, "unknown"
        elif isinstance(error, SignallingError):
            status, reason = 400, "offer"
        sessions.metrics.refusals.labels(reason).inc()
        name = None
        if isinstance(error, (SettingsError, BackgroundError, ModelError)):
            name = error.name
        return _error_response(status, error, name, headers)

    return refuse


def _status_of(error: UnavailableError) -> int:
    if error.reason == _TAKEN:
        return 409
    return 429 if error.reason in _TOO_MANY else 503


def _error_response(
    status: int, message: object, name: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    # The message may repeat input with lone surrogates, which cannot be encoded.
    text = str(message).encode("utf-8", "replace").decode()
    return JSONResponse({"name": name, "message": text}, status, headers)


def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error_response(error.status_code, error.detail, headers=error.headers)


def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])[:100]
    return _error_response(422, f"'{name}': {first['msg']}", name)


def _on_unexpected_error(_: Request, error: Exception) -> Response:
    message = f"something went wrong that should not ({type(error).__name__})"
    return _error_response(500, message)
