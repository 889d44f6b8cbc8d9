"""Server of the command: listens, drains when it is told to end, and ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from greenroom.errors import SinkError
from greenroom.hosted.app import create_app, sessions_of
from greenroom.hosted.listener import Listener, listen
from greenroom.hosted.logs import log_json
from greenroom.hosted.tls import self_signed
from greenroom.web.connections import Connection

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from types import FrameType

    from starlette.types import ASGIApp

    from greenroom.hosted.options import ServeOptions

__all__ = ["DrainingServer", "run_server", "serve", "server_config"]

logger = logging.getLogger(__name__)

# uvicorn cancels requests that still run after this.
_SHUTDOWN_GRACE_S: Final = 1


class _HostedConnection(Connection):
    """A connection to the service, of which there may be more than to a page."""

    max_connections = 256


class DrainingServer(uvicorn.Server):
    """Drains its sessions at the first signal to end; a second one ends at once.

    Parameters
    ----------
    config : uvicorn.Config
    drain : async callable
        Ends the sessions within the time that it is given, in seconds.
    grace_s : float
        How long sessions may go on after SIGTERM; Ctrl-C leaves them no time.
    on_started : callable
        Called when connections are taken.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        drain: Callable[[float], Awaitable[None]],
        grace_s: float,
        on_started: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._drain = drain
        self._grace_s = grace_s
        self._on_started = on_started
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None
        self._listeners: list[Listener] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, and accept connections."""
        self._loop = asyncio.get_running_loop()
        await super().startup([])  # uvicorn would accept without limits
        self._listeners = [
            Listener(one, self._make_connection, self.config.ssl) for one in sockets or []
        ]
        for listener in self._listeners:
            listener.start()
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no connection any more, and end the application."""
        for listener in self._listeners:
            await listener.close()
        await super().shutdown(sockets)

    def _make_connection(self) -> _HostedConnection:
        return _HostedConnection(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to end; called by a signal, between any two steps of the main thread."""
        if self._loop is None or self._draining is not None:
            self.should_exit = True
            return
        grace_s = 0.0 if sig == signal.SIGINT else self._grace_s
        self._loop.call_soon_threadsafe(self._begin_drain, grace_s)

    def begin_drain(self, grace_s: float) -> None:
        """Begin to end, in place of a signal; may be called on any thread once it has started."""
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._begin_drain, grace_s)

    def _begin_drain(self, grace_s: float) -> None:
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain_and_end(grace_s))

    async def _drain_and_end(self, grace_s: float) -> None:
        try:
            await self._drain(grace_s)
        finally:
            self.should_exit = True


def serve(options: ServeOptions, on_started: Callable[[str], None] = lambda _url: None) -> None:
    """Serve from this process alone until a signal ends it; on the main thread.

    Parameters
    ----------
    options : ServeOptions
    on_started : callable
        Told the address when connections are taken.

    Raises
    ------
    GreenroomError
        If the options are wrong, or the port cannot be used.
    """
    options.check()
    app = create_app(options)
    sessions = sessions_of(app)
    run_server(app, options, sessions.drain, on_started, sessions.session_of)


def run_server(
    app: ASGIApp,
    options: ServeOptions,
    drain: Callable[[float], Awaitable[None]],
    on_started: Callable[[str], None],
    session_of: Callable[[int], str] = lambda _thread: "",
) -> None:
    """Serve an application until a signal ends it; on the main thread.

    Parameters
    ----------
    app : ASGI application
    options : ServeOptions
    drain : async callable
        Ends the sessions within the time that it is given, in seconds.
    on_started : callable
        Told the address when connections are taken.
    session_of : callable
        See `log_json`.

    Raises
    ------
    SinkError
        If the port cannot be used, or the application does not start.
    """
    with listen(options.host, options.port) as listening:
        config = server_config(app, **_tls(options))
        log_json(session_of)
        url = _url(options, listening.getsockname()[1])
        server = DrainingServer(config, drain, options.grace_s, lambda: on_started(url))
        with suppress(SystemExit):  # uvicorn's way to say that the application did not start
            server.run(sockets=[listening])
    if not server.started:
        message = "the service did not start; its log says why"
        raise SinkError(message)


def server_config(app: ASGIApp, **tls: Any) -> uvicorn.Config:
    """Return the configuration of a server of the service.

    Parameters
    ----------
    app : ASGI application
    **tls
        uvicorn's options for encryption.
    """
    return uvicorn.Config(
        app,
        access_log=False,
        http=_HostedConnection,
        lifespan="on",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_GRACE_S,
        ws="none",
        **tls,
    )


def _tls(options: ServeOptions) -> dict[str, Any]:
    """Return uvicorn's options for encryption."""
    if options.tls_self_signed:
        names = [options.host, options.public_address or ""]
        try:
            return {"ssl_certfile": str(self_signed(names))}
        except OSError as error:
            message = f"the certificate cannot be kept: {error.strerror}. Give one: --tls-cert"
            raise SinkError(message, error.filename) from error
    if options.tls_cert is None:
        return {}
    for path in (options.tls_cert, options.tls_key):
        if path is not None and not path.is_file():
            message = f"'{path}' is no file: expected a certificate and its key, PEM"
            raise SinkError(message, path)
    return {"ssl_certfile": str(options.tls_cert), "ssl_keyfile": str(options.tls_key)}


def _url(options: ServeOptions, port: int) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"{'https' if options.has_tls else 'http'}://{host}:{port}/"
