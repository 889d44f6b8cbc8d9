"""The virtual camera of Linux: the kernel module v4l2loopback, loaded as programs expect it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from greenroom.doctor.distributions import installs
from greenroom.doctor.finding import Case, Finding, Section, joining

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from greenroom.doctor.system import System

__all__ = ["LOAD", "OTHER_DOOR", "check_loopback", "is_installed", "is_loaded"]

_SECTION: Final = Section("Virtual camera")
_NAME: Final = "v4l2loopback"
# Programs such as Chrome list only cameras that say they can do nothing else. A high number
# leaves camera 0 to the real one, also where the module is loaded first.
_OPTIONS: Final = "exclusive_caps=1 card_label=greenroom video_nr=10"
LOAD: Final = f"sudo modprobe v4l2loopback {_OPTIONS}"
_AGAIN: Final = f"sudo modprobe -r v4l2loopback\n{LOAD}"
_KEEP: Final = (
    f"echo 'options v4l2loopback {_OPTIONS}' | sudo tee /etc/modprobe.d/greenroom.conf\n"
    "echo v4l2loopback | sudo tee /etc/modules-load.d/greenroom.conf"
)
_PACKAGES: Final = {
    "debian": "v4l2loopback-dkms linux-headers-$(uname -r)",
    "fedora": "akmod-v4l2loopback  # of rpmfusion.org",
    "arch": "v4l2loopback-dkms linux-headers",
    "suse": "v4l2loopback-kmp-default",
}
_BUILD: Final = "Build it: github.com/v4l2loopback/v4l2loopback"
OTHER_DOOR: Final = "# Or do without a kernel module:\ngreenroom run --to pipewire,page"
_FIRST_WITH_EVENT: Final = (0, 13)


def check_loopback(case: Case) -> Iterator[Finding]:
    """Look whether the module is there, loaded, loaded well, and loaded after the next start."""
    system = case.system
    if not system.is_linux:
        return
    wanted = "camera" in case.destinations
    if not is_loaded(system):
        yield _not_loaded(system, wanted=wanted)
        return
    nodes = _nodes(system)
    if not nodes:
        message = f"{_NAME} is loaded, but has no device"
        yield _SECTION.missing(_NAME, message, _AGAIN, wanted=wanted)
        return
    faults = list(_faults(system, nodes, wanted=wanted))
    yield from faults
    if not faults:
        names = ", ".join(f"{_label(system, node)} (/dev/{node})" for node in nodes)
        yield _SECTION.ok(_NAME, f"{names}, version {_version(system) or 'unknown'}")
    yield from _remarks(system)


def is_loaded(system: System) -> bool:
    """Whether the module is loaded."""
    return system.path(f"/sys/module/{_NAME}").exists()


def is_installed(system: System) -> bool:
    """Whether the kernel that runs has the module."""
    if f"/{_NAME}.ko" in system.read(f"/lib/modules/{system.release}/modules.dep"):
        return True
    return bool(_module_files(system))


def _module_files(system: System) -> list[Path]:
    folders = (
        "updates/dkms",
        "updates",
        "extra",
        "extra/v4l2loopback",
        "kernel/drivers/media/v4l2-core",
    )
    return [
        path
        for folder in folders
        for path in system.glob(f"/lib/modules/{system.release}/{folder}/{_NAME}.ko*")
    ]


def _not_loaded(system: System, *, wanted: bool) -> Finding:
    without = "calls cannot choose the camera greenroom"
    if system.is_container:
        message = f"{_NAME} is not loaded, and can only be from outside this container: {without}"
        fix = f"{LOAD}\nStart the container with: docker run --device /dev/video10\n{OTHER_DOOR}"
        return _SECTION.missing(_NAME, message, fix, wanted=wanted)
    if is_installed(system):
        message = f"{_NAME} is installed, but not loaded: {without}"
        return _SECTION.missing(_NAME, message, f"{LOAD}\n{_KEEP}", wanted=wanted)
    if system.glob(f"/usr/src/{_NAME}-*"):
        message = f"{_NAME} was not built for this kernel, {system.release}: {without}"
        fix = f"sudo apt install linux-headers-{system.release}\nsudo dkms autoinstall\n{LOAD}"
        return _SECTION.missing(_NAME, message, fix, wanted=wanted)
    message = f"{_NAME} is not installed: {without}"
    return _SECTION.missing(
        _NAME,
        message,
        f"{installs(system, _PACKAGES, _BUILD)}\n{LOAD}\n{OTHER_DOOR}",
        wanted=wanted,
    )


def _nodes(system: System) -> list[str]:
    """Return the names of the module's devices: those of no hardware."""
    found = system.glob("/sys/devices/virtual/video4linux/video[0-9]*")
    return sorted((path.name for path in found), key=lambda name: int(name[5:]))


def _label(system: System, node: str) -> str:
    return system.read(f"/sys/devices/virtual/video4linux/{node}/name")


def _version(system: System) -> str:
    return system.read(f"/sys/module/{_NAME}/version")


def _faults(system: System, nodes: list[str], *, wanted: bool) -> Iterator[Finding]:
    """Say what keeps programs from the devices."""
    for node in nodes:
        path = system.path(f"/dev/{node}")
        if path.exists() and not system.can_use(path):
            group = system.group_of(path)
            message = f"/dev/{node} may not be written to: you are not in the group {group}"
            fix = joining(group)
            yield _SECTION.missing(_NAME, message, fix, wanted=wanted)
    caps = system.read(f"/sys/module/{_NAME}/parameters/exclusive_caps").split(",")
    if caps[0] and not any(value in ("Y", "1") for value in caps[: len(nodes)]):
        message = f"{_NAME} is loaded without exclusive_caps: Chrome and Teams do not list it"
        yield _SECTION.missing(_NAME, message, _AGAIN, wanted=wanted)
    labels = [_label(system, node) for node in nodes]
    if all(re.fullmatch(r"Dummy video device.*|", label) for label in labels):
        message = f"the virtual camera has no name of its own, only '{labels[0]}'"
        yield _SECTION.warning(_NAME, message, _AGAIN)


def _remarks(system: System) -> Iterator[Finding]:
    """Say what is right now, and could be otherwise later."""
    version = tuple(int(part) for part in re.findall(r"\d+", _version(system))[:2])
    if version and version < _FIRST_WITH_EVENT:
        message = (
            f"{_NAME} {_version(system)} does not tell who looks; from 0.13 on it does. Until then "
            f"programs of this user are counted, for closing the camera while nobody looks"
        )
        yield _SECTION.ok("readers", message)
    files = [
        *system.glob("/etc/modules-load.d/*.conf"),
        *system.glob("/usr/lib/modules-load.d/*.conf"),
    ]
    texts = [*(path.read_text("utf-8", "replace") for path in files), system.read("/etc/modules")]
    if not any(re.search(rf"^\s*{_NAME}\b", text, re.MULTILINE) for text in texts):
        message = f"{_NAME} is loaded now, and not any more after the next start"
        yield _SECTION.warning("next start", message, _KEEP)
