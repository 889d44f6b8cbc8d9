"""All checks, one after the other: none crashes, none hangs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.doctor.cameras import check_cameras
from greenroom.doctor.compute_devices import check_devices
from greenroom.doctor.files import check_config, check_running, check_space
from greenroom.doctor.finding import Case, Finding
from greenroom.doctor.installation import check_packages, check_python, check_rivals
from greenroom.doctor.loopback import check_loopback
from greenroom.doctor.models import check_engine, check_model
from greenroom.doctor.obs import check_other_cameras
from greenroom.doctor.pipewire import check_pipewire
from greenroom.doctor.processor import check_processor
from greenroom.doctor.secure_boot import check_secure_boot
from greenroom.doctor.system import System
from greenroom.doctor.window import check_window
from greenroom.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["CHECKS", "Check", "each_finding", "run_checks"]


class Check(NamedTuple):
    """One thing to look at.

    Attributes
    ----------
    section, name : str
        As in `Finding`, for when it fails itself.
    look : callable
        Yields findings.
    deadline_s : float
        How long it may take.
    blocks : bool
        Whether the main job cannot be done where it fails itself.
    """

    section: str
    name: str
    look: Callable[[Case], Iterable[Finding]]
    deadline_s: float = 10.0
    blocks: bool = False


CHECKS: Final = (
    Check("Python", "python", check_python),
    Check("Python", "packages", check_packages, 30, blocks=True),
    Check("Python", "rivals", check_rivals),
    Check("Processor", "processor", check_processor),
    Check("Model", "engine", check_engine, 30, blocks=True),
    Check("Model", "model", check_model),
    Check("Model", "devices", check_devices, 60),
    Check("Camera", "cameras", check_cameras),
    Check("Virtual camera", "v4l2loopback", check_loopback),
    Check("Virtual camera", "secure boot", check_secure_boot),
    Check("Virtual camera", "pipewire", check_pipewire),
    Check("Virtual camera", "virtual camera", check_other_cameras),
    Check("Window", "window", check_window),
    Check("Files", "space", check_space),
    Check("Files", "settings", check_config),
    Check("Files", "running", check_running),
)


def run_checks(
    settings: Settings | None = None, system: System | None = None, *, config: Path | None = None
) -> list[Finding]:
    """Look at everything.

    Parameters
    ----------
    settings : Settings, optional
        What is asked for: what it needs and is missing is a problem, all else a warning.
    system : System, optional
        The machine; by default this one.
    config : Path, optional
        The settings file that the user named; by default the user's own one.

    Returns
    -------
    list of Finding
        The main job can be done if none of them blocks. Never raises.
    """
    return list(each_finding(settings, system, config=config))


def each_finding(
    settings: Settings | None = None,
    system: System | None = None,
    *,
    config: Path | None = None,
    checks: Sequence[Check] = CHECKS,
    on_check: Callable[[str], None] | None = None,
) -> Iterator[Finding]:
    """Look at everything, and yield what is found as it is found.

    Parameters
    ----------
    settings, system, config
        As in `run_checks`.
    checks : sequence of Check
        What to look at.
    on_check : callable, optional
        Called with the name of each check before it begins.
    """
    case = Case(settings or Settings(), system or System(), config)
    for check in checks:
        if on_check is not None:
            on_check(check.name)
        yield from _findings(check, case)


def _findings(check: Check, case: Case) -> list[Finding]:
    """Look at one thing on a thread of its own, which is left behind if it hangs."""
    found: list[Finding] = []
    failed: list[Finding] = []

    def look() -> None:
        try:
            found.extend(check.look(case))
        except Exception as error:  # noqa: BLE001 - the others still count
            failed.append(_failed(check, f"{type(error).__name__}: {error}"))

    thread = threading.Thread(target=look, name=f"greenroom-doctor-{check.name}", daemon=True)
    thread.start()
    thread.join(check.deadline_s)
    if thread.is_alive():
        failed.append(_failed(check, f"no answer within {check.deadline_s:g} s"))
    return [*found, *failed]


def _failed(check: Check, why: str) -> Finding:
    message = f"this could not be looked at: {' '.join(why.split())}"
    return Finding(check.name, "problem", message, "", check.section, check.blocks)
