"""Camera errors: for each cause, one class and one piece of advice."""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final

from greenroom.errors import (
    CameraBusyError,
    CameraError,
    CameraForbiddenError,
    CameraFormatError,
    CameraLostError,
    CameraMissingError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from greenroom.devices.cameras import CameraFormat, CameraInfo

__all__ = ["format_error", "formats_text", "lost_error", "opening_error"]

# ENXIO: a device file without a device behind it.
_MISSING: Final = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
_FORBIDDEN: Final = (errno.EACCES, errno.EPERM)
_UNFIT: Final = (errno.EINVAL, errno.ENOTTY, errno.ERANGE, errno.ENOTSUP)

_PERMISSION: Final = {
    "linux": "Join the group that may: sudo usermod -aG video $USER, then log in again.",
    "darwin": (
        "Allow it in System Settings > Privacy & Security > Camera, for the program (such as "
        "Terminal) that greenroom is started from, and start that anew."
    ),
    "win32": (
        "Allow it in Settings > Privacy & security > Camera: 'Camera access' and 'Let desktop "
        "apps access your camera'."
    ),
}


def opening_error(
    error: Exception, camera: CameraInfo, asked: str, platform: str = sys.platform
) -> CameraError:
    """Make the error for a camera that could not be opened.

    Parameters
    ----------
    error : Exception
        What FFmpeg or the system raised.
    camera : CameraInfo
        The camera.
    asked : str
        The request, such as ``1280x720, 30 frames/s``; empty if there was none.
    platform : str
        As `sys.platform`.
    """
    number = getattr(error, "errno", None)
    kind: type[CameraError] = CameraError
    if number in _MISSING:
        kind, what = CameraMissingError, "is not there any more. See what is: greenroom devices"
    elif number == errno.EBUSY:
        kind = CameraBusyError
        what = f"is used by another program. {_find_user(camera.path, platform)}"
    elif number in _FORBIDDEN:
        kind = CameraForbiddenError
        what = f"may not be used by you. {_PERMISSION.get(platform, _PERMISSION['linux'])}"
    elif number == errno.ENOSPC:
        kind = CameraBusyError
        what = (
            "does not get the room on its USB that it needs. Plug it, or what shares the hub, in "
            "elsewhere, or ask it for less: --size 640x480"
        )
    elif number in _UNFIT:
        return format_error(camera, asked)
    elif number == errno.EIO and platform in ("darwin", "win32"):
        # Neither AVFoundation nor DirectShow tells FFmpeg more than that.
        kind = CameraBusyError
        what = (
            f"cannot be opened{_for(asked)}. If another program uses it, close that. If not: "
            f"{_PERMISSION[platform]} Else ask for nothing: leave out --size and --rate."
        )
    else:
        reason = str(getattr(error, "strerror", None) or error).lower()
        what = (
            f"cannot be opened{_for(asked)}: {reason}. Unplug it and plug it in again, or read it "
            "by the other library: --capture opencv (or ffmpeg)"
        )
    return kind(f"camera '{camera.name}' ({camera.path}) {what}", camera.path)


def format_error(camera: CameraInfo, asked: str) -> CameraFormatError:
    """Make the error for a camera that does not support the requested format."""
    message = (
        f"camera '{camera.name}' ({camera.path}) does not give {asked or 'frames'}. "
        f"{formats_text(camera.formats)}"
    )
    return CameraFormatError(message, camera.path)


def lost_error(name: str, reason: str, path: str = "") -> CameraLostError:
    """Make the error for a camera or stream that went away."""
    advice = "Plug it in again" if path else "See whether it is still on"
    message = f"{name} was lost: {reason}. {advice}; it is being looked for."
    return CameraLostError(message, path or name)


def formats_text(formats: Sequence[CameraFormat]) -> str:
    """List the formats, each with its rates."""
    if not formats:
        return "What it has cannot be told here: leave out --size and --rate."
    said = []
    for one in formats:
        size = "x".join(map(str, one.size))
        if one.smallest is not None:
            size = f"{'x'.join(map(str, one.smallest))} to {size}"
        rates = "/".join(f"{float(rate):.4g}" for rate in one.rates)
        said.append(f"{one.fourcc} {size}{f' at {rates}' if rates else ''}")
    return f"It has: {', '.join(said)}."


def _for(asked: str) -> str:
    return f" with {asked}" if asked else ""


def _find_user(path: str, platform: str) -> str:
    if platform == "linux":
        return f"Find out which, and close it: fuser -v {path}"
    return "Close it: a call in a browser counts too."
