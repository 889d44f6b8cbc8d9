"""Checks of the v4l2loopback kernel module and of Secure Boot."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from greenroom.devices.video_nodes import video_nodes
from greenroom.doctor.finding import CheckContext, Finding, Section, join_group
from greenroom.doctor.system import install_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from greenroom.devices.video_nodes import VideoNode
    from greenroom.doctor.system import System

__all__ = ["check_loopback", "check_secure_boot"]

_SECTION: Final = Section("Virtual camera")
_NAME: Final = "v4l2loopback"
_SECURE_BOOT: Final = "secure boot"
# Chrome and others list only capture-only devices, hence exclusive_caps. A high number leaves
# /dev/video0 to the real camera even if the module is loaded first.
_OPTIONS: Final = "exclusive_caps=1 card_label=greenroom video_nr=10"
_LOAD: Final = f"sudo modprobe v4l2loopback {_OPTIONS}"
_RELOAD: Final = f"sudo modprobe -r v4l2loopback\n{_LOAD}"
_LOAD_AT_BOOT: Final = (
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
_PIPEWIRE: Final = "# Or do without a kernel module:\ngreenroom run --to pipewire,page"
_FIRST_WITH_EVENT: Final = (0, 13)
# In the UEFI specification's namespace of global variables.
_UEFI_VARIABLE: Final = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
# Keys that kernel modules are signed with: Debian's, Fedora's (akmods), Ubuntu's.
_SIGNING_KEYS: Final = (
    "/var/lib/dkms/mok.pub",
    "/etc/pki/akmods/certs/public_key.der",
    "/var/lib/shim-signed/mok/MOK.der",
)
_RESTART: Final = "# Restart, choose 'Enroll MOK' in the blue menu, and give the same password."


def check_loopback(context: CheckContext) -> Iterator[Finding]:
    """Check that the module is installed, loaded with the right options, and loaded at boot."""
    system = context.system
    if not system.is_linux:
        return
    wanted = "camera" in context.destinations
    if not _is_loaded(system):
        yield _not_loaded(system, wanted=wanted)
        return
    nodes = video_nodes(system.path("/sys/devices/virtual/video4linux"))
    if not nodes:
        message = f"{_NAME} is loaded, but has no device"
        yield _SECTION.missing(_NAME, message, _RELOAD, wanted=wanted)
        return
    faults = list(_faults(system, nodes, wanted=wanted))
    yield from faults
    if not faults:
        names = ", ".join(f"{node.name or ''} ({node.path})" for node in nodes)
        yield _SECTION.ok(_NAME, f"{names}, version {_version(system) or 'unknown'}")
    yield from _remarks(system)


def _is_loaded(system: System) -> bool:
    """Whether the module is loaded."""
    return system.path(f"/sys/module/{_NAME}").exists()


def _is_installed(system: System) -> bool:
    """Whether the module is installed for the running kernel."""
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
        fix = f"{_LOAD}\nStart the container with: docker run --device /dev/video10\n{_PIPEWIRE}"
        return _SECTION.missing(_NAME, message, fix, wanted=wanted)
    if _is_installed(system):
        message = f"{_NAME} is installed, but not loaded: {without}"
        return _SECTION.missing(_NAME, message, f"{_LOAD}\n{_LOAD_AT_BOOT}", wanted=wanted)
    if system.glob(f"/usr/src/{_NAME}-*"):
        message = f"{_NAME} was not built for this kernel, {system.release}: {without}"
        fix = f"sudo apt install linux-headers-{system.release}\nsudo dkms autoinstall\n{_LOAD}"
        return _SECTION.missing(_NAME, message, fix, wanted=wanted)
    message = f"{_NAME} is not installed: {without}"
    return _SECTION.missing(
        _NAME,
        message,
        f"{install_command(system, _PACKAGES, _BUILD)}\n{_LOAD}\n{_PIPEWIRE}",
        wanted=wanted,
    )


def _version(system: System) -> str:
    return system.read(f"/sys/module/{_NAME}/version")


def _faults(system: System, nodes: list[VideoNode], *, wanted: bool) -> Iterator[Finding]:
    """Report settings that hide the devices from programs."""
    for node in nodes:
        path = system.path(node.path)
        if path.exists() and not system.can_use(path):
            group = system.group_of(path)
            message = f"{node.path} may not be written to: you are not in the group {group}"
            fix = join_group(group)
            yield _SECTION.missing(_NAME, message, fix, wanted=wanted)
    caps = system.read(f"/sys/module/{_NAME}/parameters/exclusive_caps").split(",")
    if caps[0] and not any(value in ("Y", "1") for value in caps[: len(nodes)]):
        message = f"{_NAME} is loaded without exclusive_caps: Chrome and Teams do not list it"
        yield _SECTION.missing(_NAME, message, _RELOAD, wanted=wanted)
    labels = [node.name or "" for node in nodes]
    if all(re.fullmatch(r"Dummy video device.*|", label) for label in labels):
        message = f"the virtual camera has no name of its own, only '{labels[0]}'"
        yield _SECTION.warning(_NAME, message, _RELOAD)


def _remarks(system: System) -> Iterator[Finding]:
    """Report limits of the version and of a module not loaded at boot."""
    version = tuple(int(part) for part in re.findall(r"\d+", _version(system))[:2])
    if version and version < _FIRST_WITH_EVENT:
        message = (
            f"{_NAME} {_version(system)} does not report its readers, as 0.13 and later do: the "
            "camera is closed while no program of this user reads the virtual one"
        )
        yield _SECTION.ok("readers", message)
    files = [
        *system.glob("/etc/modules-load.d/*.conf"),
        *system.glob("/usr/lib/modules-load.d/*.conf"),
    ]
    texts = [*(path.read_text("utf-8", "replace") for path in files), system.read("/etc/modules")]
    if not any(re.search(rf"^\s*{_NAME}\b", text, re.MULTILINE) for text in texts):
        message = f"{_NAME} is loaded now, and not any more after the next start"
        yield _SECTION.warning("next start", message, _LOAD_AT_BOOT)


def check_secure_boot(context: CheckContext) -> Iterator[Finding]:
    """Check whether Secure Boot accepts v4l2loopback."""
    system = context.system
    if not system.is_linux:
        return
    is_on = _secure_boot_is_on(system)
    if is_on is None:
        yield _SECTION.ok(
            _SECURE_BOOT, "not supported by this machine: kernel modules need no signature"
        )
    elif not is_on:
        yield _SECTION.ok(_SECURE_BOOT, "off: kernel modules need no signature")
    elif _is_loaded(system):
        yield _SECTION.ok(_SECURE_BOOT, "on, and v4l2loopback is loaded all the same: it is signed")
    elif not _is_installed(system):
        message = "on: v4l2loopback will have to be signed by a key that this machine knows"
        yield _SECTION.ok(_SECURE_BOOT, message, _PIPEWIRE)
    else:
        yield _module_signature(system, wanted="camera" in context.destinations)


def _secure_boot_is_on(system: System) -> bool | None:
    """Whether Secure Boot is on; None on machines without it."""
    try:
        # Four bytes of attributes, then the value.
        return system.path(_UEFI_VARIABLE).read_bytes()[4:5] == b"\x01"
    except OSError:
        answer = system.run(["mokutil", "--sb-state"])
        if "SecureBoot enabled" in answer.text:
            return True
        return False if "SecureBoot disabled" in answer.text else None


def _module_signature(system: System, *, wanted: bool) -> Finding:
    """Report the signature of a module that is installed but not loaded."""
    signer = system.run(["modinfo", "-F", "signer", "v4l2loopback"])
    key = next((path for path in _SIGNING_KEYS if system.path(path).exists()), None)
    if signer.worked and not signer.text:
        message = "on, and v4l2loopback is not signed: it cannot be loaded"
        make = "sudo dkms generate_mok\nsudo dkms autoinstall --force" if key is None else ""
        fix = "\n".join(filter(None, (make, _enrol(key), _RESTART, _PIPEWIRE)))
        return _SECTION.missing(_SECURE_BOOT, message, fix, wanted=wanted)
    if key is not None:
        known = system.run(["mokutil", "--test-key", str(system.path(key))])
        if "is already enrolled" in known.text:
            return _SECTION.ok(
                _SECURE_BOOT, "on; v4l2loopback is signed, and its key is known", _LOAD
            )
        message = f"on, and this machine does not know the key of v4l2loopback, {key}"
        fix = "\n".join((_enrol(key), _RESTART, _PIPEWIRE))
        return _SECTION.missing(_SECURE_BOOT, message, fix, wanted=wanted)
    by = f" by {signer.text}" if signer.text else ""
    message = f"on: v4l2loopback has to be signed{by} with a key that this machine knows"
    return _SECTION.warning(_SECURE_BOOT, message, f"mokutil --list-enrolled\n{_PIPEWIRE}")


def _enrol(key: str | None) -> str:
    return f"sudo mokutil --import {key or _SIGNING_KEYS[0]}"
