"""Server of a worker: it has sessions, and takes requests only from the process in front of it."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from greenroom.errors import GreenroomError
from greenroom.hosted.app import create_app, sessions_of
from greenroom.hosted.listener import listen
from greenroom.hosted.server import DrainingServer, server_config
from greenroom.hosted.tokens import AccessDeniedError, Action, Grant
from greenroom.hosted.workers.reports import (
    GRANT_HEADER,
    REPORT_HEADER,
    SECRET_HEADER,
    Held,
    WorkerReport,
)
from greenroom.web.page_state import run_quick

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from greenroom.hosted.options import ServeOptions
    from greenroom.hosted.sessions import SessionEvent, Sessions

__all__ = ["WorkerServer", "grant_header"]

_REPORT_S: Final = 1.0
# A session's CPU time is in the measure after this long.
_YOUNG_S: Final = 3.0


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


class WorkerServer:
    """Sessions of a worker, and the server that the process in front asks.

    Parameters
    ----------
    options : ServeOptions
        `ServeOptions.part` says which worker it is.
    secret : str
        What every request has to have in its header.
    host : str
        Address to listen at.
    tell : callable
        Given each message of `greenroom.hosted.workers.reports`, in their order, on the event
        loop. May not wait.
    holds : callable, optional
        See `create_app`.
    wrap : callable, optional
        Returns an application that answers some requests itself.

    Raises
    ------
    GreenroomError
        If backgrounds or tokens cannot be read, or there is no port.
    """

    def __init__(
        self,
        options: ServeOptions,
        secret: str,
        host: str,
        tell: Callable[[dict[str, Any]], None],
        *,
        holds: Callable[[Grant], bool] | None = None,
        wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    ) -> None:
        app = create_app(options, authorize=_told_grant, on_event=self._note_event, holds=holds)
        self.sessions = sessions_of(app)
        self._reporter = _Reporter(self.sessions, tell)
        self._listening = listen(host, 0)
        self._server = DrainingServer(
            server_config(_Entrance(wrap(app), secret, self._reporter)),
            self.sessions.drain,
            options.grace_s,
            self._begin,
        )

    @property
    def port(self) -> int:
        """TCP port that it listens at."""
        return int(self._listening.getsockname()[1])

    def run(self) -> None:
        """Serve until it is drained.

        Raises
        ------
        GreenroomError
            If it does not start.
        """
        # SystemExit is uvicorn's way to say that the application did not start.
        with self._listening, suppress(SystemExit):
            self._server.run(sockets=[self._listening])
        if not self._server.started:
            message = "its log says why"
            raise GreenroomError(message)

    def begin_drain(self, grace_s: float) -> None:
        """Begin to end, within a time; may be called on any thread once it has started."""
        self._server.begin_drain(grace_s)

    def _begin(self) -> None:
        """Begin to report; called on the loop."""
        self._reporter.start(self.port)

    def _note_event(self, _: SessionEvent) -> None:
        self._reporter.report()


class _Reporter:
    """Reports about sessions: whenever one begins or ends, and regularly.

    State: the number of the last report.
    """

    def __init__(self, sessions: Sessions, tell: Callable[[dict[str, Any]], None]) -> None:
        self._sessions = sessions
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self.number = 0

    def start(self, port: int) -> None:
        """Begin to report; on the loop."""
        self._tell({"port": port})
        self._task = asyncio.create_task(self._report_regularly())

    def report(self, metrics: str = "") -> None:
        """WorkerReport now; on the loop."""
        sessions = self._sessions
        calls = sessions.calls
        now_s = time.monotonic()
        connections = Counter(call.grant.name for call in calls)
        for call in calls:
            connections.update(viewer.grant.name for viewer in call.viewers.values())
        self.number += 1
        report = WorkerReport(
            number=self.number,
            is_ready=sessions.is_ready,
            capacity=sessions.capacity or 0,
            cores_used=sessions.cores_used,
            young=sum(now_s - call.began_s < _YOUNG_S for call in calls),
            sessions=tuple(Held(call.id, call.stream, call.grant.name) for call in calls),
            connections=dict(connections),
            metrics=metrics,
        )
        self._tell({"report": report.told()})

    async def _report_regularly(self) -> None:
        while True:
            self.report((await run_quick(self._sessions.metrics.text)).decode())
            await asyncio.sleep(_REPORT_S)


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
