"""Cameras, and whether they may be used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from greenroom.doctor.finding import Case, Finding, Section, joining

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from greenroom.devices.cameras import CameraInfo
    from greenroom.doctor.system import System

__all__ = ["check_cameras"]

_SECTION: Final = Section("Camera")
# Sources that are no camera: an address, a file, or what is drawn.
_NO_CAMERA: Final = re.compile(r"^(demo|screen|[a-z]+:.*|.*\.[a-z0-9]{2,4})$", re.IGNORECASE)
_CONSENT: Final = (
    r"HKCU\Software\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\webcam"
)
_PLUG: Final = "Plug a camera in, or try without one: greenroom run --source demo"


def check_cameras(case: Case) -> Iterator[Finding]:
    """List the cameras, with what keeps this user from them."""
    system = case.system
    refused = list(_refused_nodes(system)) if system.is_linux else []
    if refused:
        yield _forbidden(system, refused)
    else:
        yield from _denied(system)
    cameras = [camera for camera in system.cameras() if not camera.is_virtual]
    for camera in cameras:
        if system.path(camera.path) not in refused:
            yield _camera(camera)
    if not cameras and not refused:
        message, fix = _none(system)
        wanted = not _NO_CAMERA.match(case.settings.source)
        yield _SECTION.missing("cameras", message, fix, wanted=wanted)


def _camera(camera: CameraInfo) -> Finding:
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
    """Return the nodes of real cameras that this process may not use."""
    for path in system.glob("/dev/video[0-9]*"):
        entry = system.path(f"/sys/class/video4linux/{path.name}")
        is_virtual = "/devices/virtual/" in str(entry.resolve())
        if not is_virtual and not system.can_use(path):
            yield path


def _forbidden(system: System, nodes: Sequence[Path]) -> Finding:
    group = system.group_of(nodes[0])
    names = ", ".join(f"/dev/{node.name}" for node in nodes)
    if group in system.listed_groups() and group not in system.own_groups():
        message = f"{names}: you are in the group {group} only from your next login on"
        return _SECTION.problem("permission", message, "Log out and in again.")
    message = f"{names} may not be used: you are not in the group {group}"
    fix = joining(group)
    if group in system.own_groups():
        message = f"{names} may not be used, although you are in the group {group}"
        fix = f"ls -l {names.replace(',', '')}"
    return _SECTION.problem("permission", message, fix)


def _denied(system: System) -> Iterator[Finding]:
    """Look whether Windows keeps programs from cameras. A Mac does not tell."""
    if system.platform != "win32":
        return
    for key, who in ((_CONSENT, "apps"), (rf"{_CONSENT}\NonPackaged", "desktop programs")):
        answer = system.run(["reg", "query", key, "/v", "Value"])
        if answer.worked and re.search(r"\bDeny\b", answer.text):
            message = f"Windows lets no {who} use a camera"
            yield _SECTION.problem("permission", message, "start ms-settings:privacy-webcam")
            return


def _none(system: System) -> tuple[str, str]:
    """Say why there may be no camera."""
    if system.platform == "darwin":
        message = "no camera was found; where a program may not use them, it sees none"
        return (
            message,
            "open 'x-apple.systempreferences:com.apple.preference.security?Privacy_Camera'",
        )
    if "microsoft" in system.read("/proc/version").lower():
        message = "no camera: Windows does not pass them on to its Linux by itself"
        return message, "usbipd list\nusbipd attach --wsl --busid BUSID"
    if system.is_container:
        message = "no camera: this is a container, which sees those only that it is given"
        fix = "# Start the container with the camera:\ndocker run --device /dev/video0 IMAGE"
        return message, fix
    return "no camera was found", _PLUG
