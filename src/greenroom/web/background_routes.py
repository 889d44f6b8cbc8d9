"""The HTTP interface of the gallery: list, thumbnails, upload, order, removal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.requests import ClientDisconnect

from greenroom.errors import BackgroundError
from greenroom.web.api import read_json
from greenroom.web.base import Page, in_worker
from greenroom.web.formats import HEAD_BYTES
from greenroom.web.gallery import as_dict, shown_name
from greenroom.web.uploads import MOST_BYTES, checked_kind

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["background_routes"]

_TOO_LARGE: Final = f"the file is too large: at most {MOST_BYTES // 2**20} MiB are taken"


def background_routes(page: Page) -> APIRouter:
    """Make the routes below ``/api/backgrounds``."""
    router = APIRouter()
    gallery = page.gallery

    @router.get("")
    async def backgrounds() -> list[dict[str, Any]]:
        return [as_dict(item) for item in await in_worker(gallery.items)]

    @router.get("/{number}/thumbnail")
    async def thumbnail(number: str) -> Response:
        data = await _known(gallery.thumbnail, number)
        return Response(data, media_type="image/jpeg")

    @router.post("", status_code=201)
    async def upload(request: Request, name: str = "") -> dict[str, Any]:
        if int(request.headers.get("content-length", "0")) > MOST_BYTES:
            raise HTTPException(413, _TOO_LARGE)
        with _room_for_upload(gallery.folder) as folder:
            path = Path(folder) / "upload"
            await _receive(request, path, shown_name(name))
            item = await in_worker(gallery.add, path, name)
        page.changed(backgrounds=True)
        return as_dict(item)

    @router.put("/order")
    async def arrange(request: Request) -> list[dict[str, Any]]:
        order = await read_json(request)
        if not isinstance(order, list) or not all(isinstance(number, str) for number in order):
            raise HTTPException(422, "expected the ids of backgrounds in their order, as a list")
        await _known(gallery.arrange, order)
        page.changed(backgrounds=True)
        return await backgrounds()

    @router.delete("/{number}")
    async def remove(number: str) -> dict[str, Any]:
        item = await _known(gallery.find, number)
        if page.session.settings.background == item.path:
            message = f"background '{item.name}' is in use. Choose another one first."
            raise HTTPException(409, message)
        await _known(gallery.remove, number)
        page.changed(backgrounds=True)
        return {"removed": number}

    return router


async def _known(function: Callable[..., Any], argument: object) -> Any:  # noqa: ANN401 - the function's
    """Call a function of the gallery; an id that it does not know is not found."""
    try:
        return await in_worker(function, argument)
    except KeyError as error:
        message = f"there is no background '{error.args[0]}'"
        raise HTTPException(404, message) from None


def _room_for_upload(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """Make a folder for an upload, on the disk on which it stays; it goes when it was used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(
            prefix=".upload-", dir=folder, ignore_cleanup_errors=True
        )
    except OSError as error:
        message = f"the folder of backgrounds '{folder}' cannot be written to: {error.strerror}"
        raise BackgroundError(message, folder) from error


async def _receive(request: Request, path: Path, name: str) -> None:
    """Write a body to a file as it comes, as far as it may be one; the rest is not read."""
    size, head = 0, b""
    with path.open("wb") as file:
        try:
            async for part in request.stream():
                size += len(part)
                if size > MOST_BYTES:
                    raise HTTPException(413, _TOO_LARGE)
                if len(head) < HEAD_BYTES:
                    head += part[:HEAD_BYTES]
                    if len(head) >= HEAD_BYTES:
                        checked_kind(head, name)
                file.write(part)
        except ClientDisconnect:
            raise HTTPException(400, "the upload was broken off") from None
