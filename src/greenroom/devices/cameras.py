"""Cameras and virtual cameras of this machine."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av

from greenroom.devices.v4l2 import CameraFormat, open_device
from greenroom.devices.video_nodes import SYSFS, video_nodes
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
        Number for ``--source``: N of ``/dev/videoN`` on Linux, the place in the list elsewhere.
    path : str
        Path or name to open it by.
    name : str
        Name given by the driver.
    formats : tuple of CameraFormat
        Supported formats; empty where unknown.
    is_virtual : bool
        Whether its pictures come from a program.
    problem : str
        Reason why it cannot be queried; empty if it can.
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
    """List the cameras by number. No stream is opened, so no camera light goes on.

    Parameters
    ----------
    platform, sysfs, ioctl, enumerate_devices
        The system interfaces; tests substitute their own.
    """
    if platform.startswith("linux"):
        nodes = _nodes(sysfs, ioctl)
        return [info for info, capability in nodes if capability is None or capability.captures]
    return _named_devices(platform, enumerate_devices)


def list_virtual_cameras(
    *,
    platform: str = sys.platform,
    sysfs: Path = SYSFS,
    ioctl: Ioctl | None = None,
    enumerate_devices: Callable[[str], Sequence[object]] | None = None,
) -> list[CameraInfo]:
    """List the virtual cameras, on Linux including those without a writer."""
    if platform.startswith("linux"):
        return [info for info, _ in _nodes(sysfs, ioctl) if info.is_virtual]
    return [info for info in _named_devices(platform, enumerate_devices) if info.is_virtual]


def find_camera(name: str, cameras: Sequence[CameraInfo]) -> CameraInfo:
    """Select the camera with a number, a path, a name, or a part of a name in any case.

    Raises
    ------
    CameraMissingError
        If no camera matches.
    CameraError
        If several match.
    """
    found = [camera for camera in cameras if name in (str(camera.number), camera.path)]
    found = found or [camera for camera in cameras if camera.name.lower() == name.lower()]
    found = found or [camera for camera in cameras if name.lower() in camera.name.lower()]
    if not found:
        what = f"number {name}" if name.isdigit() else f"name '{name}'"
        message = f"there is no camera of {what}. {cameras_text(cameras)}"
        raise CameraMissingError(message, name)
    if len(found) > 1:
        several = ", ".join(_camera_text(camera) for camera in found)
        message = (
            f"'{name}' is the name of {len(found)} cameras: {several}. Give the number or the path "
            f"of the one that is meant: --source {found[0].number}"
        )
        raise CameraError(message, name)
    return found[0]


def cameras_text(cameras: Sequence[CameraInfo]) -> str:
    """List the cameras in one sentence, or advise what to do without one."""
    if cameras:
        return f"There are: {', '.join(_camera_text(camera) for camera in cameras)}."
    return (
        "There is no camera at all: plug one in, see whether the system lists it (greenroom "
        "devices), or try without one: --source demo"
    )


def _camera_text(camera: CameraInfo) -> str:
    return f"{camera.number} '{camera.name}' ({camera.path})"


def _nodes(sysfs: Path, ioctl: Ioctl | None) -> Iterator[tuple[CameraInfo, Capability | None]]:
    """Query every Video4Linux camera; the capability is None where it may not be opened."""
    for node in video_nodes(sysfs):
        name = Path(node.path).name if node.name is None else node.name
        try:
            with open_device(node.path, ioctl) as device:
                capability = device.capability()
                formats = tuple(device.formats()) if capability.captures else ()
        except OSError as error:
            problem = str(error.strerror or error).lower()
            logger.debug("%s cannot be queried: %s", node.path, problem)
            # The first node of a camera is for pictures, the others are for other data.
            if node.index == 0:
                info = CameraInfo(node.number, node.path, name, (), node.is_virtual, problem)
                yield info, None
            continue
        is_virtual = node.is_virtual or capability.driver == _LOOPBACK
        if capability.captures or is_virtual:
            name = name or capability.card
            yield CameraInfo(node.number, node.path, name, formats, is_virtual), capability


def _named_devices(
    platform: str, enumerate_devices: Callable[[str], Sequence[object]] | None
) -> list[CameraInfo]:
    """List the cameras that FFmpeg enumerates: names without formats."""
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
