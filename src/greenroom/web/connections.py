"""Connections to the page: so many, and none that only waits, so that the owner always gets in.

Anybody on the machine can open connections, and whoever keeps them open takes descriptors that
cameras and files need, too. uvicorn waits for ever for a request that is never completed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from greenroom.web.security import is_trusted

__all__ = ["BACKLOG", "MAX_CONNECTIONS", "Connection"]

MAX_CONNECTIONS: Final = 64
"""A browser opens six, and two for each open page."""
BACKLOG: Final = 4
"""How many are taken in in each round of the event loop.

It takes some five rounds from there until one that is too much is closed: with more, a flood
would take all descriptors before the first of it is looked at.
"""
# For the head of a request; a browser sends it at once, and keeps spare connections as long.
_HEAD_TIMEOUT_S: Final = 5.0
# For a client to take some of what it asked for.
_WRITE_TIMEOUT_S: Final = 10.0
_WEBSOCKET_VERSION: Final = b"13"
_WEBSOCKET_KEY_BYTES: Final = 16
# Anybody can send nonsense, and is not to fill the user's terminal with warnings of it.
_log = logging.getLogger(f"{__name__}.requests")
_log.setLevel(logging.ERROR)


def _is_not_cancellation(record: logging.LogRecord) -> bool:
    """Whether a record tells something else than that a request ended with the page."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)


_log.addFilter(_is_not_cancellation)


class Connection(H11Protocol):
    """One connection, until it speaks WebSocket.

    Notes
    -----
    State: a timer while a request is waited for, another one while nothing is taken. Where there
    are too many connections the one that waits for longest goes, then the one that is answered
    for longest without having the token. What the owner uses never goes.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = _log
        self._waiting: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None
        self.since_s = 0.0
        """When it began, or was last answered."""

    @property
    def is_answered(self) -> bool:
        """Whether a request came that is not answered yet."""
        return bool(self.cycle) and not self.cycle.response_complete

    @property
    def serves_owner(self) -> bool:
        """Whether a request is answered that has the token."""
        return self.is_answered and is_trusted(self.scope)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room or room can be made."""
        super().connection_made(transport)
        self.since_s = self.loop.time()
        self._watch()
        # Those that end are there until the event loop comes to it.
        there = [one for one in self.connections if not one.transport.is_closing()]
        if len(there) > MAX_CONNECTIONS:
            self._make_room([one for one in there if isinstance(one, Connection)])

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        self._stop_timers()

    def data_received(self, data: bytes) -> None:
        """Take what comes, and wait no longer if it completes the head of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        self.since_s = self.loop.time()
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over, if that is what a client of WebSockets says."""
        self._stop_timers()
        names = dict(self.headers)
        if (
            event.method != b"GET"
            or names.get(b"sec-websocket-version") != _WEBSOCKET_VERSION
            or not _is_key(names.get(b"sec-websocket-key", b""))
            or names.keys() & {b"content-length", b"transfer-encoding"}
        ):
            self.send_400_response("expected a WebSocket's opening handshake, of version 13")
            return
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """Wait for a client that takes nothing, but not for long."""
        super().pause_writing()
        if self._stalling is None:
            self._stalling = self.loop.call_later(_WRITE_TIMEOUT_S, self.end)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong with what is no request, as it is said of requests."""
        if self.is_answered:  # who would answer is not to answer, too
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps({"name": None, "message": msg.strip(".")}).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            # An answer to HEAD has no body (RFC 9110, 9.3.2).
            is_head = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
            for part in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                *([] if is_head else [h11.Data(data=body)]),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(part) or b"")
        self.transport.close()

    def end(self) -> None:
        """End it at once, whatever is still to be sent."""
        self.transport.abort()

    def _make_room(self, others: list[Connection]) -> None:
        """End the one that can best be done without; this one, if there is none."""
        dispensable = [one for one in others if one is not self and not one.serves_owner]
        first = min(dispensable, key=lambda one: (one.is_answered, one.since_s), default=self)
        first.end()

    def _watch(self) -> None:
        """Give a client that says nothing, or never all of it, a few seconds."""
        if self.is_answered or self.transport.get_protocol() is not self:
            self._stop_waiting()
        elif self._waiting is None and not self.transport.is_closing():
            self._waiting = self.loop.call_later(_HEAD_TIMEOUT_S, self.end)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _stop_timers(self) -> None:
        self._stop_waiting()
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None


def _is_key(said: bytes) -> bool:
    """Whether a client of WebSockets says a key as it should (RFC 6455, 4.1)."""
    try:
        return len(base64.b64decode(said, validate=True)) == _WEBSOCKET_KEY_BYTES
    except ValueError:
        return False
