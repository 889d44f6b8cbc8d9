"""The page's server: uvicorn on a thread of its own, on this machine only."""

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
from greenroom.web.port import DEFAULT_PORT, listen

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from greenroom.settings import Settings
    from greenroom.web.page_state import LiveSession

__all__ = ["DEFAULT_PORT", "PageServer"]

logger = logging.getLogger(__name__)

_KEY_BYTES: Final = 32
# How long the server may take to begin, and to end though pages are open.
_START_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 2.0
# After this, uvicorn gives up requests that still run.
_SHUTDOWN_GRACE_S: Final = 1
# Connections that the system keeps before they are taken in.
_MAX_QUEUED_CONNECTIONS: Final = 512
# A page sends acknowledgements and names of views.
_MAX_MESSAGE_BYTES: Final = 4096
# What uvicorn says where calls still run at the end; that they are left behind is meant so.
logging.getLogger("uvicorn.error").addFilter(
    lambda record: "graceful shutdown" not in record.getMessage()
)


class PageServer:
    """Serves the page of a session.

    Parameters
    ----------
    session : LiveSession
        What is steered.
    run_checks : callable
        Inspects this machine for settings; returns findings, which are dataclasses.
    port : int
        Port of 127.0.0.1; 0 takes any that is free. The page shows the user's own picture, and is
        served to this machine only.
    access : Access, optional
        What lets in; one that ends with this server if it is not given.
    gallery : Gallery, optional
        The backgrounds to choose from; those of the user if it is not given.

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
        """How many connections are open."""
        return 0 if self._server is None else len(self._server.server_state.connections)

    def start(self) -> None:
        """Begin to serve; returns when the page can be opened.

        Raises
        ------
        SinkError
            If the port is in use or may not be used.
        """
        listening = listen(self._wanted_port, BACKLOG)
        self.port = self.access.port = listening.getsockname()[1]
        config = uvicorn.Config(
            create_app(self._session, self._gallery, self.access, self._run_checks),
            access_log=False,
            backlog=BACKLOG,
            http=Connection,
            lifespan="off",
            log_config=None,  # logging is the program's business
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_GRACE_S,
            ws="websockets-sansio",  # the other one is deprecated by websockets itself
            ws_max_size=_MAX_MESSAGE_BYTES,
        )
        self._server = uvicorn.Server(config)
        # Signals are the program's business too: uvicorn takes them on the main thread only.
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
        # Who waits in the system's queue takes no descriptor; uvicorn made it as long as what it
        # takes in at once.
        listening.listen(_MAX_QUEUED_CONNECTIONS)

    def stop(self) -> None:
        """End within two seconds, whatever pages do; a call that hangs is left behind."""
        if self._server is None or self._thread is None:
            return
        self._ended.set()
        self._server.should_exit = True
        self._thread.join(timeout=_STOP_TIMEOUT_S)
        if self._thread.is_alive():
            logger.warning("the page's server does not end, and is left behind")
        self._server = self._thread = None

    def _serve(self, config: uvicorn.Config) -> None:
        """Serve until told to end; after a failure once more, at the same port."""
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
