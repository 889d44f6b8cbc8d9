"""WebSocket routes: notifications of changes, and the preview with back-pressure."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from greenroom.errors import GreenroomError, SettingsError
from greenroom.web.image_encoding import to_jpeg
from greenroom.web.page_state import LivePreview, PageState, run_quick

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from greenroom.media.frame import Frame

__all__ = ["socket_routes"]

# Time between two messages with the status, without changes; and least time between previews.
_STATUS_INTERVAL_S: Final = 0.5
_PREVIEW_INTERVAL_S: Final = 1 / 15
# Time-out of a worker thread's wait for a preview; ending the page may take as long.
_PREVIEW_WAIT_S: Final = 0.25
_POLL_S: Final = 0.02
# Each occupies a worker thread while it waits.
_MAX_PREVIEWS: Final = 8
_VIEWS: Final = {"after": 0, "before": 1, "matte": 2}
_TRY_AGAIN_LATER: Final = 1013
_REFUSED: Final = 1008
_NEW_TOKEN: Final = 4403
"""Private close code (RFC 6455, 7.4.2): the page does not reconnect."""
PROTOCOL: Final = "greenroom"
"""Subprotocol of the page; the other one that it offers holds the token."""
# Longest reason in a close frame (RFC 6455, 5.5).
_MAX_REASON_BYTES: Final = 123
# Raised by Starlette after the page has disconnected.
_DISCONNECT_ERRORS: Final = (WebSocketDisconnect, RuntimeError)
# Raised by messages that are not text, not JSON, or have unexpected values.
_MALFORMED_MESSAGE_ERRORS: Final = (
    AttributeError,
    KeyError,
    RecursionError,
    SettingsError,
    TypeError,
    ValueError,
)


def socket_routes(page: PageState) -> APIRouter:
    """Make the routes ``/ws`` and ``/ws/preview``."""
    router = APIRouter()
    previews = 0

    @router.websocket("/ws")
    async def changes(socket: WebSocket) -> None:
        if not await _accept(socket):
            return
        await _until_first(
            partial(_send_changes, socket, page),
            partial(_drain, socket),
            partial(_until_renewed, socket, page),
        )

    @router.websocket("/ws/preview")
    async def preview(socket: WebSocket, views: str = "after") -> None:
        nonlocal previews
        if not await _accept(socket):
            return
        if previews >= _MAX_PREVIEWS:
            await _close(socket, _TRY_AGAIN_LATER, "too many pages are open")
            return
        previews += 1
        try:
            await _show(socket, page, views)
        finally:
            previews -= 1

    return router


async def _accept(socket: WebSocket) -> bool:
    """Accept the connection; return whether the page is still connected."""
    try:
        await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
    except _DISCONNECT_ERRORS:
        return False
    return True


async def _close(socket: WebSocket, code: int, reason: object) -> None:
    """Close the connection with a reason; ignore that the page may be gone."""
    with suppress(*_DISCONNECT_ERRORS):
        await socket.close(code, _reason(reason))


def _reason(text: object) -> str:
    """Truncate a text to what a close frame can hold."""
    encoded = str(text).encode("utf-8", "replace")
    return encoded[:_MAX_REASON_BYTES].decode("utf-8", "ignore")


async def _show(socket: WebSocket, page: PageState, views: str) -> None:
    """Send previews until the page disconnects."""
    try:
        preview = await run_quick(page.session.previews.open, frozenset(views.split(",")))
    except GreenroomError as error:
        await _close(socket, _REFUSED, error)
        return
    shown = _PreviewSender(socket, preview)
    try:
        await _until_first(shown.send, shown.listen, partial(_until_renewed, socket, page))
    finally:
        preview.close()


async def _until_first(*works: Callable[[], Awaitable[None]]) -> None:
    """Run functions until one ends, and cancel the others; a disconnected page is no error."""

    async def run(work: Callable[[], Awaitable[None]]) -> None:
        await work()
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for work in works:
                group.start_soon(run, work)
    except* _DISCONNECT_ERRORS:
        pass


def _setting(event: asyncio.Event) -> Callable[[], None]:
    """Make a function that sets an event of this event loop from any thread."""
    loop = asyncio.get_running_loop()

    def listener() -> None:
        with suppress(RuntimeError):  # the page's server has ended
            loop.call_soon_threadsafe(event.set)

    return listener


async def _until_renewed(socket: WebSocket, page: PageState) -> None:
    """Wait for a new token, then close the connection."""
    renewed = asyncio.Event()
    unsubscribe = page.access.subscribe(_setting(renewed))
    try:
        await renewed.wait()
        await socket.close(_NEW_TOKEN, "a new token was made")
    finally:
        unsubscribe()


async def _drain(socket: WebSocket) -> None:
    """Ignore messages until the page disconnects."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _send_changes(socket: WebSocket, page: PageState) -> None:
    """Send settings when they change, and the status at changes and regularly."""
    changed = asyncio.Event()
    unsubscribe = page.subscribe(_setting(changed))
    sent: dict[str, Any] = {}
    try:
        while True:
            changed.clear()
            news = {
                "settings": await run_quick(page.settings),
                "backgrounds": page.backgrounds_version,
                "status": await run_quick(lambda: page.session.status().to_dict()),
            }
            for kind, value in news.items():
                if kind == "status" or sent.get(kind) != value:
                    await socket.send_text(json.dumps({"type": kind, "value": value}))
            sent = news
            with anyio.move_on_after(_STATUS_INTERVAL_S):
                await changed.wait()
    finally:
        unsubscribe()


class _PreviewSender:
    """Sends the preview to one page: the next picture once the last one was shown."""

    def __init__(self, socket: WebSocket, preview: LivePreview) -> None:
        self._socket = socket
        self._preview = preview
        self._number = 0
        self._was_shown = asyncio.Event()
        self._was_shown.set()

    async def send(self) -> None:
        """Send the newest picture whenever the page is ready for it."""
        while True:
            await self._was_shown.wait()
            started_s = time.monotonic()
            message = await run_quick(self._next)
            if message is None:
                await asyncio.sleep(_POLL_S)  # `next` returns at once after the session has ended
                continue
            self._was_shown.clear()
            await self._socket.send_bytes(message)
            await asyncio.sleep(max(0.0, started_s + _PREVIEW_INTERVAL_S - time.monotonic()))

    async def listen(self) -> None:
        """Receive messages of the page: ``{"shown": number}`` or ``{"views": [name, ...]}``."""
        while True:
            try:
                said = json.loads(await self._socket.receive_text())
                if said.get("shown") == self._number:
                    self._was_shown.set()
                if "views" in said:
                    self._preview.want(frozenset(map(str, said["views"])))
            except _MALFORMED_MESSAGE_ERRORS as error:
                await self._socket.close(_REFUSED, _reason(f"not understood: {error}"))
                return

    def _next(self) -> bytes | None:
        """Wait for views and pack them into one message; called on a worker thread."""
        views = self._preview.next(_PREVIEW_WAIT_S)
        if views is None:
            return None
        self._number += 1
        return _packed(self._number, views)


def _packed(number: int, views: Mapping[str, Frame]) -> bytes:
    """Pack views of one moment into a message.

    The message's number (4 bytes), and for each view its number (1 byte), the length of its
    picture (4 bytes), and the picture as JPEG. All numbers are big-endian.
    """
    parts = [struct.pack(">I", number)]
    for name, frame in views.items():
        data = to_jpeg(frame)
        parts.append(struct.pack(">BI", _VIEWS[name], len(data)) + data)
    return b"".join(parts)
