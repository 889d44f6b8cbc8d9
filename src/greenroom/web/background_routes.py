"""HTTP routes of the gallery: list, thumbnails, upload, order, removal."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, HTTPException, Request, Response

from greenroom.media.file_writing import new_file, private_folder
from greenroom.web.file_signatures import HEAD_BYTES
from greenroom.web.gallery import Gallery, as_dict, display_name
from greenroom.web.page_state import PageState, run_slow
from greenroom.web.request_bodies import read_json, stream_body
from greenroom.web.uploads import MAX_UPLOAD_BYTES, require_kind

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["background_routes"]

_TOO_LARGE: Final = f"the file is too large: at most {MAX_UPLOAD_BYTES // 2**20} MiB are taken"
# Enough for the largest file from a slow disk.
_UPLOAD_TIMEOUT_S: Final = 120.0


def background_routes(page: PageState) -> APIRouter:
    """Make the routes below ``/api/backgrounds``."""
    router = APIRouter()
    gallery = page.gallery

    @router.get("")
    async def backgrounds() -> list[dict[str, Any]]:
        return [as_dict(item) for item in await run_slow(gallery.items)]

    @router.get("/{number}/thumbnail")
    async def thumbnail(number: str) -> Response:
        data = await _by_id(gallery.thumbnail, number)
        return Response(data, media_type="image/jpeg")

    @router.post("", status_code=201)
    async def upload(request: Request, name: str = "") -> dict[str, Any]:
        with _upload_folder(gallery) as folder:
            path = Path(folder) / "upload"
            try:
                await _receive(request, path, display_name(name))
            except OSError as error:  # such as a full disk
                raise gallery.unwritable(error) from error
            item = await run_slow(gallery.add, path, name)
        page.changed(backgrounds=True)
        return as_dict(item)

    @router.put("/order")
    async def arrange(request: Request) -> list[dict[str, Any]]:
        order = await read_json(request)
        if not isinstance(order, list) or not all(isinstance(number, str) for number in order):
            raise HTTPException(422, "expected the ids of backgrounds in their order, as a list")
        await _by_id(gallery.arrange, order)
        page.changed(backgrounds=True)
        return await backgrounds()

    @router.delete("/{number}")
    async def remove(number: str) -> dict[str, Any]:
        item = await _by_id(gallery.find, number)
        if page.session.settings.background == item.path:
            message = f"background '{item.name}' is in use. Choose another one first."
            raise HTTPException(409, message)
        await _by_id(gallery.remove, number)
        page.changed(backgrounds=True)
        return {"removed": number}

    return router


async def _by_id(function: Callable[..., Any], argument: object) -> Any:
    """Call a function of the gallery; an unknown id becomes status 404."""
    try:
        return await run_slow(function, argument)
    except KeyError as error:
        message = f"there is no background '{error.args[0]}'"
        raise HTTPException(404, message) from None


def _upload_folder(gallery: Gallery) -> tempfile.TemporaryDirectory[str]:
    """Make a temporary folder for an upload, on the disk of the gallery."""
    try:
        private_folder(gallery.folder)
        return tempfile.TemporaryDirectory(
            prefix=".upload-", dir=gallery.folder, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise gallery.unwritable(error) from error


async def _receive(request: Request, path: Path, name: str) -> None:
    """Write a request's body to a file, and stop early if its head is of an unsupported kind."""
    head = b""
    with new_file(path, private=True) as file:
        async for part in stream_body(request, MAX_UPLOAD_BYTES, _TOO_LARGE, _UPLOAD_TIMEOUT_S):
            if len(head) < HEAD_BYTES:
                head += part[:HEAD_BYTES]
                if len(head) >= HEAD_BYTES:
                    require_kind(head, name)
            file.write(part)
