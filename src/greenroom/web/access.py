"""Authentication of the page: tokens, one-time codes and keys.

There are three kinds of secrets. None of them is a cookie, because browsers send cookies to every
port of a machine:

- The *token* is new with every start. A request with it is allowed. It travels in the fragment of
  the address, which browsers do not send, and then in a header.
- A *code* can be exchanged for the token once, within a minute. It is for addresses on a
  browser's command line, which other users can read.
- The *key* outlasts a run and is never sent. An authenticated tab gets a key derived from it for
  this port, and keeps that in memory. After a restart both sides prove that they have the derived
  key, greenroom first: a different program that answers at the port meanwhile learns nothing.
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
from greenroom.live.listeners import Listeners

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Access", "knows_connection_owners", "owner_of"]

_TOKEN_BYTES: Final = 32
_CODE_BYTES: Final = 16
CODE_LIFETIME_S: Final = 60.0
"""Lifetime of a code, in seconds; a browser may have to start first."""
_MAX_CODES: Final = 16
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")
# On Linux, the owner of each connection (proc(5), /proc/net/tcp).
_CONNECTIONS: Final = Path("/proc/net/tcp")


class Access:
    """Checks tokens, codes and proofs. All methods may be called on any thread.

    Parameters
    ----------
    key : bytes
        The secret that outlasts this run.
    token : str, optional
        The token; random by default.
    make_key : callable, optional
        Makes and stores a new key, for `renew`. By default the new key is random and not stored.

    Attributes
    ----------
    port : int
        Port of the page; to be set before the first request.
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
        self._listeners = Listeners()
        self._lock = threading.Lock()

    @property
    def token(self) -> str:
        """The token that opens the page, until `renew`."""
        return self._token

    @property
    def url(self) -> str:
        """The address to open; browsers do not send the part after the #."""
        return f"http://127.0.0.1:{self.port}/#token={self._token}"

    def is_token(self, text: str | None) -> bool:
        """Compare with the token, in constant time."""
        return _same(text or "", self._token)

    def code(self) -> str:
        """Make a code that can be exchanged for the token once."""
        code, now_s = secrets.token_urlsafe(_CODE_BYTES), time.monotonic()
        with self._lock:
            kept = [(one, end_s) for one, end_s in self._codes.items() if end_s > now_s]
            self._codes = dict(kept[1 - _MAX_CODES :]) | {code: now_s + CODE_LIFETIME_S}
        return code

    def redeem(self, code: str) -> bool:
        """Use a code up; return whether it was valid."""
        now_s = time.monotonic()
        with self._lock:
            found = [one for one in self._codes if _same(one, code)]
            return any(self._codes.pop(one) > now_s for one in found)

    @property
    def tab_key(self) -> str:
        """The key for authenticated tabs; of no use at another port."""
        return base64.urlsafe_b64encode(self._tab_key()).decode()

    def proof(self, nonce: str) -> tuple[str, str]:
        """Return this run's nonce, and a proof of the key over both nonces.

        Raises
        ------
        GreenroomError
            If `nonce` is not valid.
        """
        if not _NONCE.fullmatch(nonce):
            message = "expected a nonce of 22 to 64 letters, digits, - and _"
            raise GreenroomError(message)
        return self._nonce, self._proof_of("server", nonce)

    def admits(self, nonce: str, proof: str) -> bool:
        """Return whether the proof shows that the other side has the key."""
        return bool(_NONCE.fullmatch(nonce)) and _same(proof, self._proof_of("page", nonce))

    def renew(self) -> None:
        """Make a new token and a new key, so that every open page is logged out.

        Raises
        ------
        GreenroomError
            If the key cannot be stored; then token and key stay as they are.
        """
        key = self._make_key()
        with self._lock:
            self._key = key
            self._token = secrets.token_urlsafe(_TOKEN_BYTES)
            self._codes.clear()
        self._listeners.tell()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function, on any thread, after every `renew`; return a function that ends this."""
        return self._listeners.add(listener)

    def _tab_key(self) -> bytes:
        return _mac(self._key, f"greenroom page at 127.0.0.1:{self.port}")

    def _proof_of(self, side: str, nonce: str) -> str:
        proof = _mac(self._tab_key(), f"{side} {nonce} {self._nonce}")
        return base64.urlsafe_b64encode(proof).decode()


def knows_connection_owners() -> bool:
    """Whether the operating system reports the owner of a connection."""
    return sys.platform == "linux" and _CONNECTIONS.exists()


def owner_of(client_port: int, server_port: int) -> int | None:
    """Return the user id of the client of a connection to 127.0.0.1; None if it is not known.

    The client's socket is looked up: it belongs to the user who opened the connection.
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
