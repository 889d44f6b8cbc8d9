"""The cameras of this machine, and the virtual cameras that pictures can be sent to."""

from __future__ import annotations

import logging
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from greenroom.devices.v4l2 import Sizes, SystemIoctl, opened
from greenroom.errors import CameraError, CameraMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from greenroom.devices.v4l2 import Capability, Ioctl

__all__ = [
    "CameraFormat",
    "CameraInfo",
    "cameras_text",
    "find_camera",
    "list_cameras",
    "list_virtual_cameras",
]

logger = logging.getLogger(__name__)

CameraFormat = Sizes
"""One format of a camera: FFmpeg's or the driver's four letters, size, and rates."""

SYSFS: Final = Path("/sys/class/video4linux")
_LOOPBACK: Final = "v4l2 loopback"
_VIRTUAL_NAMES: Final = re.compile(
    r"obs|virtual|unity|greenroom|snap camera|manycam", re.IGNORECASE
)
# FFmpeg's list for macOS has screens among the cameras.
_SCREEN: Final = re.compile(r"capture screen", re.IGNORECASE)
_FFMPEG_FORMATS: Final = {"darwin": "avfoundation", "win32": "dshow"}


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera.

    Attributes
    ----------
    number : int
        What ``--source`` takes: N of ``/dev/videoN`` on Linux, the place in the list elsewhere.
    path : str
        What it is opened by.
    name : str
        What it calls itself.
    formats : tuple of CameraFormat
        What it can give; empty where that cannot be told.
    is_virtual : bool
        Whether a program makes its pictures.
    problem : str
        Why it cannot be asked; empty if it can.
    """

    number: int
    path: str
    name: str
    formats: tuple[CameraFormat, ...] = ()
    is_virtual: bool = False
    problem: str = ""


def list_cameras(
    *,
    platform: str = sys.platform,
    sysfs: Path = SYSFS,
    ioctl: Ioctl | None = None,
    enumerate_devices: Callable[[str], Sequence[object]] | None = None,
) -> list[CameraInfo]:
    """List what frames can be read from, by number. Opens no stream: no light goes on.

    Parameters
    ----------
    platform, sysfs, ioctl, enumerate_devices
        Where to look; the machine's own unless a test says otherwise.
    """
    if platform.startswith("linux"):
        nodes = _nodes(sysfs, ioctl or SystemIoctl())
        return [info for info, capability in nodes if capability is None or capability.captures]
    return _named_devices(platform, enumerate_devices)


def list_virtual_cameras(
    *,
    platform: str = sys.platform,
    sysfs: Path = SYSFS,
    ioctl: Ioctl | None = None,
    enumerate_devices: Callable[[str], Sequence[object]] | None = None,
) -> list[CameraInfo]:
    """List the virtual cameras, on Linux also those that nobody writes to yet."""
    if platform.startswith("linux"):
        return [info for info, _ in _nodes(sysfs, ioctl or SystemIoctl()) if info.is_virtual]
    return [info for info in _named_devices(platform, enumerate_devices) if info.is_virtual]


def find_camera(name: str, cameras: Sequence[CameraInfo]) -> CameraInfo:
    """Find the one camera of a number, a path, a name, or a part of a name in any case.

    Raises
    ------
    CameraMissingError
        If there is none.
    CameraError
        If there are several.
    """
    found = [camera for camera in cameras if name in (str(camera.number), camera.path)]
    found = found or [camera for camera in cameras if camera.name.lower() == name.lower()]
    found = found or [camera for camera in cameras if name.lower() in camera.name.lower()]
    if not found:
        what = f"number {name}" if name.isdigit() else f"name '{name}'"
        message = f"there is no camera of {what}. {cameras_text(cameras)}"
        raise CameraMissingError(message, name)
    if len(found) > 1:
        several = ", ".join(_said(camera) for camera in found)
        message = (
            f"'{name}' is the name of {len(found)} cameras: {several}. Give the number or the path "
            f"of the one that is meant: --source {found[0].number}"
        )
        raise CameraError(message, name)
    return found[0]


def cameras_text(cameras: Sequence[CameraInfo]) -> str:
    """Say which cameras there are, or what to do if there is none."""
    if cameras:
        return f"There are: {', '.join(_said(camera) for camera in cameras)}."
    return (
        "There is no camera at all: plug one in, see whether the system lists it (greenroom "
        "devices), or try without one: --source demo"
    )


def _said(camera: CameraInfo) -> str:
    return f"{camera.number} '{camera.name}' ({camera.path})"


def _nodes(sysfs: Path, ioctl: Ioctl) -> Iterator[tuple[CameraInfo, Capability | None]]:
    """Describe every node of Video4Linux; without a capability where it may not be asked."""
    for number, entry in sorted(_numbered(sysfs)):
        path = f"/dev/{entry.name}"
        name = entry.name
        with suppress(OSError):
            name = (entry / "name").read_text(encoding="utf-8", errors="replace").strip()
        is_virtual = "/devices/virtual/" in os.path.realpath(entry)
        try:
            with opened(path, ioctl) as device:
                capability = device.capability()
                formats = tuple(device.sizes()) if capability.captures else ()
        except OSError as error:
            problem = str(error.strerror or error).lower()
            logger.debug("%s cannot be asked: %s", path, problem)
            # A camera has one node for pictures, which is its first, and others for other data.
            is_first = _index(entry) == 0
            if is_first:
                yield CameraInfo(number, path, name, (), is_virtual, problem), None
            continue
        is_virtual = is_virtual or capability.driver == _LOOPBACK
        if capability.captures or is_virtual:
            info = CameraInfo(number, path, name or capability.card, formats, is_virtual)
            yield info, capability


def _numbered(sysfs: Path) -> Iterator[tuple[int, Path]]:
    with suppress(OSError):
        for entry in sysfs.iterdir():
            if found := re.fullmatch(r"video(\d+)", entry.name):
                yield int(found[1]), entry


def _index(entry: Path) -> int:
    """Read a node's place among those of one device."""
    try:
        return int((entry / "index").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _named_devices(
    platform: str, enumerate_devices: Callable[[str], Sequence[object]] | None
) -> list[CameraInfo]:
    """Ask FFmpeg, which lists names but no formats."""
    import av  # noqa: PLC0415 - importing greenroom stays light

    backend = _FFMPEG_FORMATS.get(platform)
    if backend is None:
        return []
    ask = enumerate_devices or av.enumerate_input_devices
    try:
        devices = ask(backend)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        logger.warning("cameras cannot be listed: %s", error)
        return []
    cameras: list[CameraInfo] = []
    for device in devices:
        path, name = str(getattr(device, "name", "")), str(getattr(device, "description", ""))
        if "video" in getattr(device, "media_types", ()) and not _SCREEN.match(name):
            is_virtual = bool(_VIRTUAL_NAMES.search(name))
            cameras.append(CameraInfo(len(cameras), path, name or path, (), is_virtual))
    return cameras
