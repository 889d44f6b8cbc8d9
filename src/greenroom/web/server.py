"""The page's server: uvicorn on a thread of its own, on the loopback interface only."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from greenroom.errors import SinkError
from greenroom.media.workers import Worker
from greenroom.web.access import Access
from greenroom.web.application import create_app
from greenroom.web.connections import BACKLOG, Connection
from greenroom.web.gallery import Gallery
from greenroom.web.page_state import PageState
from greenroom.web.port import DEFAULT_PORT, listen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from greenroom.settings import Settings
    from greenroom.web.page_state import LiveSession

__all__ = ["DEFAULT_PORT", "PageServer"]

logger = logging.getLogger(__name__)

_KEY_BYTES: Final = 32
# Time limits for starting, and for stopping while pages are open.
_START_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 2.0
# uvicorn cancels requests that still run after this.
_SHUTDOWN_GRACE_S: Final = 1
# Connections that the system queues before they are accepted.
_MAX_QUEUED_CONNECTIONS: Final = 512
# A page's messages are acknowledgements and names of views.
_MAX_MESSAGE_BYTES: Final = 4096
# uvicorn warns about calls that still run at the end; they are abandoned on purpose.
logging.getLogger("uvicorn.error").addFilter(
    lambda record: "graceful shutdown" not in record.getMessage()
)


class PageServer:
    """Serves the page of a session.

    Parameters
    ----------
    session : LiveSession
        The session to control.
    run_checks : callable
        Runs the doctor's checks for settings; returns findings, which are dataclasses.
    port : int
        Port of 127.0.0.1; 0 takes a free one.
    access : Access, optional
        Authentication; by default one with a key that ends with this server.
    gallery : Gallery, optional
        The backgrounds to choose from; by default the user's.

    Notes
    -----
    State: a thread from `start` to `stop`, which are called on one thread.
    """

    def __init__(
        self,
        session: LiveSession,
        *,
        run_checks: Callable[[Settings], Sequence[Any]],
        port: int = DEFAULT_PORT,
        access: Access | None = None,
        gallery: Gallery | None = None,
    ) -> None:
        self._session = session
        self._run_checks = run_checks
        self._gallery = gallery or Gallery()
        self._wanted_port = port
        self.access = access or Access(secrets.token_bytes(_KEY_BYTES))
        self.port = port
        self._server: uvicorn.Server | None = None
        self._listening: socket.socket | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address to open, with the token in it."""
        return self.access.url

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return 0 if self._server is None else len(self._server.server_state.connections)

    def start(self) -> None:
        """Start the server; return when the page can be opened.

        Raises
        ------
        SinkError
            If the port is in use or may not be used.
        """
        listening = listen(self._wanted_port, BACKLOG)
        self.port = self.access.port = listening.getsockname()[1]
        config = uvicorn.Config(
            create_app(PageState(self._session, self._gallery, self.access, self._run_checks)),
            access_log=False,
            backlog=BACKLOG,
            http=Connection,
            lifespan="off",
            log_config=None,  # the program configures logging
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_GRACE_S,
            ws="websockets-sansio",  # "websockets" uses what that package deprecates
            ws_max_size=_MAX_MESSAGE_BYTES,
        )
        self._server = uvicorn.Server(config)
        # Not on the main thread, where uvicorn would install signal handlers.
        self._ended.clear()
        self._listening = listening
        self._thread = Worker(lambda: self._serve(config), "page", ended=self._ended)
        self._thread.start()
        end_s = time.monotonic() + _START_TIMEOUT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end_s:
                self.stop()
                message = "page: the server did not start; its log says why"
                raise SinkError(message)
            time.sleep(0.01)
        # A longer queue than uvicorn's, which it set to BACKLOG: queued connections take no
        # descriptors.
        listening.listen(_MAX_QUEUED_CONNECTIONS)

    def stop(self) -> None:
        """Stop within two seconds, whatever pages do; hung calls are abandoned."""
        if self._server is None or self._thread is None:
            return
        self._ended.set()
        self._server.should_exit = True
        self._thread.join(timeout=_STOP_TIMEOUT_S)
        if self._thread.is_alive():
            logger.warning("the page's server does not end, and is left behind")
        self._server = self._thread = None

    def _serve(self, config: uvicorn.Config) -> None:
        """Serve until `stop`. Called again after a failure, it listens at the same port."""
        listening, self._listening = self._listening, None
        if listening is None:
            listening = listen(self.port, BACKLOG)
            self._server = uvicorn.Server(config)
        server = self._server
        with listening:
            if server is not None and not self._ended.is_set():
                server.run(sockets=[listening])
        if not self._ended.is_set():
            message = "the server ended by itself"
            raise RuntimeError(message)
