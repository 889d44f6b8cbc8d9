"""What the process in front asks a replica besides what clients ask: reports, drain, revocation.

A request of this kind has the header `CONTROL_HEADER`, which is never passed on from a client.

``reports``
    The answer goes on for as long as the connection does: messages of
    `greenroom.hosted.workers.reports`, one a line.
``drain``
    ``{"grace_s": 10.0}``: end all sessions within a time, and admit none.
``revoke``
    ``{"names": ["anna"]}``: end the sessions of tokens that are no longer valid.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from greenroom.hosted.workers.reports import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from greenroom.hosted.tokens import Grant

__all__ = ["CONTROL_HEADER", "Control"]

CONTROL_HEADER: Final = "greenroom-control"
"""Header of a request of the process in front: what it asks for."""
# Messages that are kept for a reader that is behind.
_MOST_UNREAD: Final = 64
# A revocation is told every second for as long as there are sessions.
_REVOKED_S: Final = 3.0


class Control:
    """Answers what the process in front asks. Everything is called on the event loop.

    Parameters
    ----------
    now_s : callable
        Returns monotonic seconds.

    Attributes
    ----------
    last : dict
        The last report; empty before the first one.

    State: those who read the reports, and the tokens that were revoked of late.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.last: dict[str, Any] = {}
        self.drain: Callable[[float], Awaitable[None]] | None = None
        """Ends the sessions; set before the first request."""
        self._now_s = now_s
        self._readers: set[asyncio.Queue[bytes]] = set()
        self._revoked: dict[str, float] = {}
        self._draining: asyncio.Future[None] | None = None

    def tell(self, message: dict[str, Any]) -> None:
        """Send a message to all who read."""
        if "report" not in message:
            return
        self.last = message["report"]
        line = encode(message) + b"\n"
        for reader in [*self._readers]:
            if reader.full():
                self._readers.discard(reader)
            else:
                reader.put_nowait(line)

    def holds(self, grant: Grant) -> bool:
        """Whether a grant was not revoked."""
        since_s = self._revoked.get(grant.name)
        return since_s is None or self._now_s() - since_s > _REVOKED_S

    def wrap(self, app: ASGIApp) -> ASGIApp:
        """Return an application that answers these requests, and leaves others to another."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            kind = Headers(scope=scope).get(CONTROL_HEADER) if scope["type"] == "http" else None
            if kind is None:
                await app(scope, receive, send)
                return
            response = await self._answer(kind, Request(scope, receive))
            await response(scope, receive, send)

        return answer

    async def _answer(self, kind: str, request: Request) -> Response:
        if kind == "reports":
            return StreamingResponse(self._reports(), media_type="application/jsonl")
        if kind == "drain":
            self._begin_drain(float(json.loads(await request.body())["grace_s"]))
        elif kind == "revoke":
            now_s = self._now_s()
            names = json.loads(await request.body())["names"]
            self._revoked = dict.fromkeys(names, now_s)
        else:
            return PlainTextResponse("this is not known", 404)
        return Response(status_code=204)

    def _begin_drain(self, grace_s: float) -> None:
        assert self.drain is not None
        if self._draining is None:
            self._draining = asyncio.ensure_future(self.drain(grace_s))

    async def _reports(self) -> AsyncIterator[bytes]:
        reader: asyncio.Queue[bytes] = asyncio.Queue(_MOST_UNREAD)
        self._readers.add(reader)
        if self.last:
            yield encode({"report": self.last}) + b"\n"
        try:
            while reader in self._readers:
                yield await reader.get()
        finally:
            self._readers.discard(reader)
