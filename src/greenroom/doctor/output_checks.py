"""Checks of the other outputs: PipeWire, the cameras of OBS and Unity Capture, and the window."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from greenroom.doctor.finding import CheckContext, Finding, Section
from greenroom.doctor.system import install_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from greenroom.doctor.system import System

__all__ = ["check_other_cameras", "check_pipewire", "check_window"]

_SECTION: Final = Section("Virtual camera")
_WINDOW: Final = Section("Window")
_DAEMON: Final = {"*": "pipewire wireplumber"}
_PORTAL: Final = {"*": "xdg-desktop-portal"}
_START: Final = "systemctl --user enable --now pipewire wireplumber"
_SERVICES: Final = "/usr/share/dbus-1/services/org.freedesktop.portal.Desktop.service"
_NAME: Final = "virtual camera"
# Class identifiers registered with DirectShow, the same as pyvirtualcam's.
_FILTERS: Final = {
    "OBS Virtual Camera": "{A3FCE0F5-3493-419F-958A-ABA1250EC20B}",
    "Unity Video Capture": "{5C2CD55C-92AD-4999-8666-912BD3E70010}",
}
_INSTALL_ON_WINDOWS: Final = (
    "winget install -e --id OBSProject.OBSStudio\n# Start OBS once, and press Start Virtual Camera."
)
_INSTALL_ON_MAC: Final = (
    "brew install --cask obs\n"
    "# Start OBS once, press Start Virtual Camera, and allow its extension."
)
_EXTENSION: Final = "com.obsproject.obs-studio.mac-camera-extension"
_OLD_PLUGIN: Final = "/Library/CoreMediaIO/Plug-Ins/DAL/obs-mac-virtualcam.plugin"
_NO_READER_COUNT: Final = (
    "this system does not report readers of a virtual camera, so the real one stays open while "
    "greenroom runs"
)


def check_pipewire(context: CheckContext) -> Iterator[Finding]:
    """Check the daemon, its session manager and the desktop portal."""
    system = context.system
    if not system.is_linux:
        return
    wanted = "pipewire" in context.destinations
    socket = _socket(system)
    if socket is None:
        message = "PipeWire does not run for this user, so it offers no camera"
        yield _SECTION.missing(
            "pipewire", message, _install_and_start(system, _DAEMON, _START), wanted=wanted
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
        message = "no session manager runs, so programs cannot connect to PipeWire cameras"
        yield _SECTION.missing(
            "wireplumber", message, _install_and_start(system, _DAEMON, _START), wanted=wanted
        )
    if not (system.path(_SERVICES).exists() or system.runs("xdg-desktop-portal")):
        message = "there is no desktop portal, by which browsers ask for cameras of PipeWire"
        yield _SECTION.warning("portal", message, _install_and_start(system, _PORTAL))


def _socket(system: System) -> str | None:
    """Return the path of the daemon's socket; None if there is none."""
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


def _install_and_start(system: System, packages: Mapping[str, str], start: str = "") -> str:
    """Return the commands that install packages and start them."""
    otherwise = f"# Install {next(iter(packages.values()))}."
    return "\n".join(filter(None, (install_command(system, packages, otherwise), start)))


def check_other_cameras(context: CheckContext) -> Iterator[Finding]:
    """Look for an installed virtual camera on Windows or macOS; opens none."""
    system = context.system
    if system.is_linux:
        return
    wanted = "camera" in context.destinations
    yield from (_windows_camera if system.platform == "win32" else _mac_camera)(
        system, wanted=wanted
    )
    yield _SECTION.ok("readers", _NO_READER_COUNT)


def _windows_camera(system: System, *, wanted: bool) -> Iterator[Finding]:
    found = [
        name
        for name, number in _FILTERS.items()
        if system.run(["reg", "query", rf"HKLM\SOFTWARE\Classes\CLSID\{number}"]).worked
    ]
    if found:
        yield _SECTION.ok(_NAME, f"{' and '.join(found)} can be used")
        return
    message = "there is none: calls cannot choose greenroom as a camera"
    yield _SECTION.missing(_NAME, message, _INSTALL_ON_WINDOWS, wanted=wanted)


def _mac_camera(system: System, *, wanted: bool) -> Iterator[Finding]:
    extensions = system.run(["systemextensionsctl", "list"])
    lines = [line for line in extensions.text.splitlines() if _EXTENSION in line]
    if any("activated enabled" in line for line in lines):
        yield _SECTION.ok(_NAME, "OBS Virtual Camera can be used")
    elif system.path(_OLD_PLUGIN).exists():
        message = "OBS has its plug-in of before version 30, which only some programs list"
        yield _SECTION.warning(_NAME, message, "brew upgrade --cask obs")
    elif system.path("/Applications/OBS.app").exists():
        message = "OBS is installed, but its camera extension is not allowed yet"
        fix = (
            "open -a OBS\n# Press Start Virtual Camera, and allow its extension in System Settings."
        )
        yield _SECTION.missing(_NAME, message, fix, wanted=wanted)
    else:
        message = "there is none: calls cannot choose greenroom as a camera"
        yield _SECTION.missing(_NAME, message, _INSTALL_ON_MAC, wanted=wanted)


def check_window(context: CheckContext) -> Iterator[Finding]:
    """Check for pygame and for a display."""
    system = context.system
    wanted = "window" in context.destinations
    version = system.version("pygame-ce")
    if version is None:
        message = "pygame-ce, which only --to window needs, is not installed"
        fix = system.pip("install", "greenroom[window]")
        report = _WINDOW.problem if wanted else _WINDOW.ok
        yield report("window", message, fix)
        return
    if system.is_linux and not _has_display(system):
        message = (
            "there is no screen to open a window on: neither WAYLAND_DISPLAY nor DISPLAY is set"
        )
        yield _WINDOW.missing("window", message, "greenroom run --to page", wanted=wanted)
        return
    yield _WINDOW.ok("window", f"pygame-ce {version}: --to window can be used")


def _has_display(system: System) -> bool:
    """Whether SDL finds a display, or is told to draw elsewhere, such as on the console."""
    driver = system.environment.get("SDL_VIDEODRIVER", "").lower()
    names = {"x11": ("DISPLAY",), "wayland": ("WAYLAND_DISPLAY",)}
    if driver and driver not in names:
        return True
    return any(map(system.environment.get, names.get(driver, ("DISPLAY", "WAYLAND_DISPLAY"))))
