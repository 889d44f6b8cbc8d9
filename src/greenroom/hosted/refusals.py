"""Answers to requests that are refused: JSON with the setting that it is about, and a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from greenroom.errors import BackgroundError, GreenroomError, ModelError, SettingsError
from greenroom.hosted.rtc import NoCandidateError, SignallingError
from greenroom.hosted.tokens import AccessDeniedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.applications import Starlette
    from starlette.requests import Request

__all__ = [
    "UnavailableError",
    "UnknownSessionError",
    "answer_errors",
    "busy",
    "draining",
    "full",
    "no_session",
    "not_published",
    "over_limit",
    "too_many_at_once",
    "too_many_requests",
]

# After this long a client that was refused may try again.
_RETRY_S: Final = 5
# Refusals that are the client's own doing, and those of a stream that somebody else has.
_TOO_MANY: Final = ("rate", "limit")
_TAKEN: Final = "taken"


class UnavailableError(GreenroomError):
    """A session cannot be had now.

    Attributes
    ----------
    reason : str
        One word, for metrics: ``full``, ``busy``, ``rate``, ``limit``, ``taken``, ``draining``,
        ``viewers``, ``worker``.
    retry_s : int
        When to try again.
    """

    def __init__(self, message: str, reason: str, retry_s: int = _RETRY_S) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_s = retry_s


class UnknownSessionError(GreenroomError):
    """There is no such session or stream, or not for this client."""


def draining() -> UnavailableError:
    """Return the refusal of a service that ends."""
    return UnavailableError("this server is being shut down", "draining", 1)


def full(count: int) -> UnavailableError:
    """Return the refusal of a service that holds as many sessions as it can."""
    return UnavailableError(f"this server holds {count} sessions, and all are taken", "full")


def busy() -> UnavailableError:
    """Return the refusal of a service whose processors are taken."""
    message = "this server is busy: another session would slow down the others"
    return UnavailableError(message, "busy")


def over_limit(sessions: int) -> UnavailableError:
    """Return the refusal of a token that has as many sessions as it allows."""
    message = f"this token allows {sessions} sessions at once, and all are taken"
    return UnavailableError(message, "limit")


def too_many_requests() -> UnavailableError:
    """Return the refusal of a client that asks too often."""
    return UnavailableError("too many sessions are asked for: wait a little", "rate")


def too_many_at_once(requests: int) -> UnavailableError:
    """Return the refusal of a client that has as many requests with a body as it may."""
    message = (
        f"{requests} requests of this client are under way, which are all it may have: wait until "
        "one of them has been answered"
    )
    return UnavailableError(message, "limit", 1)


def no_session() -> UnknownSessionError:
    """Return the error of an id that names no session of the client's."""
    return UnknownSessionError("there is no such session; it may have ended")


def not_published(stream: str) -> UnknownSessionError:
    """Return the error of a stream that has no session."""
    return UnknownSessionError(f"nobody publishes the stream '{stream}' now")


def answer_errors(app: Starlette, count: Callable[[str], None]) -> None:
    """Have an application answer errors with JSON.

    Parameters
    ----------
    app : Starlette
    count : callable
        Told of every refusal, by its reason.
    """
    app.add_exception_handler(GreenroomError, _refusing(count))
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_unexpected_error)


def _refusing(count: Callable[[str], None]) -> Callable[[Request, Exception], Response]:
    def refuse(_: Request, error: Exception) -> Response:
        status, headers = 422, {}
        reason = "refused"
        if isinstance(error, AccessDeniedError):
            status, reason = error.status, "access"
            if status == 401:
                headers["WWW-Authenticate"] = 'Bearer realm="greenroom"'
        elif isinstance(error, UnavailableError):
            status, reason = _status_of(error), error.reason
            headers["Retry-After"] = str(error.retry_s)
        elif isinstance(error, UnknownSessionError):
            status, reason = 404, "unknown"
        elif isinstance(error, NoCandidateError):
            status, reason = 503, "ports"
            headers["Retry-After"] = str(_RETRY_S)
        elif isinstance(error, SignallingError):
            status, reason = 400, "offer"
        count(reason)
        name = None
        if isinstance(error, (SettingsError, BackgroundError, ModelError)):
            name = error.name
        return _error_response(status, error, name, headers)

    return refuse


def _status_of(error: UnavailableError) -> int:
    if error.reason == _TAKEN:
        return 409
    return 429 if error.reason in _TOO_MANY else 503


def _error_response(
    status: int, message: object, name: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    # The message may repeat input with lone surrogates, which cannot be encoded.
    text = str(message).encode("utf-8", "replace").decode()
    return JSONResponse({"name": name, "message": text}, status, headers)


def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error_response(error.status_code, error.detail, headers=error.headers)


def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])[:100]
    return _error_response(422, f"'{name}': {first['msg']}", name)


def _on_unexpected_error(_: Request, error: Exception) -> Response:
    message = f"something went wrong that should not ({type(error).__name__})"
    return _error_response(500, message)
