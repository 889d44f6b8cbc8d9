"""The application in front of the workers: page, tokens, placement; all else is passed on."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request, Response

from greenroom.errors import SinkError
from greenroom.hosted.access import Gatekeeper
from greenroom.hosted.body_limit import BodyLimitMiddleware, has_body
from greenroom.hosted.guard import RequestGuard
from greenroom.hosted.operation_routes import operation_routes
from greenroom.hosted.page_routes import page_routes
from greenroom.hosted.refusals import UnavailableError, answer_errors
from greenroom.hosted.server import run_server
from greenroom.hosted.tokens import Action
from greenroom.hosted.workers.forwarding import WorkerEndedError, forward, worker_headers
from greenroom.hosted.workers.reports import REPORT_HEADER
from greenroom.web.request_bodies import stream_body
from greenroom.web.uploads import MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from greenroom.hosted.options import ServeOptions
    from greenroom.hosted.tokens import Grant
    from greenroom.hosted.workers.fleet import Fleet
    from greenroom.hosted.workers.reached_worker import Given, ReachedWorker

__all__ = ["create_front", "run_front"]

_METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT")
_OPENAPI: Final = "openapi.json"
# Offers, which are kept until a worker has taken them; workers have limits of their own.
_MAX_OFFER_BYTES: Final = 65536
_OFFER_S: Final = 5.0
_BODY_S: Final = 125.0
_UNAVAILABLE: Final = 503


def create_front(options: ServeOptions, fleet: Fleet) -> FastAPI:
    """Make the application of the process in front.

    Parameters
    ----------
    options : ServeOptions
    fleet : Fleet
        Started and ended with the application.

    Raises
    ------
    GreenroomError
        If tokens cannot be read.
    """
    gatekeeper = Gatekeeper(options)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await fleet.start()
        try:
            yield
        finally:
            await fleet.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(
        operation_routes(lambda: fleet.is_ready, lambda: fleet.draining, fleet.metrics.text)
    )
    app.include_router(page_routes())
    app.add_api_route("/{path:path}", _Forwarding(fleet, gatekeeper).answer, methods=[*_METHODS])
    app.add_middleware(BodyLimitMiddleware, limit=gatekeeper.body_limit)
    app.add_middleware(RequestGuard, origins=options.origins, local_only=gatekeeper.is_local)
    answer_errors(app, fleet.metrics.note_refusal)
    return app


def run_front(options: ServeOptions, fleet: Fleet, on_started: Callable[[str], None]) -> None:
    """Serve the application in front until a signal ends it; on the main thread.

    Raises
    ------
    SinkError
        If the port cannot be used, or the workers do not start, with their reason.
    """
    try:
        run_server(create_front(options, fleet), options, fleet.drain, on_started)
    except SinkError:
        if fleet.failure:
            message = f"the service did not start: {fleet.failure}"
            raise SinkError(message) from None
        raise


class _Forwarding:
    """Passes requests on to the worker that they are for.

    Parameters
    ----------
    fleet : Fleet
    gatekeeper : Gatekeeper
    """

    def __init__(self, fleet: Fleet, gatekeeper: Gatekeeper) -> None:
        self._fleet = fleet
        self._gatekeeper = gatekeeper

    async def answer(self, request: Request, path: str) -> Response:
        """Answer a request with what a worker says."""
        if path == _OPENAPI:
            return await self._pass_on(request, self._fleet.any_worker(), None)
        kind, *rest = path.split("/")
        is_signalling = kind in ("whip", "whep")
        grant = await self._gatekeeper.grant(request)
        begins = (is_signalling and len(rest) == 1) or (kind == "sessions" and not rest)
        if begins and request.method == "POST":
            return await self._begin(request, kind, rest[0] if rest else "", grant)
        number = rest[is_signalling] if len(rest) > is_signalling else ""
        if number and (is_signalling or kind == "sessions"):
            worker = self._fleet.owner(number)
        else:
            worker = self._fleet.any_worker()
        return await self._pass_on(request, worker, grant)

    async def _begin(self, request: Request, kind: str, stream: str, grant: Grant) -> Response:
        """Place a new session or viewer; a session on another worker if the first takes none."""
        stream = stream or request.query_params.get("stream", "")
        if stream:
            grant.check(Action.WATCH if kind == "whep" else Action.PUBLISH, stream)
        offer = await _whole_body(request)
        if kind == "whep":
            with self._fleet.watch(grant, stream) as (worker, given):
                return await self._give(request, grant, offer, worker, given)
        refusal = None
        try:
            with self._fleet.place(grant, stream, None) as (worker, given):
                response = await self._give(request, grant, offer, worker, given)
            if response.status_code != _UNAVAILABLE:
                return response
            refusal = response  # by one that has no port left, say
        except WorkerEndedError:
            pass
        try:
            with self._fleet.place(grant, stream, worker) as (other, given):
                return await self._give(request, grant, offer, other, given)
        except UnavailableError:
            if refusal is None:
                raise
            return refusal

    async def _give(
        self, request: Request, grant: Grant, offer: bytes, worker: ReachedWorker, given: Given
    ) -> Response:
        """Ask a worker to take a session or viewer."""
        headers = worker_headers(request, self._fleet.secret, grant)
        response, own = await forward(request, _address(worker), headers, offer)
        if response.status_code == 201:
            given.report = int(own.get(REPORT_HEADER, "0"))
        return response

    async def _pass_on(
        self, request: Request, worker: ReachedWorker, grant: Grant | None
    ) -> Response:
        headers = worker_headers(request, self._fleet.secret, grant)
        body: bytes | AsyncIterator[bytes] = b""
        if has_body(request):
            body = stream_body(request, MAX_UPLOAD_BYTES, "the body is too large", _BODY_S)
        response, _ = await forward(request, _address(worker), headers, body)
        return response


def _address(worker: ReachedWorker) -> tuple[str, int]:
    if worker.address is None:
        raise WorkerEndedError
    return worker.address


async def _whole_body(request: Request) -> bytes:
    too_large = f"expected at most {_MAX_OFFER_BYTES} bytes"
    parts = stream_body(request, _MAX_OFFER_BYTES, too_large, _OFFER_S)
    return b"".join([part async for part in parts])
