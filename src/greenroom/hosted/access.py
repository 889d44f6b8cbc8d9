"""Who may do what: by the file of tokens, by an application's own rule, or this machine alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from starlette.requests import Request

from greenroom.hosted.body_limit import BodyLimit
from greenroom.hosted.tokens import Action, Grant, TokenFile
from greenroom.web.security import trust

if TYPE_CHECKING:
    from greenroom.hosted.options import ServeOptions

__all__ = ["Authorize", "Gatekeeper", "bearer_token"]

Authorize = Callable[[Request], Awaitable[Grant]]
"""Returns what the client of a request may do, or raises `AccessDeniedError`."""

_LOCAL: Final = Grant("local")


def bearer_token(request: Request) -> str:
    """Return the token of a request; empty without one."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


class Gatekeeper:
    """Says what the client of a request may do.

    Parameters
    ----------
    options : ServeOptions
        Without tokens, everybody may do everything: `greenroom.hosted.guard.RequestGuard` lets only
        this machine in then.
    authorize : callable, optional
        An application's own rule, in place of the tokens.

    Attributes
    ----------
    body_limit : BodyLimit
        Has to be told of the end of requests.

    Raises
    ------
    SettingsError
        If the file of tokens cannot be read.
    """

    def __init__(self, options: ServeOptions, authorize: Authorize | None = None) -> None:
        self.body_limit = BodyLimit()
        self._authorize = authorize
        needs_file = authorize is None and options.tokens is not None
        self._tokens = TokenFile(options.tokens) if needs_file and options.tokens else None

    @property
    def is_local(self) -> bool:
        """Whether only this machine is served."""
        return self._authorize is None and self._tokens is None

    async def grant(self, request: Request) -> Grant:
        """Return what the client of a request may do.

        Raises
        ------
        AccessDeniedError
            If that is nothing.
        UnavailableError
            If it has too many requests with a body under way.
        """
        if self._authorize is not None:
            grant = await self._authorize(request)
        elif self._tokens is not None:
            grant = self._tokens.grant(bearer_token(request))
        else:
            grant = _LOCAL
        self.body_limit.enter(request, grant.name)
        trust(request.scope)
        return grant

    async def allow(self, request: Request, action: Action, stream: str) -> Grant:
        """Return the grant of a client that may do something with a stream.

        Raises
        ------
        AccessDeniedError
            If it may not.
        """
        grant = await self.grant(request)
        grant.check(action, stream)
        return grant

    def holds(self, grant: Grant) -> bool:
        """Whether a grant is still valid."""
        return self._tokens is None or self._tokens.holds(grant)
