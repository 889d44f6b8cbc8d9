"""What lets in: the token of a run, codes that work once, and what an open tab proves.

Three things, none of which is a cookie, because browsers send cookies to every port of a machine:

- The *token* is new with every start. Whoever has it is let in. It travels in the fragment of the
  address, which browsers do not send, and then in a header.
- A *code* stands for the token once, for a minute. It is for addresses that are given to a
  browser on a command line, which other users can read.
- The *key* lasts longer than a run, and never leaves it whole. A tab that was let in gets a key
  of its own port, and keeps it in memory. After a restart both sides prove that they have it,
  greenroom first: so whatever else may answer at that port meanwhile learns nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.errors import GreenroomError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Access", "knows_connection_owners", "owner_of"]

_TOKEN_BYTES: Final = 32
_CODE_BYTES: Final = 16
CODE_LIFETIME_S: Final = 60.0
"""For how long a code can be used: a browser may have to start first."""
_MAX_CODES: Final = 16
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")
# Linux tells whose each connection is (proc(5), /proc/net/tcp).
_CONNECTIONS: Final = Path("/proc/net/tcp")


class Access:
    """Tells who is let in. All methods may be called on any thread.

    Parameters
    ----------
    key : bytes
        What outlasts this run; to be told to nobody.
    token : str, optional
        The token; a random one if it is not given.
    make_key : callable, optional
        Makes and keeps a new key, for `renew`. A random one that nobody keeps if not given.

    Attributes
    ----------
    port : int
        Where the page is; to be set before anybody is let in.
    """

    def __init__(
        self,
        key: bytes,
        token: str | None = None,
        make_key: Callable[[], bytes] | None = None,
    ) -> None:
        self.port = 0
        self._key = key
        self._token = token or secrets.token_urlsafe(_TOKEN_BYTES)
        self._make_key = make_key or (lambda: secrets.token_bytes(_TOKEN_BYTES))
        self._nonce = secrets.token_urlsafe(_TOKEN_BYTES)
        self._codes: dict[str, float] = {}
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @property
    def token(self) -> str:
        """What opens the page, until `renew`."""
        return self._token

    @property
    def url(self) -> str:
        """The address to open; browsers keep what is after the # to themselves."""
        return f"http://127.0.0.1:{self.port}/#token={self._token}"

    def is_token(self, text: str | None) -> bool:
        """Compare in a time that tells nothing about where the difference is."""
        return _same(text or "", self._token)

    def code(self) -> str:
        """Make a code that stands for the token, once."""
        code, now_s = secrets.token_urlsafe(_CODE_BYTES), time.monotonic()
        with self._lock:
            kept = [(one, end_s) for one, end_s in self._codes.items() if end_s > now_s]
            self._codes = dict(kept[1 - _MAX_CODES :]) | {code: now_s + CODE_LIFETIME_S}
        return code

    def redeem(self, code: str) -> bool:
        """Use a code up; tell whether it was one."""
        now_s = time.monotonic()
        with self._lock:
            found = [one for one in self._codes if _same(one, code)]
            return any(self._codes.pop(one) > now_s for one in found)

    @property
    def tab_key(self) -> str:
        """What a tab gets that was let in: of no use at another port."""
        return base64.urlsafe_b64encode(self._tab_key()).decode()

    def proof(self, nonce: str) -> tuple[str, str]:
        """Return this run's nonce, and what only who has the key can say of the two.

        Raises
        ------
        GreenroomError
            If it is no nonce.
        """
        if not _NONCE.fullmatch(nonce):
            message = "expected a nonce of 22 to 64 letters, digits, - and _"
            raise GreenroomError(message)
        return self._nonce, self._said("server", nonce)

    def admits(self, nonce: str, proof: str) -> bool:
        """Tell whether somebody has the key, too."""
        return bool(_NONCE.fullmatch(nonce)) and _same(proof, self._said("page", nonce))

    def renew(self) -> None:
        """Make a new token and a new key, so that all who were let in are out.

        Raises
        ------
        GreenroomError
            If the key cannot be kept; then all stays as it is.
        """
        key = self._make_key()
        with self._lock:
            self._key = key
            self._token = secrets.token_urlsafe(_TOKEN_BYTES)
            self._codes.clear()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have a function called, on any thread, after `renew`; returns what ends that."""
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return end

    def _tab_key(self) -> bytes:
        return _mac(self._key, f"greenroom page at 127.0.0.1:{self.port}")

    def _said(self, who: str, nonce: str) -> str:
        said = _mac(self._tab_key(), f"{who} {nonce} {self._nonce}")
        return base64.urlsafe_b64encode(said).decode()


def knows_connection_owners() -> bool:
    """Whether the system says whose connection one is."""
    return sys.platform == "linux" and _CONNECTIONS.exists()


def owner_of(client_port: int, server_port: int) -> int | None:
    """Return the user whose connection to a port of 127.0.0.1 this is; None if nobody knows.

    The client's end is asked for: it belongs to who opened it.
    """
    here = int.from_bytes(socket.inet_aton("127.0.0.1"), sys.byteorder)
    ends = [f"{here:08X}:{client_port:04X}", f"{here:08X}:{server_port:04X}"]
    try:
        lines = _CONNECTIONS.read_text("ascii").splitlines()
    except OSError:
        return None
    for parts in map(str.split, lines):
        if parts[1:3] == ends:
            return int(parts[7])
    return None


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
