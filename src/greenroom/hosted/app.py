"""The service as an ASGI application, on its own or mounted in another one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI

from greenroom.hosted.access import Authorize, Gatekeeper
from greenroom.hosted.body_limit import BodyLimitMiddleware
from greenroom.hosted.guard import RequestGuard
from greenroom.hosted.operation_routes import operation_routes
from greenroom.hosted.options import ServeOptions
from greenroom.hosted.page_routes import page_routes
from greenroom.hosted.refusals import answer_errors
from greenroom.hosted.session_routes import background_routes, session_routes
from greenroom.hosted.sessions import SessionEvent, Sessions
from greenroom.hosted.signalling_routes import signalling_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from greenroom.hosted.tokens import Grant

__all__ = ["create_app", "sessions_of"]

_DESCRIPTION = (
    "Virtual backgrounds over WebRTC. Every request but those for the page and for operation has "
    "the header 'Authorization: Bearer TOKEN', if the service has tokens."
)


def create_app(
    options: ServeOptions | None = None,
    *,
    authorize: Authorize | None = None,
    on_event: Callable[[SessionEvent], None] | None = None,
    holds: Callable[[Grant], bool] | None = None,
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
    holds : callable, optional
        Asked every second whether the grant of a session is still valid; otherwise it ends. By
        default that is said by the file of tokens, or not at all.

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
    sessions = Sessions(options, on_event, holds or gatekeeper.holds)

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
        operation_routes(
            lambda: sessions.is_ready, lambda: sessions.draining, sessions.metrics.text
        ),
        page_routes(),
    ):
        app.include_router(router)
    app.add_middleware(BodyLimitMiddleware, limit=gatekeeper.body_limit)
    app.add_middleware(RequestGuard, origins=options.origins, local_only=gatekeeper.is_local)
    answer_errors(app, sessions.metrics.note_refusal)
    return app


def sessions_of(app: FastAPI) -> Sessions:
    """Return the sessions of an application that `create_app` made."""
    sessions = app.state.sessions
    assert isinstance(sessions, Sessions)
    return sessions
