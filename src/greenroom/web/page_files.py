"""Files of a page, which are kept in memory: no request's path is used as a file name."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Response

from greenroom.specs import BACKGROUND_KINDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

__all__ = ["file_routes", "page_files"]

# Not from the system's MIME database: some systems list scripts as plain text there.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX: Final = "index.html"
# What the heads of all pages begin with, in place of this line of theirs.
_HEAD: Final = "head.html"
_HEAD_LINE: Final = b"<!-- head.html -->\n"


def page_files(package: str) -> dict[str, bytes]:
    """Read the files in a package's folder ``static``, by their names."""
    folder = resources.files(package) / "static"
    return {
        file.name: file.read_bytes() for file in folder.iterdir() if _suffix(file.name) in _TYPES
    }


def file_routes(files: Mapping[str, bytes]) -> APIRouter:
    """Make the routes ``/`` and ``/static/...`` of a page.

    Parameters
    ----------
    files : dict
        Contents by names; ``kinds.js``, with the kinds of background, is added.
    """
    router = APIRouter()
    head = (resources.files("greenroom.web") / "static" / _HEAD).read_bytes()
    kinds = {word: asdict(kind) for word, kind in BACKGROUND_KINDS.items()}
    module = f"export const KINDS = {json.dumps(kinds)};\n".encode()
    index = files[_INDEX].replace(_HEAD_LINE, head)
    served = {**files, _INDEX: index, "kinds.js": module}
    for name in served.keys() - {_HEAD}:
        path = "/" if name == _INDEX else f"/static/{name}"
        router.add_route(path, _serving(served[name], _TYPES[_suffix(name)]), methods=["GET"])
    return router


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _serving(data: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        return Response(data, media_type=kind)

    return serve
