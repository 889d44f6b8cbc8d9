"""HTTP routes for authentication: getting the token of this run, and renewing it."""

from __future__ import annotations

import os
from typing import Any, Final

from fastapi import APIRouter, HTTPException, Request

from greenroom.web.access import CODE_LIFETIME_S, knows_connection_owners, owner_of
from greenroom.web.page_state import PageState, run_quick, run_slow
from greenroom.web.request_bodies import read_json

__all__ = ["entry_routes"]

_INVALID_CODE: Final = (
    f"this address works once, for {CODE_LIFETIME_S:.0f} seconds, and for the user who runs "
    f"greenroom. Open the page again: greenroom page"
)
_INVALID_PROOF: Final = (
    "this page's key is not that of this greenroom. Open it again: greenroom page"
)


def entry_routes(page: PageState) -> APIRouter:
    """Make the routes below ``/api`` for authentication; ``hello`` and ``enter`` need no token."""
    router = APIRouter()
    access = page.access

    @router.post("/hello")
    async def hello(request: Request) -> dict[str, str]:
        nonce, proof = access.proof(_text(await read_json(request), "nonce"))
        return {"nonce": nonce, "proof": proof}

    @router.post("/enter")
    async def enter(request: Request) -> dict[str, str]:
        asked = await read_json(request)
        if isinstance(asked, dict) and "code" in asked:
            code = _text(asked, "code")
            if not await run_quick(_is_own, request) or not access.redeem(code):
                raise HTTPException(403, _INVALID_CODE)
        elif not access.admits(_text(asked, "nonce"), _text(asked, "proof")):
            raise HTTPException(403, _INVALID_PROOF)
        return {"token": access.token}

    @router.get("/key")
    async def key() -> dict[str, str]:
        return {"key": access.tab_key}

    @router.post("/code")
    async def code() -> dict[str, str]:
        return {"code": access.code()}

    @router.post("/token")
    async def token() -> dict[str, str]:
        await run_slow(access.renew)
        return {"token": access.token}

    return router


def _is_own(request: Request) -> bool:
    """Whether the client is the user who runs this; True if the system cannot tell."""
    if not knows_connection_owners() or request.client is None:
        return True
    return owner_of(request.client.port, request.scope["server"][1]) == os.getuid()


def _text(asked: Any, name: str) -> str:
    value = asked.get(name) if isinstance(asked, dict) else None
    if not isinstance(value, str):
        raise HTTPException(422, f"expected an object with the text '{name}'")
    return value
