"""Requests to the page of the running instance, and opening it in a browser."""

from __future__ import annotations

import html
import json
import webbrowser
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from greenroom.desktop.instance import state_folder, unwritable
from greenroom.errors import GreenroomError
from greenroom.media.file_writing import write_atomically
from greenroom.web.access import knows_connection_owners

if TYPE_CHECKING:
    from pathlib import Path

    from greenroom.desktop.instance import InstanceRecord

__all__ = ["UnreachableError", "ask", "open_page"]

_TIMEOUT_S: Final = 2.0
_FORWARDING: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>greenroom</title>
<meta http-equiv="refresh" content="0; url={address}"></head><body></body></html>
"""


class UnreachableError(Exception):
    """The running instance cannot be reached in one way; the message says why."""


def ask(
    record: InstanceRecord,
    method: str,
    path: str,
    body: object = None,
    *,
    timeout_s: float = _TIMEOUT_S,
) -> object:
    """Send a request to the page of the running instance, without proxies, and return the JSON.

    Raises
    ------
    UnreachableError
        If it does not answer in time, or refuses.
    """
    where = urlsplit(record.address)
    connection = HTTPConnection(where.hostname or "", where.port or 80, timeout=timeout_s)
    headers = {"Authorization": f"Bearer {record.token}", "Content-Type": "application/json"}
    try:
        connection.request(
            method, path, None if body is None else json.dumps(body).encode(), headers
        )
        answer = connection.getresponse()
        text = answer.read()
    except TimeoutError as error:
        message = f"its page {record.address} did not answer within {timeout_s:g} s"
        raise UnreachableError(message) from error
    except (OSError, HTTPException) as error:
        message = f"its page {record.address} cannot be reached: {error}"
        raise UnreachableError(message) from error
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        message = f"its page {record.address} answered {answer.status} {answer.reason}"
        raise UnreachableError(message)
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def open_page(record: InstanceRecord) -> None:
    """Open the page in the user's web browser.

    Other users can read the command line with which a browser is started. So it holds no token,
    but a code that works once. On systems that do not tell the owner of a connection, another
    user could still use the code first; there the browser is given a private file instead, which
    redirects to the page.

    Raises
    ------
    GreenroomError
        If the page does not answer, or there is no browser.
    """
    try:
        answer = ask(record, "POST", "/api/code")
    except UnreachableError as error:
        message = f"the page cannot be opened: {error}"
        raise GreenroomError(message) from error
    code = answer.get("code") if isinstance(answer, dict) else None
    if not isinstance(code, str):
        message = f"the page cannot be opened: what answers at {record.address} is not greenroom"
        raise GreenroomError(message)
    address = f"{record.address}/#code={code}"
    if not webbrowser.open(address if knows_connection_owners() else _forwarding(address).as_uri()):
        message = "no web browser can be started. Open the address of: greenroom page --print"
        raise GreenroomError(message)


def _forwarding(address: str) -> Path:
    """Write a private file that redirects to the page, replacing the last one."""
    path = state_folder() / "open.html"
    try:
        write_atomically(
            path, _FORWARDING.format(address=html.escape(address)).encode(), private=True
        )
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return path
