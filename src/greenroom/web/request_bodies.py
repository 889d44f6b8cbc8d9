"""Request bodies: limits of size and time, and validation of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import anyio
from fastapi import HTTPException
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request

__all__ = ["is_encodable", "read_json", "stream_body"]

# Ten times the size of all settings together.
_MAX_JSON_BYTES: Final = 65536
# Longer than a browser on the same machine takes to send them.
_JSON_TIMEOUT_S: Final = 5.0
# Longest pause within a body.
_SILENCE_TIMEOUT_S: Final = 10.0


async def stream_body(
    request: Request, most_bytes: int, too_large: str, most_s: float
) -> AsyncIterator[bytes]:
    """Yield the body of a request part by part.

    Raises
    ------
    HTTPException
        If it is too large or too slow, or the client disconnects.
    """
    if int(request.headers.get("content-length", "0")) > most_bytes:
        raise HTTPException(413, too_large)
    size, parts, end_s = 0, request.stream(), anyio.current_time() + most_s
    while True:
        part = None
        try:
            with anyio.CancelScope(deadline=min(end_s, anyio.current_time() + _SILENCE_TIMEOUT_S)):
                part = await anext(parts)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise HTTPException(400, "the request was broken off") from None
        if part is None:
            message = (
                f"expected the whole body of the request within {most_s:g} s, and no pause of more "
                f"than {_SILENCE_TIMEOUT_S:g} s in it"
            )
            raise HTTPException(408, message, headers={"Connection": "close"})
        size += len(part)
        if size > most_bytes:
            raise HTTPException(413, too_large)
        yield part


async def read_json(request: Request) -> Any:
    """Read a short JSON body.

    Raises
    ------
    HTTPException
        If it is too long or too slow, or is not JSON.
    """
    too_large = f"expected at most {_MAX_JSON_BYTES} bytes of JSON"
    body = b"".join(
        [part async for part in stream_body(request, _MAX_JSON_BYTES, too_large, _JSON_TIMEOUT_S)]
    )
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "expected JSON in the body of the request") from None


def is_encodable(values: Any) -> bool:
    """Whether all strings within nested values can be encoded as UTF-8.

    JSON can hold lone surrogates (RFC 8259, 8.2), which neither file names nor answers can hold.
    """
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            return False
    return True
