"""Live outputs: the setting ``to``, parsed into sinks."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.errors import SettingsError
from greenroom.sinks.codecs import CONTAINERS
from greenroom.sinks.live_recording import RecordingSink
from greenroom.sinks.null_sink import NullSink
from greenroom.sinks.pipewire_sink import PipeWireSink
from greenroom.sinks.virtual_camera import VirtualCameraSink
from greenroom.sinks.window_sink import WindowSink
from greenroom.specs import LIVE_OUTPUTS, Argument

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from greenroom.settings import Settings
    from greenroom.sinks.sink import LiveSink

__all__ = ["PAGE", "create_live_sinks", "destinations"]

PAGE: Final = "page"
"""The page in the browser. It is not a sink: the session shows it."""

_KNOWN: Final = ", ".join(output.help for output in LIVE_OUTPUTS.values())
# Call programs, browsers and others that show a camera, which users name by mistake.
_CALLS: Final = frozenset(
    (
        *("zoom", "meet", "teams", "skype", "webex", "slack", "discord", "jitsi", "obs"),
        *("whatsapp", "signal", "telegram", "facetime", "bigbluebutton", "gotomeeting"),
        *("browser", "chrome", "chromium", "firefox", "edge", "safari", "obs studio"),
    )
)


_SINKS: Final[dict[str, Callable[[str, Settings, Fraction], LiveSink]]] = {
    "camera": lambda device, _, rate: VirtualCameraSink(rate, device or None),
    "pipewire": lambda _, __, rate: PipeWireSink(rate),
    "window": lambda _, __, ___: WindowSink(),
    "file": lambda path, settings, rate: RecordingSink(Path(path), settings, rate),
    "null": lambda _, __, ___: NullSink(),
}


def destinations(settings: Settings) -> list[tuple[str, str]]:
    """Parse the setting ``to`` into pairs of kind and argument.

    Raises
    ------
    SettingsError
        If one is unknown, empty or repeated, lacks its argument or must not have one.
    """
    parts = [part.strip() for part in settings.to.split(",")]
    found = [_parsed(part) for part in parts]
    for number, part in enumerate(found):
        if part in found[:number]:
            message = f"to: '{parts[number]}' is there twice. Name every place once."
            raise SettingsError(message, "to")
    return found


def create_live_sinks(settings: Settings, rate: Fraction) -> list[LiveSink]:
    """Make the sinks of the setting ``to``, in its order, without the page.

    No device is opened before the first frame.

    Parameters
    ----------
    settings : Settings
        ``to``; for a recording also codec, quality, preset and overwrite.
    rate : Fraction
        Expected frames a second.

    Raises
    ------
    SettingsError
        If ``to`` is wrong.
    SinkError, ExistsError
        If a recording cannot be written.
    MissingExtraError
        If the window's library is not installed.
    """
    return [
        _SINKS[kind](argument, settings, rate)
        for kind, argument in destinations(settings)
        if kind != PAGE
    ]


def _parsed(part: str) -> tuple[str, str]:
    kind, colon, argument = part.partition(":")
    argument = argument.strip()
    output = LIVE_OUTPUTS.get(kind)
    takes = Argument.NONE if output is None else output.argument
    is_right = bool(argument) if colon else takes is not Argument.REQUIRED
    if output is None or not is_right or (colon and takes is Argument.NONE):
        message = f"to: expected one or more of {_KNOWN}; not '{part}'.{_hint(part)}"
        raise SettingsError(message, "to")
    if kind == "file" and Path(argument).suffix.lower() not in CONTAINERS:
        message = f"to: a recording ends in one of {', '.join(CONTAINERS)}, not '{argument}'."
        raise SettingsError(message, "to")
    return kind, argument


def _hint(part: str) -> str:
    """Return a suggestion for an unknown output; empty if none is similar."""
    word = part.lower().replace("-", " ").removeprefix("google ").removeprefix("microsoft ")
    if word in _CALLS:
        return (
            f" Calls take the picture from a virtual camera: leave it at --to camera, and choose "
            f"the camera greenroom in the settings of {part}."
        )
    if Path(part).suffix.lower() in CONTAINERS:
        return f" Did you mean 'file:{part}'?"
    if part.startswith("/dev/"):
        return f" Did you mean 'camera:{part}'?"
    kind, colon, argument = word.partition(":")
    near = difflib.get_close_matches(kind, LIVE_OUTPUTS, n=1)
    return f" Did you mean '{near[0]}{colon}{argument}'?" if near and near[0] != kind else ""
