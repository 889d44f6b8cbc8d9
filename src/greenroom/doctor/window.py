"""The window of greenroom's own, which is an extra."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from greenroom.doctor.finding import Case, Finding, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from greenroom.doctor.system import System

__all__ = ["check_window"]

_SECTION: Final = Section("Window")


def check_window(case: Case) -> Iterator[Finding]:
    """Look for the library that draws windows, and for a screen."""
    system = case.system
    wanted = "window" in case.destinations
    version = system.version("pygame-ce")
    if version is None:
        message = "pygame-ce, which only --to window needs, is not installed"
        fix = system.pip("install", "greenroom[window]")
        yield (
            _SECTION.problem("window", message, fix)
            if wanted
            else _SECTION.ok("window", message, fix)
        )
        return
    if system.is_linux and not _has_screen(system):
        message = (
            "there is no screen to open a window on: neither WAYLAND_DISPLAY nor DISPLAY is set"
        )
        yield _SECTION.missing("window", message, "greenroom run --to page", wanted=wanted)
        return
    yield _SECTION.ok("window", f"pygame-ce {version}: --to window can be used")


def _has_screen(system: System) -> bool:
    """Whether SDL finds a screen, or is told to draw somewhere else, such as on the console."""
    driver = system.environment.get("SDL_VIDEODRIVER", "").lower()
    names = {"x11": ("DISPLAY",), "wayland": ("WAYLAND_DISPLAY",)}
    if driver and driver not in names:
        return True
    return any(map(system.environment.get, names.get(driver, ("DISPLAY", "WAYLAND_DISPLAY"))))
