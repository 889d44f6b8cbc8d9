"""Bearer tokens: a file with their hashes, and what each of them allows.

The file is TOML, and read again when it changes::

    [[token]]
    name = "anna"
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    expires = 2027-01-31T00:00:00Z   # optional, like all that follows
    streams = ["anna", "team-*"]     # names and patterns; all by default
    may = ["publish", "watch"]       # both by default
    sessions = 2                     # at once

Tokens are random, of 256 bits, so that a plain hash protects them: nobody can try them all.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from greenroom.errors import GreenroomError, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AccessDeniedError", "Action", "Grant", "TokenFile", "new_token"]

logger = logging.getLogger(__name__)

_TOKEN_BYTES: Final = 32
# Longest token that is hashed.
_MAX_CHARACTERS: Final = 512
# Least time between two looks at whether the file has changed.
_LOOK_S: Final = 1.0


class Action(StrEnum):
    """What a client wants to do with a stream."""

    PUBLISH = "publish"
    WATCH = "watch"


class AccessDeniedError(GreenroomError):
    """A client may not do what it asks for.

    Attributes
    ----------
    status : int
        401 if its token is missing or wrong, 403 if that does not allow this.
    """

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Grant:
    """What a client may do.

    Attributes
    ----------
    name : str
        Whose it is: sessions of one name may be controlled by it alone.
    streams : tuple of str
        Names of streams, or patterns with ``*``.
    may : frozenset of Action
    sessions : int or None
        Sessions at once, viewers included; None for no limit but the service's.
    """

    name: str
    streams: tuple[str, ...] = ("*",)
    may: frozenset[Action] = frozenset(Action)
    sessions: int | None = None

    def check(self, action: Action, stream: str) -> None:
        """Refuse what is not allowed.

        Raises
        ------
        AccessDeniedError
            If it is not.
        """
        if action not in self.may:
            message = f"this token does not allow to {action}"
            raise AccessDeniedError(message, 403)
        if not any(fnmatchcase(stream, pattern) for pattern in self.streams):
            message = f"this token does not allow the stream '{stream}'"
            raise AccessDeniedError(message, 403)


class _Entry(BaseModel):
    """One token of the file."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    expires: AwareDatetime | None = None
    streams: Annotated[list[str], Field(min_length=1)] = ["*"]
    may: Annotated[list[Action], Field(min_length=1)] = list(Action)
    sessions: Annotated[int | None, Field(ge=1)] = None

    @property
    def grant(self) -> Grant:
        return Grant(self.name, tuple(self.streams), frozenset(self.may), self.sessions)


class _Entries(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    token: list[_Entry] = []


class TokenFile:
    """Tokens of a file, which is read again when it has changed.

    A file that is gone allows nothing. One that cannot be read any more changes nothing: that
    is logged, and the tokens before stay.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    SettingsError
        If it cannot be read, or has another form.

    Notes
    -----
    State: the tokens, and when the file was looked at. Used on one thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked_s = time.monotonic()
        self._stamp: object = self._current_stamp()
        self._entries = _read(path)

    def grant(self, token: str) -> Grant:
        """Return what a token allows.

        Raises
        ------
        AccessDeniedError
            If there is no such token, or it has expired.
        """
        self._follow()
        entry = None
        if token and len(token) <= _MAX_CHARACTERS:
            # Looked up by its hash: how long that takes tells nothing of the token.
            digest = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
            entry = self._entries.get(digest)
        if entry is None:
            message = "the token is missing or wrong: expected 'Authorization: Bearer TOKEN'"
            raise AccessDeniedError(message)
        if entry.expires is not None and entry.expires <= datetime.now(UTC):
            message = f"the token has expired, on {entry.expires:%Y-%m-%d}. Ask for another one."
            raise AccessDeniedError(message)
        return entry.grant

    def holds(self, grant: Grant) -> bool:
        """Whether a grant is still that of a token which has not expired."""
        self._follow()
        now = datetime.now(UTC)
        return any(
            entry.grant == grant and (entry.expires is None or entry.expires > now)
            for entry in self._entries.values()
        )

    def holds_name(self, name: str) -> bool:
        """Whether any token of a name has not expired."""
        self._follow()
        now = datetime.now(UTC)
        return any(
            entry.name == name and (entry.expires is None or entry.expires > now)
            for entry in self._entries.values()
        )

    def _follow(self) -> None:
        """Read the file again if it has changed."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_S:
            return
        self._looked_s = now_s
        stamp = self._current_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:
            logger.warning("the file of tokens is gone: nobody is admitted")
            self._entries = {}
            return
        try:
            self._entries = _read(self._path)
        except SettingsError as error:
            logger.warning("%s The tokens before stay in force.", error)

    def _current_stamp(self) -> object:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> dict[str, _Entry]:
    """Read the tokens by their hashes."""
    try:
        entries = _Entries.model_validate(tomllib.loads(path.read_text("utf-8"))).token
    except OSError as error:
        message = f"the file of tokens '{path}' cannot be read: {error.strerror}."
        raise SettingsError(message, "tokens") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = f"the file of tokens '{path}' is wrong at '{place}': {first['msg'].lower()}."
        raise SettingsError(message, "tokens") from None
    except ValueError as error:
        message = f"the file of tokens '{path}' is not valid TOML: {error}."
        raise SettingsError(message, "tokens") from error
    return {entry.sha256: entry for entry in entries}


def new_token(name: str) -> tuple[str, str]:
    """Make a token; return it, and the lines for the file of tokens.

    Raises
    ------
    SettingsError
        If the name has quotes or control characters.
    """
    if not name or not name.isprintable() or set(name) & {'"', "\\"}:
        message = f"expected a name of printable characters without quotes, not {name!r}"
        raise SettingsError(message, "new_token")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    digest = hashlib.sha256(token.encode()).hexdigest()
    return token, f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\n'
