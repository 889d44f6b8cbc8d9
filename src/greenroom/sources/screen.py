"""The screen as a source, where FFmpeg can grab it."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from greenroom.errors import CameraError, CameraForbiddenError, CameraMissingError
from greenroom.media.decoding import reason_of
from greenroom.sources.camera import CameraRequest
from greenroom.sources.live_decoder import LiveDecoder, LiveInput
from greenroom.specs import SOURCE_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greenroom.media.clock import Clock
    from greenroom.settings import Settings

__all__ = ["check_screen", "screen_source"]

_SCREEN: Final = SOURCE_KINDS["screen"].word
_DEFAULT_RATE: Final = Fraction(30)


def screen_source(
    settings: Settings,
    clock: Clock,
    platform: str = sys.platform,
    environment: Mapping[str, str] = os.environ,
) -> LiveDecoder:
    """Grab the whole screen, scaled to the requested size.

    Raises
    ------
    CameraError
        If it cannot be grabbed, saying why.
    """
    wanted = CameraRequest(settings)
    address, backend = _device(platform, environment)
    options = {"framerate": str(wanted.rate or _DEFAULT_RATE)}
    if platform == "darwin":
        options["capture_cursor"] = "1"
    asked = LiveInput(
        _SCREEN, address, format=backend, options={"fpsprobesize": "0", **options}, size=wanted.size
    )

    def explain(error: Exception) -> CameraError:
        if platform == "darwin":
            message = (
                "the screen may not be grabbed. Allow it in System Settings > Privacy & Security "
                "> Screen & System Audio Recording, for the program that greenroom is started from."
            )
            return CameraForbiddenError(message, _SCREEN)
        message = (
            f"the screen '{address}' cannot be grabbed: {reason_of(error)}. See whether a program "
            "can be shown on it: the variable DISPLAY says which it is."
        )
        return CameraMissingError(message, _SCREEN)

    return LiveDecoder(asked, clock, explain)


def check_screen(platform: str = sys.platform, environment: Mapping[str, str] = os.environ) -> None:
    """Raise the error for a screen that cannot be grabbed here, without opening it.

    Raises
    ------
    CameraError
        As in `screen_source`.
    """
    _device(platform, environment)


def _device(platform: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the address and FFmpeg's input format for the screen."""
    if platform == "win32":
        return "desktop", "gdigrab"
    if platform == "darwin":
        return "Capture screen 0:none", "avfoundation"
    display = environment.get("DISPLAY")
    if environment.get("WAYLAND_DISPLAY"):
        message = (
            "the screen cannot be grabbed under Wayland, which lets no program look at others. "
            "Log in to a session of X11 (Xorg), or have OBS show the screen as a virtual camera."
        )
        raise CameraForbiddenError(message, _SCREEN)
    if not display:
        message = "there is no screen to grab: the variable DISPLAY is not set. Set it, as in :0"
        raise CameraMissingError(message, _SCREEN)
    return display, "x11grab"
