"""PipeWire, the door without a kernel module, and what it needs."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from greenroom.doctor.distributions import installs
from greenroom.doctor.finding import Case, Finding, Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from greenroom.doctor.system import System

__all__ = ["check_pipewire"]

_SECTION: Final = Section("Virtual camera")
_DAEMON: Final = {"*": "pipewire wireplumber"}
_PORTAL: Final = {"*": "xdg-desktop-portal"}
_START: Final = "systemctl --user enable --now pipewire wireplumber"
_SERVICES: Final = "/usr/share/dbus-1/services/org.freedesktop.portal.Desktop.service"


def check_pipewire(case: Case) -> Iterator[Finding]:
    """Look for the daemon, its session manager and the portal."""
    system = case.system
    if not system.is_linux:
        return
    wanted = "pipewire" in case.destinations
    socket = _socket(system)
    if socket is None:
        message = "PipeWire does not run for this user, so it offers no camera"
        yield _SECTION.missing(
            "pipewire", message, _command(system, _DAEMON, _START), wanted=wanted
        )
        return
    answer = system.run(["pw-cli", "info", "0"])
    if answer.was_late or (answer.status is not None and not answer.worked):
        first_line = answer.text.partition("\n")[0]
        message = f"PipeWire does not answer: {first_line}"
        fix = "systemctl --user restart pipewire"
        yield _SECTION.missing("pipewire", message, fix, wanted=wanted)
        return
    is_managed = system.runs("wireplumber", "pipewire-media-session")
    found = re.search(r'^\s*version: "([\d.]+)"', answer.text, re.MULTILINE)
    message = f"PipeWire {found[1]} runs" if found else "PipeWire runs"
    if is_managed:
        message += ": greenroom run --to pipewire,page needs no kernel module"
    yield _SECTION.ok("pipewire", message)
    if not is_managed:
        message = "no session manager runs, so nobody is connected with a camera of PipeWire"
        yield _SECTION.missing(
            "wireplumber", message, _command(system, _DAEMON, _START), wanted=wanted
        )
    if not (system.path(_SERVICES).exists() or system.runs("xdg-desktop-portal")):
        message = "there is no desktop portal, by which browsers ask for cameras of PipeWire"
        yield _SECTION.warning("portal", message, _command(system, _PORTAL))


def _socket(system: System) -> str | None:
    """Return where the daemon listens; None if it does not."""
    environment = system.environment
    name = environment.get("PIPEWIRE_REMOTE", "pipewire-0")
    folders = [
        environment.get("PIPEWIRE_RUNTIME_DIR"),
        environment.get("XDG_RUNTIME_DIR"),
        f"/run/user/{os.getuid()}" if hasattr(os, "getuid") else None,
    ]
    for folder in filter(None, folders):
        if system.path(f"{folder}/{name}").exists():
            return f"{folder}/{name}"
    return None


def _command(system: System, packages: Mapping[str, str], start: str = "") -> str:
    """Return what installs packages, and starts them."""
    otherwise = f"# Install {next(iter(packages.values()))}."
    return "\n".join(filter(None, (installs(system, packages, otherwise), start)))
