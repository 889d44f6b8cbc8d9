"""The page's application: routes, static files and error responses."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from greenroom.errors import BackgroundError, GreenroomError, ModelError, SettingsError
from greenroom.web.api import api_routes, inspection_routes
from greenroom.web.background_routes import background_routes
from greenroom.web.entry_routes import entry_routes
from greenroom.web.page_files import file_routes, page_files
from greenroom.web.security import Guard
from greenroom.web.sockets import socket_routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from greenroom.web.page_state import PageState


__all__ = ["create_app"]

logger = logging.getLogger(__name__)


def create_app(page: PageState) -> ASGIApp:
    """Make the application that serves the page of a session on a port of 127.0.0.1."""
    app = FastAPI(title="greenroom", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(entry_routes(page), prefix="/api")
    app.include_router(api_routes(page), prefix="/api")
    app.include_router(inspection_routes(page), prefix="/api")
    app.include_router(background_routes(page), prefix="/api/backgrounds")
    app.include_router(socket_routes(page))
    app.include_router(file_routes(page_files("greenroom.web")))
    app.add_exception_handler(GreenroomError, _on_greenroom_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_unexpected_error)
    return Guard(app, page.access)


def _error_response(
    status: int,
    message: object,
    name: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    # The message may repeat input with lone surrogates, which cannot be encoded.
    text = str(message).encode("utf-8", "replace").decode()
    return JSONResponse({"name": name, "message": text}, status, headers)


async def _on_greenroom_error(_: Request, error: Exception) -> Response:
    if isinstance(error, (SettingsError, BackgroundError, ModelError)):
        return _error_response(422, error, error.name)
    return _error_response(422, error)


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error_response(error.status_code, error.detail, headers=error.headers)


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])[:100]
    return _error_response(422, f"'{name}': {first['msg']}", name)


async def _on_unexpected_error(_: Request, error: Exception) -> Response:
    return _error_response(
        500, f"something went wrong that should not ({type(error).__name__}: {error})"
    )
