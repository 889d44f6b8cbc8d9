"""The virtual cameras of Windows and macOS: OBS and Unity Capture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from greenroom.doctor.finding import Case, Finding, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.doctor.system import System

__all__ = ["check_other_cameras"]

_SECTION: Final = Section("Virtual camera")
_NAME: Final = "virtual camera"
# The classes that these register with DirectShow, as pyvirtualcam looks for them.
_FILTERS: Final = {
    "OBS Virtual Camera": "{A3FCE0F5-3493-419F-958A-ABA1250EC20B}",
    "Unity Video Capture": "{5C2CD55C-92AD-4999-8666-912BD3E70010}",
}
_WINDOWS: Final = (
    "winget install -e --id OBSProject.OBSStudio\n# Start OBS once, and press Start Virtual Camera."
)
_MAC: Final = (
    "brew install --cask obs\n"
    "# Start OBS once, press Start Virtual Camera, and allow its extension."
)
_EXTENSION: Final = "com.obsproject.obs-studio.mac-camera-extension"
_OLD_PLUGIN: Final = "/Library/CoreMediaIO/Plug-Ins/DAL/obs-mac-virtualcam.plugin"
_CANNOT_TELL: Final = (
    "this system does not tell who looks at a virtual camera, so the real one stays open while "
    "greenroom runs"
)


def check_other_cameras(case: Case) -> Iterator[Finding]:
    """Look for a virtual camera that is installed; none is opened."""
    system = case.system
    if system.is_linux:
        return
    wanted = "camera" in case.destinations
    yield from (_on_windows if system.platform == "win32" else _on_mac)(system, wanted=wanted)
    yield _SECTION.ok("readers", _CANNOT_TELL)


def _on_windows(system: System, *, wanted: bool) -> Iterator[Finding]:
    found = [
        name
        for name, number in _FILTERS.items()
        if system.run(["reg", "query", rf"HKLM\SOFTWARE\Classes\CLSID\{number}"]).worked
    ]
    if found:
        yield _SECTION.ok(_NAME, f"{' and '.join(found)} can be used")
        return
    message = "there is none: calls cannot choose greenroom as a camera"
    yield _SECTION.missing(_NAME, message, _WINDOWS, wanted=wanted)


def _on_mac(system: System, *, wanted: bool) -> Iterator[Finding]:
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
        yield _SECTION.missing(_NAME, message, _MAC, wanted=wanted)
