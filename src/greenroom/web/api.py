"""HTTP routes for settings, cover, status, snapshot, models and the doctor's findings."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request, Response

from greenroom.errors import SettingsError
from greenroom.web.image_encoding import to_png
from greenroom.web.model_list import list_models
from greenroom.web.page_state import PageState, run_quick, run_slow
from greenroom.web.request_bodies import is_encodable, read_json
from greenroom.web.schema import live_schema

__all__ = ["api_routes", "inspection_routes"]

# Time-out for all sinks to take a requested cover, and the interval of checks.
_COVER_GRACE_S: Final = 1.0
_POLL_S: Final = 0.02


def _checked(values: Any) -> dict[str, Any]:
    """Return settings by name; their values are not validated yet."""
    if not isinstance(values, dict):
        raise HTTPException(422, 'expected settings by name, such as {"people": "main"}')
    for name, value in values.items():
        if not is_encodable([name, value]):
            shown = name if is_encodable(name) else None
            message = f"setting '{shown or '?'}': expected whole characters, not halves of some"
            raise SettingsError(message, shown)
    if "self" in values:  # it cannot be passed as a keyword argument
        message = "unknown setting 'self'"
        raise SettingsError(message, "self")
    return values


def api_routes(page: PageState) -> APIRouter:
    """Make the routes below ``/api`` that control the session and show its picture."""
    router = APIRouter()
    session = page.session

    @router.get("/settings")
    async def settings() -> dict[str, Any]:
        return await run_quick(page.settings)

    @router.patch("/settings")
    async def change(request: Request) -> dict[str, Any]:
        values = _checked(await read_json(request))
        await run_slow(lambda: session.update(**values))
        return await run_quick(page.settings)

    @router.post("/save")
    async def save() -> dict[str, Any]:
        path = await run_slow(session.save)
        page.changed()
        return {"path": str(path)}

    @router.get("/status")
    async def status() -> dict[str, Any]:
        return await run_quick(lambda: session.status().to_dict())

    @router.post("/cover")
    async def cover(request: Request) -> dict[str, Any]:
        asked = await read_json(request)
        on = asked.get("on") if isinstance(asked, dict) else None
        if not isinstance(on, bool):
            raise HTTPException(422, 'expected {"on": true} or {"on": false}')
        await run_quick(lambda: session.cover(on=on))
        for _ in range(round(_COVER_GRACE_S / _POLL_S)):
            lacking = await run_quick(lambda: session.status().without_cover)
            if not lacking:
                break
            await asyncio.sleep(_POLL_S)
        return {"on": on, "without_cover": lacking}

    @router.get("/snapshot.png")
    async def snapshot() -> Response:
        data = await run_slow(lambda: to_png(session.snapshot()))
        return Response(data, media_type="image/png")

    return router


def inspection_routes(page: PageState) -> APIRouter:
    """Make the routes below ``/api`` for the settings' schema, the models and the doctor."""
    router = APIRouter()
    session = page.session

    @router.get("/schema")
    async def schema() -> dict[str, Any]:
        return live_schema()

    @router.get("/models")
    async def models() -> list[dict[str, Any]]:
        return await run_slow(list_models, session.settings.models_dir)

    @router.get("/doctor")
    async def doctor() -> list[dict[str, Any]]:
        findings = await run_slow(page.run_checks, session.settings)
        return [asdict(finding) for finding in findings]

    return router
