"""Routes of one session for clients without a data channel, and of backgrounds."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, HTTPException, Request, Response

from greenroom.errors import BackgroundError
from greenroom.hosted.messages import hosted_names, parse_message, settings_message, status_message
from greenroom.settings import Settings
from greenroom.web.file_signatures import HEAD_BYTES
from greenroom.web.gallery import display_name
from greenroom.web.page_state import run_quick, run_slow
from greenroom.web.request_bodies import is_encodable, read_json, stream_body
from greenroom.web.schema import live_schema
from greenroom.web.uploads import MAX_UPLOAD_BYTES, require_kind

if TYPE_CHECKING:
    from typing import BinaryIO

    from greenroom.hosted.access import Gatekeeper
    from greenroom.hosted.call import Call
    from greenroom.hosted.sessions import Sessions

__all__ = ["background_routes", "session_routes"]

_TOO_LARGE: Final = f"the file is too large: at most {MAX_UPLOAD_BYTES // 2**20} MiB are taken"
_UPLOAD_TIMEOUT_S: Final = 120.0
# Uploads of all sessions that are decoded at once: each may take 200 MiB.
_CONVERSIONS: Final = 2
_CHANGES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "settings": {"type": "object"},
                        "cover": {"type": "boolean"},
                    },
                    "additionalProperties": False,
                    "minProperties": 1,
                }
            }
        },
    }
}
_JPEG: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
_FILE: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
    }
}


def session_routes(sessions: Sessions, gatekeeper: Gatekeeper) -> APIRouter:
    """Make the routes ``/sessions/{number}``, its changes, and ``/schema``."""
    router = APIRouter(tags=["sessions"])

    async def find(request: Request, number: str) -> Call:
        return sessions.find(number, await gatekeeper.grant(request))

    @router.get("/sessions/{number}")
    async def state(request: Request, number: str) -> dict[str, Any]:
        """Return a session's status and settings."""
        call = await find(request, number)
        return await run_quick(_state, call)

    @router.post("/sessions/{number}/changes", openapi_extra=_CHANGES)
    async def change(request: Request, number: str) -> dict[str, Any]:
        """Change settings or the cover, as by a message of the data channel."""
        call = await find(request, number)
        values = await read_json(request)
        if not is_encodable(values):
            raise HTTPException(400, "expected whole characters, not halves of some")
        await call.change(parse_message(json.dumps(values)))
        return await run_quick(_state, call)

    @router.get("/schema")
    async def schema(request: Request) -> dict[str, Any]:
        """Return the settings that a client may change, with ranges and help."""
        await gatekeeper.grant(request)
        return _hosted_schema()

    return router


def background_routes(sessions: Sessions, gatekeeper: Gatekeeper) -> APIRouter:
    """Make the routes ``/backgrounds`` and ``/sessions/{number}/backgrounds``."""
    router = APIRouter(tags=["backgrounds"])
    backgrounds = sessions.backgrounds
    converting = asyncio.Semaphore(_CONVERSIONS)

    @router.get("/backgrounds")
    async def choices(request: Request) -> list[dict[str, Any]]:
        """List the backgrounds that everybody may choose."""
        await gatekeeper.grant(request)
        return [
            choice.told(f"/backgrounds/{choice.id}/thumbnail") for choice in backgrounds.choices
        ]

    @router.get("/backgrounds/{picture}/thumbnail", response_class=Response, responses=_JPEG)
    async def thumbnail(request: Request, picture: str) -> Response:
        """Return a small JPEG of a background."""
        await gatekeeper.grant(request)
        try:
            data = await run_slow(backgrounds.thumbnail, picture)
        except KeyError:
            raise _no_background() from None
        return Response(data, media_type="image/jpeg")

    @router.post("/sessions/{number}/backgrounds", status_code=201, openapi_extra=_FILE)
    async def upload(request: Request, number: str, name: str = "") -> dict[str, Any]:
        """Upload a picture or video, for this session alone."""
        call = sessions.find(number, await gatekeeper.grant(request))
        uploads = call.session.uploads
        file, path = await run_quick(uploads.open_upload)
        try:
            with file:
                await _receive(request, file, display_name(name))
            async with converting:
                choice = await run_slow(uploads.add, path, name)
        except OSError as error:
            message = f"the upload cannot be kept: {error.strerror}"
            raise BackgroundError(message) from error
        finally:
            await run_quick(uploads.end_upload, path)
        return choice.told(f"/sessions/{number}/backgrounds/{choice.id}/thumbnail")

    @router.get(
        "/sessions/{number}/backgrounds/{picture}/thumbnail",
        response_class=Response,
        responses=_JPEG,
    )
    async def own_thumbnail(request: Request, number: str, picture: str) -> Response:
        """Return a small JPEG of an upload."""
        call = sessions.find(number, await gatekeeper.grant(request))
        try:
            data = await run_slow(call.session.uploads.thumbnail, picture)
        except KeyError:
            raise _no_background() from None
        return Response(data, media_type="image/jpeg")

    return router


def _state(call: Call) -> dict[str, Any]:
    settings = json.loads(settings_message(call.session.told_settings))
    status = json.loads(status_message(call.session.status(), call.network()))
    return {"stream": call.stream, "viewers": len(call.viewers), **settings, **status}


def _hosted_schema() -> dict[str, Any]:
    groups = []
    for group in live_schema(Settings)["groups"]:
        own = [one for one in group["settings"] if one["name"] in hosted_names()]
        if own:
            groups.append({"name": group["name"], "settings": own})
    return {"groups": groups}


async def _receive(request: Request, file: BinaryIO, name: str) -> None:
    """Write a body to a file; stop early if it is of an unsupported kind."""
    head = b""
    async for part in stream_body(request, MAX_UPLOAD_BYTES, _TOO_LARGE, _UPLOAD_TIMEOUT_S):
        if len(head) < HEAD_BYTES:
            head += part[:HEAD_BYTES]
            if len(head) >= HEAD_BYTES:
                require_kind(head, name)
        file.write(part)


def _no_background() -> HTTPException:
    return HTTPException(404, "there is no such background")
