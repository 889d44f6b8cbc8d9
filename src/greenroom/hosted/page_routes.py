"""The page's files, which need no token: they hold no data."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response

from greenroom.specs import BACKGROUND_KINDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["page_routes"]

# Not from the system's MIME database: some systems list scripts as plain text there.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# Of the local page, whose looks this one has.
_SHARED: Final = ("style.css", "dom.js", "icon.svg")
_INDEX: Final = "index.html"


def page_routes() -> APIRouter:
    """Make the routes ``/`` and ``/static/...``."""
    router = APIRouter(include_in_schema=False)
    for name, data in _files().items():
        kind = _TYPES[name[name.rindex(".") :]]
        path = "/" if name == _INDEX else f"/static/{name}"
        router.add_api_route(path, _serving(data, kind), methods=["GET", "HEAD"])
    return router


def _files() -> dict[str, bytes]:
    """Read the page's files into memory, so that no request's path is used as a file name."""
    local = resources.files("greenroom.web") / "static"
    files = {name: (local / name).read_bytes() for name in _SHARED}
    own = resources.files("greenroom.hosted") / "static"
    if own.is_dir():
        for file in own.iterdir():
            if file.name[file.name.rfind(".") :] in _TYPES:
                files[file.name] = file.read_bytes()
    kinds = {word: asdict(kind) for word, kind in BACKGROUND_KINDS.items()}
    files["kinds.js"] = f"export const KINDS = {json.dumps(kinds)};\n".encode()
    return files


def _serving(data: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        return Response(data, media_type=kind)

    return serve
