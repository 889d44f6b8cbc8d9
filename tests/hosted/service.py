"""A whole service in the test's own process, with HTTP but no port for it."""

from __future__ import annotations

import asyncio
import functools
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from greenroom.hosted.app import create_app, sessions_of
from greenroom.hosted.options import ServeOptions
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from fastapi import FastAPI

    from greenroom.hosted.access import Authorize
    from greenroom.hosted.sessions import SessionEvent, Sessions

TIMEOUT_S = 60.0
SDP = {"Content-Type": "application/sdp"}


def asynchronous(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test on an event loop of its own, with a time limit."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        async def limited() -> None:
            await asyncio.wait_for(test(*arguments, **named), TIMEOUT_S)

        asyncio.run(limited())

    return run


@dataclass
class Service:
    """A running service.

    Attributes
    ----------
    http : httpx.AsyncClient
        Asks it, from this machine.
    events : list of SessionEvent
        What it told of.
    """

    app: FastAPI
    http: httpx.AsyncClient
    sessions: Sessions
    events: list[SessionEvent]


@asynccontextmanager
async def serving(
    *,
    authorize: Authorize | None = None,
    headers: dict[str, str] | None = None,
    **named: Any,
) -> AsyncIterator[Service]:
    """Run a service of up to four sessions, with a teal background."""
    chosen: dict[str, Any] = {
        "max_sessions": 4,
        "settings": Settings(background="color:teal"),
    } | named
    events: list[SessionEvent] = []
    made = ServeOptions(**chosen)
    app = create_app(made, authorize=authorize, on_event=events.append)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers)
    sessions = sessions_of(app)
    try:
        async with http:
            yield Service(app, http, sessions, events)
    finally:
        await sessions.close()
