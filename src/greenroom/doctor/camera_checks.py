"""Checks of the cameras and of the permission to use them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from greenroom.devices.video_nodes import video_nodes
from greenroom.doctor.finding import CheckContext, Finding, Section, join_group
from greenroom.specs import source_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from greenroom.devices.cameras import CameraInfo
    from greenroom.doctor.system import System

__all__ = ["check_cameras"]

_SECTION: Final = Section("Camera")
# Files, as far as their names tell.
_FILE: Final = re.compile(r".*\.[a-z0-9]{2,4}", re.IGNORECASE)
_CONSENT: Final = (
    r"HKCU\Software\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\webcam"
)
_MAC_PRIVACY: Final = (
    "open 'x-apple.systempreferences:com.apple.preference.security?Privacy_Camera'"
)
_PLUG: Final = "Plug a camera in, or try without one: greenroom run --source demo"


def check_cameras(context: CheckContext) -> Iterator[Finding]:
    """List the cameras and any missing permission to use them."""
    system = context.system
    refused = list(_refused_nodes(system)) if system.is_linux else []
    if refused:
        yield _missing_permission(system, refused)
    else:
        yield from _windows_privacy(system)
    cameras = [camera for camera in system.cameras() if not camera.is_virtual]
    for camera in cameras:
        if system.path(camera.path) not in refused:
            yield _describe(camera)
    if not cameras and not refused:
        message, fix = _no_camera(system)
        source = context.settings.source
        wanted = source_kind(source) is None and not _FILE.fullmatch(source)
        yield _SECTION.missing("cameras", message, fix, wanted=wanted)


def _describe(camera: CameraInfo) -> Finding:
    name = f"{camera.number}: {camera.name}"
    if camera.path != camera.name:
        name += f" ({camera.path})"
    if camera.problem:
        fix = "Close the program that uses it, or unplug the camera and plug it in again."
        return _SECTION.warning("camera", f"{name} does not answer: {camera.problem}", fix)
    if not camera.formats:
        return _SECTION.ok("camera", name)
    largest = max(camera.formats, key=lambda each: each.size[0] * each.size[1])
    kinds = ", ".join(dict.fromkeys(each.fourcc for each in camera.formats))
    return _SECTION.ok("camera", f"{name}, up to {largest.size[0]}x{largest.size[1]}, {kinds}")


def _refused_nodes(system: System) -> Iterator[Path]:
    """Yield the nodes of real cameras that this process may not open."""
    nodes = video_nodes(system.path("/sys/class/video4linux"))
    virtual = {node.path for node in nodes if node.is_virtual}
    for path in system.glob("/dev/video[0-9]*"):
        if f"/dev/{path.name}" not in virtual and not system.can_use(path):
            yield path


def _missing_permission(system: System, nodes: Sequence[Path]) -> Finding:
    group = system.group_of(nodes[0])
    names = ", ".join(f"/dev/{node.name}" for node in nodes)
    if group in system.listed_groups() and group not in system.own_groups():
        message = f"{names}: you are in the group {group} only from your next login on"
        return _SECTION.problem("permission", message, "Log out and in again.")
    message = f"{names} cannot be opened: you are not in the group {group}"
    fix = join_group(group)
    if group in system.own_groups():
        message = f"{names} cannot be opened, although you are in the group {group}"
        fix = f"ls -l {names.replace(',', '')}"
    return _SECTION.problem("permission", message, fix)


def _windows_privacy(system: System) -> Iterator[Finding]:
    """Check whether Windows' privacy settings block cameras. macOS has no such query."""
    if system.platform != "win32":
        return
    for key, who in ((_CONSENT, "apps"), (rf"{_CONSENT}\NonPackaged", "desktop programs")):
        answer = system.run(["reg", "query", key, "/v", "Value"])
        if answer.worked and re.search(r"\bDeny\b", answer.text):
            message = f"Windows lets no {who} use a camera"
            yield _SECTION.problem("permission", message, "start ms-settings:privacy-webcam")
            return


def _no_camera(system: System) -> tuple[str, str]:
    """Return a message and a fix for a machine without cameras."""
    if system.platform == "darwin":
        message = "no camera was found; where a program may not use them, it sees none"
        return message, _MAC_PRIVACY
    if "microsoft" in system.read("/proc/version").lower():
        message = "no camera: Windows does not pass them on to its Linux by itself"
        return message, "usbipd list\nusbipd attach --wsl --busid BUSID"
    if system.is_container:
        message = "no camera: this is a container, which sees those only that it is given"
        fix = "# Start the container with the camera:\ndocker run --device /dev/video0 IMAGE"
        return message, fix
    return "no camera was found", _PLUG
