"""Requests of clients passed on to a worker, over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import h11
from starlette.responses import Response

from greenroom.hosted.refusals import UnavailableError
from greenroom.hosted.workers.reports import GRANT_HEADER, SECRET_HEADER
from greenroom.hosted.workers.worker_server import grant_header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from greenroom.hosted.tokens import Grant

__all__ = ["Forward", "WorkerEndedError", "forward", "worker_headers"]

_READ_BYTES: Final = 65536
# Time for an answer: a long video that is uploaded is looked through first.
_ANSWER_S: Final = 150.0
_MAX_ANSWER_BYTES: Final = 16 << 20
# Those of one connection (RFC 9110, 7.6.1), what is made anew, and what is the service's own.
_NOT_FORWARDED: Final = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "date",
        "expect",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_OWN: Final = "greenroom-"

_Headers = list[tuple[bytes, bytes]]
Forward = tuple[Response, dict[str, str]]
"""The response for the client, and the service's own headers of the answer."""


class WorkerEndedError(UnavailableError):
    """A worker has ended before it answered."""

    def __init__(self) -> None:
        super().__init__("the process of this session has just ended", "worker", 1)


def worker_headers(request: Request, secret: str, grant: Grant | None) -> _Headers:
    """Return the headers that a request has at the worker.

    Parameters
    ----------
    request : Request
        Of the client. Its token stays here.
    secret : str
    grant : Grant or None
        What the client may do.
    """
    headers = [
        (name.encode(), value.encode("latin-1"))  # as it came: of any bytes
        for name, value in request.headers.items()
        if name not in _NOT_FORWARDED and not name.startswith(_OWN)
    ]
    headers += [(b"connection", b"close"), (SECRET_HEADER.encode(), secret.encode())]
    if grant is not None:
        headers.append((GRANT_HEADER.encode(), grant_header(grant).encode()))
    return headers


async def forward(
    request: Request,
    address: tuple[str, int],
    headers: _Headers,
    body: bytes | AsyncIterator[bytes],
) -> Forward:
    """Pass a request on to a worker, and return its answer.

    Parameters
    ----------
    request : Request
    address : (str, int)
        Host and port where the worker takes requests.
    headers : list of (bytes, bytes)
        See `worker_headers`.
    body : bytes or iterator of bytes
        What is read from an iterator is passed on as it comes.

    Raises
    ------
    WorkerEndedError
        If the worker ends before it has answered.
    HTTPException
        If the client breaks off, is too slow or sends too much.
    """
    target = request.scope["raw_path"]
    if request.scope["query_string"]:
        target += b"?" + request.scope["query_string"]
    if isinstance(body, bytes):
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    else:
        headers = [*headers, (b"transfer-encoding", b"chunked")]
    head = h11.Request(method=request.method, target=target, headers=headers)
    try:
        reader, writer = await asyncio.open_connection(*address)
    except OSError:
        raise WorkerEndedError from None
    connection = h11.Connection(h11.CLIENT)
    sending = asyncio.create_task(_send(writer, connection, head, body))
    receiving = asyncio.create_task(_receive(reader, connection))
    try:
        async with asyncio.timeout(_ANSWER_S):
            await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                await sending
            return await receiving
    except (OSError, TimeoutError, h11.RemoteProtocolError):
        raise WorkerEndedError from None
    finally:
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)
        writer.transport.abort()


async def _send(
    writer: asyncio.StreamWriter,
    connection: h11.Connection,
    head: h11.Request,
    body: bytes | AsyncIterator[bytes],
) -> None:
    writer.write(connection.send(head) or b"")
    with suppress(ConnectionError, h11.LocalProtocolError):  # it has answered already
        if isinstance(body, bytes):
            writer.write(connection.send(h11.Data(data=body)) or b"")
        else:
            async for part in body:
                writer.write(connection.send(h11.Data(data=part)) or b"")
                await writer.drain()
        writer.write(connection.send(h11.EndOfMessage()) or b"")
        await writer.drain()


async def _receive(reader: asyncio.StreamReader, connection: h11.Connection) -> Forward:
    head: h11.Response | None = None
    parts: list[bytes] = []
    size = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > _MAX_ANSWER_BYTES:
                message = "the answer is too long"
                raise h11.RemoteProtocolError(message)
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return _response(head, b"".join(parts))
        elif isinstance(event, h11.ConnectionClosed):
            message = "the connection was closed before the answer"
            raise h11.RemoteProtocolError(message)


def _response(head: h11.Response, body: bytes) -> Forward:
    response = Response(body, head.status_code)
    own: dict[str, str] = {}
    has_body = head.status_code not in (204, 304)
    response.raw_headers = [(b"content-length", str(len(body)).encode())] if has_body else []
    for raw_name, raw_value in head.headers:
        name = raw_name.decode("latin-1").lower()
        if name.startswith(_OWN):
            own[name] = raw_value.decode("latin-1")
        elif name not in _NOT_FORWARDED:
            response.raw_headers.append((name.encode("latin-1"), raw_value))
    return response, own
