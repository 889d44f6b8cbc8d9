"""Routes of signalling: WHIP (RFC 9725), WHEP, and sessions with both ways on one connection."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query, Request, Response

from greenroom.hosted.messages import ClientMessage, parse_message
from greenroom.hosted.tokens import Action
from greenroom.web.request_bodies import stream_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from greenroom.hosted.access import Gatekeeper
    from greenroom.hosted.rtc import IceServer
    from greenroom.hosted.sessions import Sessions

__all__ = ["signalling_routes"]

_SDP: Final = "application/sdp"
_FRAGMENT: Final = "application/trickle-ice-sdpfrag"
_MAX_SDP_BYTES: Final = 65536
_SDP_TIMEOUT_S: Final = 5.0
_MAX_START: Final = 4096
_ENDED: Final = "ended by its client"

_Start = Annotated[
    str | None,
    Query(
        max_length=_MAX_START,
        description=(
            "Settings and cover to begin with, as JSON: "
            '{"settings": {"background": "blur:0.6"}, "cover": false}'
        ),
    ),
]
_Stream = Annotated[str, Query(max_length=64, description="Name by which others may watch it")]
_OFFER: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {_SDP: {"schema": {"type": "string", "maxLength": _MAX_SDP_BYTES}}},
    }
}
_CANDIDATES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {_FRAGMENT: {"schema": {"type": "string", "maxLength": _MAX_SDP_BYTES}}},
    }
}
_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    201: {
        "description": "The answer",
        "content": {_SDP: {"schema": {"type": "string"}}},
        "headers": {
            "Location": {"description": "Address of the session", "schema": {"type": "string"}},
            "ETag": {"description": "Of its ICE credentials", "schema": {"type": "string"}},
        },
    }
}


def signalling_routes(sessions: Sessions, gatekeeper: Gatekeeper) -> APIRouter:
    """Make the routes ``/whip/{stream}``, ``/whep/{stream}`` and ``/sessions``."""
    router = APIRouter(tags=["signalling"])
    _add_publishing(router, sessions, gatekeeper)
    _add_both_ways(router, sessions, gatekeeper)
    _add_watching(router, sessions, gatekeeper)

    async def options(request: Request) -> Response:
        """Say what is accepted, and which ICE servers there are."""
        await gatekeeper.grant(request)
        response = Response(status_code=204, headers={"Accept-Post": _SDP})
        _link(response, sessions.options.ice_servers)
        return response

    for path in ("/whip/{stream}", "/whep/{stream}", "/sessions"):
        router.add_api_route(path, options, methods=["OPTIONS"], include_in_schema=False)
    return router


def _add_publishing(router: APIRouter, sessions: Sessions, gatekeeper: Gatekeeper) -> None:
    @router.post("/whip/{stream}", status_code=201, responses=_ANSWER, openapi_extra=_OFFER)
    async def publish(request: Request, stream: str, start: _Start = None) -> Response:
        """Publish a stream by WHIP; it is watched at ``/whep/{stream}``."""
        grant = await gatekeeper.allow(request, Action.PUBLISH, stream)
        offer = await _read(request, _SDP)
        call, answer = await sessions.begin(
            offer, grant, stream=stream, start=_started(start), both_ways=False
        )
        return _answer(request, answer, f"/whip/{stream}/{call.id}", sessions)

    @router.patch("/whip/{stream}/{number}", status_code=204, openapi_extra=_CANDIDATES)
    async def add_candidates(request: Request, stream: str, number: str) -> Response:
        """Add ICE candidates of a publisher."""
        call = sessions.find(number, await gatekeeper.allow(request, Action.PUBLISH, stream))
        return await _trickle(request, number, call.add_candidates)

    @router.delete("/whip/{stream}/{number}")
    async def end(request: Request, stream: str, number: str) -> Response:
        """End a publication."""
        call = sessions.find(number, await gatekeeper.allow(request, Action.PUBLISH, stream))
        await call.close(_ENDED)
        return Response()


def _add_both_ways(router: APIRouter, sessions: Sessions, gatekeeper: Gatekeeper) -> None:
    @router.post("/sessions", status_code=201, responses=_ANSWER, openapi_extra=_OFFER)
    async def begin(request: Request, start: _Start = None, stream: _Stream = "") -> Response:
        """Begin a session: the client's own picture comes back on the same connection."""
        grant = await gatekeeper.grant(request)
        if stream:
            grant.check(Action.PUBLISH, stream)
        offer = await _read(request, _SDP)
        call, answer = await sessions.begin(offer, grant, stream=stream, start=_started(start))
        return _answer(request, answer, f"/sessions/{call.id}", sessions)

    @router.patch("/sessions/{number}", status_code=204, openapi_extra=_CANDIDATES)
    async def add_candidates(request: Request, number: str) -> Response:
        """Add ICE candidates of a session's client."""
        call = sessions.find(number, await gatekeeper.grant(request))
        return await _trickle(request, number, call.add_candidates)

    @router.delete("/sessions/{number}")
    async def end(request: Request, number: str) -> Response:
        """End a session."""
        call = sessions.find(number, await gatekeeper.grant(request))
        await call.close(_ENDED)
        return Response()


def _add_watching(router: APIRouter, sessions: Sessions, gatekeeper: Gatekeeper) -> None:
    @router.post("/whep/{stream}", status_code=201, responses=_ANSWER, openapi_extra=_OFFER)
    async def watch(request: Request, stream: str) -> Response:
        """Watch a stream by WHEP."""
        grant = await gatekeeper.allow(request, Action.WATCH, stream)
        offer = await _read(request, _SDP)
        _, viewer, answer = await sessions.watch(offer, grant, stream)
        return _answer(request, answer, f"/whep/{stream}/{viewer.id}", sessions)

    @router.patch("/whep/{stream}/{number}", status_code=204, openapi_extra=_CANDIDATES)
    async def add_candidates(request: Request, stream: str, number: str) -> Response:
        """Add ICE candidates of a viewer."""
        grant = await gatekeeper.allow(request, Action.WATCH, stream)
        _, viewer = sessions.find_viewer(number, grant)
        return await _trickle(request, number, viewer.peer.add_candidates)

    @router.delete("/whep/{stream}/{number}")
    async def leave(request: Request, stream: str, number: str) -> Response:
        """End watching."""
        grant = await gatekeeper.allow(request, Action.WATCH, stream)
        _, viewer = sessions.find_viewer(number, grant)
        await viewer.peer.close(_ENDED)
        return Response()


async def _trickle(
    request: Request, number: str, add: Callable[[str], Awaitable[None]]
) -> Response:
    """Add the candidates of a request, if that is meant for this session (RFC 9725, 4.3)."""
    condition = request.headers.get("if-match", "").strip()
    if not condition:
        raise HTTPException(428, "expected the header If-Match with the session's ETag")
    if condition == "*":
        message = "ICE cannot be restarted: begin a new session with another POST"
        raise HTTPException(422, message)
    if condition != _etag(number):
        raise HTTPException(412, "the header If-Match has another ETag than the session")
    await add(await _read(request, _FRAGMENT))
    return Response(status_code=204)


async def _read(request: Request, kind: str) -> str:
    """Read a short body of a kind."""
    came = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if came != kind:
        message = f"expected a body of the type {kind}, not {came[:100] or 'of none'}"
        raise HTTPException(415, message, headers={"Accept-Post": _SDP})
    too_large = f"expected at most {_MAX_SDP_BYTES} bytes"
    parts = stream_body(request, _MAX_SDP_BYTES, too_large, _SDP_TIMEOUT_S)
    body = b"".join([part async for part in parts])
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise HTTPException(400, "expected a body in UTF-8") from None


def _started(start: str | None) -> ClientMessage:
    return ClientMessage() if start is None else parse_message(start)


def _answer(request: Request, answer: str, path: str, sessions: Sessions) -> Response:
    """Return the response to an offer that was answered."""
    number = path.rpartition("/")[2]
    root = request.scope.get("root_path", "")
    headers = {"Location": f"{root}{path}", "ETag": _etag(number)}
    response = Response(answer, 201, headers, media_type=_SDP)
    _link(response, sessions.options.ice_servers)
    return response


def _link(response: Response, ice_servers: Iterable[IceServer]) -> None:
    """Add the ICE servers, as of RFC 9725, section 4.6."""
    for server in ice_servers:
        account = ""
        if server.username:
            account = (
                f'; username="{server.username}"; credential="{server.credential}"'
                '; credential-type="password"'
            )
        response.headers.append("Link", f'<{server.url}>; rel="ice-server"{account}')


def _etag(number: str) -> str:
    """Return the entity tag of a session, whose ICE credentials never change."""
    return f'"{hashlib.sha256(number.encode()).hexdigest()[:16]}"'
