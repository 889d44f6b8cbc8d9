"""JSON of the data channel ``greenroom``: one object a message, UTF-8.

From the client, one or more of::

    {"settings": {"background": "blur:0.6", "mirror": true}}   only what changes
    {"cover": true}                                            hide me; false shows me again

From the server, one of::

    {"settings": {...}}   all settings that a client may change, with their values: when the channel
                          opens, and after every message of the client's with ``settings``
    {"status": {...}}     what is being sent: when the channel opens, at once when ``showing``,
                          ``covered`` or ``message`` changes, and every second
    {"error": {"name": "background", "message": "..."}}   a message was refused; nothing was changed
    {"closing": {"message": "...", "seconds": 10}}   the service ends; begin a session elsewhere

Errors have the fields of an error response over HTTP. What a session begins with is asked for by
such a message of the client's too: the parameter ``start`` of ``POST /sessions``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from greenroom.errors import SettingsError
from greenroom.settings import Settings

if TYPE_CHECKING:
    from greenroom.live.status import Status

__all__ = [
    "ClientMessage",
    "closing_message",
    "error_message",
    "hosted_names",
    "parse_message",
    "settings_message",
    "status_message",
]

_EXPECTED: Final = 'expected an object with "settings", an object, or "cover", true or false'
# How much of a wrong name an error repeats.
_MOST_OF_A_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message of a client.

    Attributes
    ----------
    settings : dict
        Values by name, of settings that a client may change; the values are not checked yet.
    cover : bool or None
        Whether to show the cover; None leaves it as it is.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    cover: bool | None = None


@cache
def hosted_names() -> frozenset[str]:
    """Return the names of the settings that a client may change."""
    return frozenset(name for name in Settings.model_fields if Settings.about(name).hosted)


def parse_message(text: str) -> ClientMessage:
    """Read a message of a client.

    Raises
    ------
    SettingsError
        If it is not such a message, or names a setting that a client may not change.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not message or message.keys() - {"settings", "cover"}:
        raise SettingsError(_EXPECTED)
    settings, cover = message.get("settings", {}), message.get("cover")
    if not isinstance(settings, dict) or not isinstance(cover, bool | None):
        raise SettingsError(_EXPECTED)
    for name in settings.keys() - hosted_names():
        shown = name[:_MOST_OF_A_NAME]
        problem = f"'{shown}' is not a setting that a client of a hosted service may change"
        raise SettingsError(problem, shown)
    return ClientMessage(settings, cover)


def settings_message(settings: Settings) -> str:
    """Return the message with the settings that a client may change."""
    return json.dumps({"settings": settings.model_dump(mode="json", include=set(hosted_names()))})


def status_message(status: Status, network: dict[str, float] | None = None) -> str:
    """Return the message with what is being sent.

    Parameters
    ----------
    status : Status
        Of the session; nothing of the server itself is told.
    network : dict, optional
        What the server knows of the connection, such as ``loss``.
    """
    told = {
        "showing": status.showing,
        "reason": status.reason,
        "message": status.message,
        "covered": status.covered,
        "size": status.size,
        "rate_in": round(status.rate_in, 1),
        "rate_out": round(status.rate_out, 1),
        "latency_ms": {name: round(value, 1) for name, value in status.latency_ms.items()},
        "notices": status.notices,
        "network": network or {},
    }
    return json.dumps({"status": told})


def error_message(message: str, name: str | None = None) -> str:
    """Return the message that says why another one was refused.

    Parameters
    ----------
    message : str
        What was expected, what came and what to do.
    name : str, optional
        The setting that it is about.
    """
    return json.dumps({"error": {"name": name, "message": message}})


def closing_message(message: str, seconds: float) -> str:
    """Return the message that says that the service ends.

    Parameters
    ----------
    message : str
        Why, and what to do.
    seconds : float
        How long the session goes on.
    """
    return json.dumps({"closing": {"message": message, "seconds": seconds}})
