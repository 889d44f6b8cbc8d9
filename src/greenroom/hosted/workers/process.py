"""A worker: a process that has sessions, and takes requests only from the one in front of it."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import queue
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from greenroom.errors import GreenroomError
from greenroom.hosted.app import create_app, sessions_of
from greenroom.hosted.logs import log_json
from greenroom.hosted.server import DrainingServer, listen, server_config
from greenroom.hosted.tokens import AccessDeniedError, Action, Grant, TokenFile
from greenroom.hosted.workers.reports import (
    GRANT_HEADER,
    REPORT_HEADER,
    SECRET_HEADER,
    Held,
    Report,
    decode,
    encode,
)
from greenroom.web.page_state import run_quick

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from greenroom.hosted.options import ServeOptions
    from greenroom.hosted.sessions import SessionEvent, Sessions

__all__ = ["grant_header", "run_worker"]

logger = logging.getLogger(__name__)

_HOST: Final = "127.0.0.1"
_REPORT_S: Final = 1.0
# A session's CPU time is in the measure after this long.
_YOUNG_S: Final = 3.0
# A process whose front has died ends within this.
_ORPHAN_S: Final = 3.0


def run_worker(options: ServeOptions, secret: str, pipe: Connection) -> None:
    """Serve sessions until the process in front says so, or has ended; a process' main function.

    Parameters
    ----------
    options : ServeOptions
        `ServeOptions.part` says which worker it is.
    secret : str
        What every request has to have in its header.
    pipe : Connection
        To the process in front.
    """
    log_json()
    try:
        _Worker(options, secret, pipe).run()
    except GreenroomError as error:
        with suppress(OSError):
            pipe.send_bytes(encode({"failed": str(error)}))
        raise SystemExit(1) from None


def grant_header(grant: Grant) -> str:
    """Return a grant as the header of a request has it."""
    told = {
        "name": grant.name,
        "streams": grant.streams,
        "may": sorted(grant.may),
        "sessions": grant.sessions,
    }
    return json.dumps(told)


async def _told_grant(request: Request) -> Grant:
    """Return what the client of a request may do, as the process in front says."""
    try:
        told = json.loads(request.headers[GRANT_HEADER])
    except KeyError:
        message = "the token is missing"
        raise AccessDeniedError(message) from None
    may = frozenset(Action(one) for one in told["may"])
    return Grant(told["name"], tuple(told["streams"]), may, told["sessions"])


class _Worker:
    """The parts of the process.

    State: threads for both directions of the pipe, which end with the process.
    """

    def __init__(self, options: ServeOptions, secret: str, pipe: Connection) -> None:
        holds = None if options.tokens is None else TokenFile(options.tokens).holds
        app = create_app(options, authorize=_told_grant, on_event=self._note_event, holds=holds)
        self._options = options
        self._sessions = sessions_of(app)
        self._reporter = _Reporter(self._sessions, pipe)
        self._pipe = pipe
        self._listening = listen(_HOST, 0)
        self._server = DrainingServer(
            server_config(_Entrance(app, secret, self._reporter)),
            self._sessions.drain,
            options.grace_s,
            self._begin,
        )

    def run(self) -> None:
        """Serve until the end."""
        log_json(self._sessions.session_of)
        with self._listening:
            self._server.run(sockets=[self._listening])
        if not self._server.started:
            message = "its log says why"
            raise GreenroomError(message)
        self._reporter.close()

    def _begin(self) -> None:
        """Tell the port, and begin to listen to the process in front; called on the loop."""
        self._reporter.start(self._listening.getsockname()[1])
        threading.Thread(target=self._obey, name="front", daemon=True).start()

    def _note_event(self, _: SessionEvent) -> None:
        self._reporter.report()

    def _obey(self) -> None:
        """Carry out what the process in front says, until it ends."""
        with suppress(EOFError, OSError):
            while True:
                message = decode(self._pipe.recv_bytes())
                self._server.begin_drain(float(message["drain"]))
        logger.warning("the process in front has ended, and so does this worker")
        ending = threading.Timer(_ORPHAN_S, os._exit, [1])
        ending.daemon = True
        ending.start()
        self._server.begin_drain(0.0)


class _Reporter:
    """Reports to the process in front, in their order and without ever blocking the loop.

    State: the number of reports, those that are to be sent, and a thread that sends them.
    """

    def __init__(self, sessions: Sessions, pipe: Connection) -> None:
        self._sessions = sessions
        self._pipe = pipe
        self._unsent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send, name="reports", daemon=True)
        self._task: asyncio.Task[None] | None = None
        self.number = 0

    def start(self, port: int) -> None:
        """Begin to report; on the loop."""
        self._thread.start()
        self._unsent.put(encode({"port": port}))
        self._task = asyncio.create_task(self._report_regularly())

    def report(self, metrics: str = "") -> None:
        """Report now; on the loop."""
        sessions = self._sessions
        calls = sessions.calls
        now_s = time.monotonic()
        connections = Counter(call.grant.name for call in calls)
        for call in calls:
            connections.update(viewer.grant.name for viewer in call.viewers.values())
        self.number += 1
        report = Report(
            number=self.number,
            is_ready=sessions.is_ready,
            capacity=sessions.capacity or 0,
            cores_used=sessions.cores_used,
            young=sum(now_s - call.began_s < _YOUNG_S for call in calls),
            sessions=tuple(Held(call.id, call.stream, call.grant.name) for call in calls),
            connections=dict(connections),
            metrics=metrics,
        )
        self._unsent.put(encode({"report": report.told()}))

    def close(self) -> None:
        """Send what is left, and end; after the loop has ended."""
        self._unsent.put(None)
        self._thread.join(_ORPHAN_S)

    async def _report_regularly(self) -> None:
        while True:
            self.report((await run_quick(self._sessions.metrics.text)).decode())
            await asyncio.sleep(_REPORT_S)

    def _send(self) -> None:
        with suppress(OSError):  # the process in front has ended
            while (data := self._unsent.get()) is not None:
                self._pipe.send_bytes(data)


class _Entrance:
    """Refuses requests without the secret, and tells the number of the last report.

    Parameters
    ----------
    app : ASGI application
    secret : str
    reporter : _Reporter
    """

    def __init__(self, app: ASGIApp, secret: str, reporter: _Reporter) -> None:
        self._app = app
        self._secret = secret.encode()
        self._reporter = reporter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(SECRET_HEADER, "").encode("latin-1")
        if not hmac.compare_digest(given, self._secret):
            refusal = PlainTextResponse("this port is for the service itself", 403)
            await refusal(scope, receive, send)
            return

        async def send_numbered(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REPORT_HEADER] = str(self._reporter.number)
            await send(message)

        await self._app(scope, receive, send_numbered)
