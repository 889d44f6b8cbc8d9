"""Connections to the page: limits of number and idle time, so that the owner always gets in.

Every program on the machine can open connections, and each open one takes a file descriptor that
cameras and files need. uvicorn has no time limit for a request that is never completed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import Any, ClassVar, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from greenroom.web.security import is_trusted

__all__ = ["BACKLOG", "MAX_CONNECTIONS", "Connection"]

MAX_CONNECTIONS: Final = 64
"""Most open connections to a page. A browser opens six, and two more for each open page."""
BACKLOG: Final = 4
"""Connections accepted in each iteration of the event loop.

It takes about five iterations until an excess connection is closed. With a larger backlog, a
flood of connections would use up all descriptors before the first of them is closed.
"""
# Time limit for the head of a request, and for idle connections.
_HEAD_TIMEOUT_S: Final = 5.0
# Time limit for a client that does not read its answer.
_WRITE_TIMEOUT_S: Final = 10.0
_WEBSOCKET_VERSION: Final = b"13"
_WEBSOCKET_KEY_BYTES: Final = 16
# Every program can send malformed requests; warnings of them must not fill the user's terminal.
_log = logging.getLogger(f"{__name__}.requests")
_log.setLevel(logging.ERROR)


def _is_not_cancellation(record: logging.LogRecord) -> bool:
    """Whether a record is anything but the cancellation of a request at the end."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError)


_log.addFilter(_is_not_cancellation)


class Connection(H11Protocol):
    """One HTTP connection, until it is upgraded to a WebSocket.

    Notes
    -----
    State: one timer while a request is awaited, another while the client does not read, or does not
    take the rest of what was sent before the end. If there are too many connections, the one idle
    for longest is closed; if none is idle, the oldest request without the token. A request with the
    token is never closed.
    """

    max_connections: ClassVar[int] = MAX_CONNECTIONS
    """Most open connections."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = _log
        self._waiting: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None
        self.since_s = 0.0
        """Time at which it was opened, or last answered."""

    @property
    def is_answered(self) -> bool:
        """Whether a request is being answered."""
        return bool(self.cycle) and not self.cycle.response_complete

    @property
    def serves_owner(self) -> bool:
        """Whether a request with the token is being answered."""
        return self.is_answered and is_trusted(self.scope)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, if there is room or another one can be closed."""
        super().connection_made(transport)
        self.since_s = self.loop.time()
        self._watch()
        # Closing connections are still listed until their clients have taken everything.
        closing = [one for one in self.connections if one.transport.is_closing()]
        own_closing = [one for one in closing if isinstance(one, Connection)]
        if len(own_closing) > self.max_connections:
            min(own_closing, key=lambda one: one.since_s).end()
        open_connections = self.connections.difference(closing)
        if len(open_connections) > self.max_connections:
            self._make_room([one for one in open_connections if isinstance(one, Connection)])

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        super().connection_lost(exc)
        self._stop_timers()

    def data_received(self, data: bytes) -> None:
        """Parse received data; stop the timer if it completes the head of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Start the timer for the next request."""
        self.since_s = self.loop.time()
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Upgrade the connection, if the opening handshake is valid."""
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
        """Start the timer for a client that does not read."""
        super().pause_writing()
        self._limit_reading()

    def resume_writing(self) -> None:
        """Stop the timer: the client reads again."""
        super().resume_writing()
        if self._stalling is not None and not self.transport.is_closing():
            self._stalling.cancel()
            self._stalling = None

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request with JSON, as other errors are."""
        if self.is_answered:  # end the handler, which would answer too
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
        """Close the connection at once, dropping unsent data."""
        self.transport.abort()

    def _make_room(self, others: list[Connection]) -> None:
        """Close the least needed of the other connections, or this one."""
        dispensable = [one for one in others if one is not self and not one.serves_owner]
        first = min(dispensable, key=lambda one: (one.is_answered, one.since_s), default=self)
        first.end()

    def _watch(self) -> None:
        """Start or stop the timer for the head of a request."""
        is_lost = self.transport.get_protocol() is not self  # or upgraded
        if self.transport.is_closing() and not is_lost:
            self._stop_waiting()
            self._limit_reading()
        elif self.is_answered or is_lost:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(_HEAD_TIMEOUT_S, self.end)

    def _limit_reading(self) -> None:
        """Start the timer for a client that does not read."""
        if self._stalling is None:
            self._stalling = self.loop.call_later(_WRITE_TIMEOUT_S, self.end)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _stop_timers(self) -> None:
        self._stop_waiting()
        if self._stalling is not None:
            self._stalling.cancel()
            self._stalling = None


def _is_key(value: bytes) -> bool:
    """Whether it is a valid ``Sec-WebSocket-Key`` (RFC 6455, 4.1)."""
    try:
        return len(base64.b64decode(value, validate=True)) == _WEBSOCKET_KEY_BYTES
    except ValueError:
        return False
