"""Secure Boot, which keeps kernel modules out that nobody has signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from greenroom.doctor.finding import Case, Finding, Section
from greenroom.doctor.loopback import LOAD, OTHER_DOOR, is_installed, is_loaded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.doctor.system import System

__all__ = ["check_secure_boot"]

_SECTION: Final = Section("Virtual camera")
_NAME: Final = "secure boot"
# The UEFI specification's namespace of its own variables.
_VARIABLE: Final = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
# The keys that DKMS signs with: Debian's, Fedora's (akmods), Ubuntu's.
_KEYS: Final = (
    "/var/lib/dkms/mok.pub",
    "/etc/pki/akmods/certs/public_key.der",
    "/var/lib/shim-signed/mok/MOK.der",
)
_RESTART: Final = "# Restart, choose 'Enroll MOK' in the blue menu, and give the same password."


def check_secure_boot(case: Case) -> Iterator[Finding]:
    """Look whether Secure Boot is on, and lets v4l2loopback in."""
    system = case.system
    if not system.is_linux:
        return
    is_on = _is_on(system)
    if is_on is None:
        yield _SECTION.ok(_NAME, "not known to this machine, so it is in nobody's way")
    elif not is_on:
        yield _SECTION.ok(_NAME, "off: kernel modules need no signature")
    elif is_loaded(system):
        yield _SECTION.ok(_NAME, "on, and v4l2loopback is loaded all the same: it is signed")
    elif not is_installed(system):
        message = "on: v4l2loopback will have to be signed by a key that this machine knows"
        yield _SECTION.ok(_NAME, message, OTHER_DOOR)
    else:
        yield _of_module(system, wanted="camera" in case.destinations)


def _is_on(system: System) -> bool | None:
    """Return whether Secure Boot is on; None where there is no such thing."""
    try:
        # Four bytes of attributes, then the value.
        return system.path(_VARIABLE).read_bytes()[4:5] == b"\x01"
    except OSError:
        answer = system.run(["mokutil", "--sb-state"])
        if "SecureBoot enabled" in answer.text:
            return True
        return False if "SecureBoot disabled" in answer.text else None


def _of_module(system: System, *, wanted: bool) -> Finding:
    """Say what is to be done for a module that is installed and not loaded."""
    signer = system.run(["modinfo", "-F", "signer", "v4l2loopback"])
    key = next((path for path in _KEYS if system.path(path).exists()), None)
    if signer.worked and not signer.text:
        message = "on, and v4l2loopback is not signed: it cannot be loaded"
        make = "sudo dkms generate_mok\nsudo dkms autoinstall --force" if key is None else ""
        fix = "\n".join(filter(None, (make, _enrol(key), _RESTART, OTHER_DOOR)))
        return _SECTION.missing(_NAME, message, fix, wanted=wanted)
    if key is not None:
        known = system.run(["mokutil", "--test-key", str(system.path(key))])
        if "is already enrolled" in known.text:
            return _SECTION.ok(_NAME, "on; v4l2loopback is signed, and its key is known", LOAD)
        message = f"on, and this machine does not know the key of v4l2loopback, {key}"
        fix = "\n".join((_enrol(key), _RESTART, OTHER_DOOR))
        return _SECTION.missing(_NAME, message, fix, wanted=wanted)
    by = f" by {signer.text}" if signer.text else ""
    message = f"on: v4l2loopback has to be signed{by} with a key that this machine knows"
    return _SECTION.warning(_NAME, message, f"mokutil --list-enrolled\n{OTHER_DOOR}")


def _enrol(key: str | None) -> str:
    return f"sudo mokutil --import {key or _KEYS[0]}"
